// Goes through the data of a baseline JPEG in AssemblyScript: reads its Huffman codes, and steps over what they say.
// `npm run fix` compiles this into ../kernel-bytes.ts. ../data.ts is what calls it, and writes the tables.
//
// A table says of each code, in 16 bits: how many bits to drop (5 bits), how many coefficients to go on (7 bits), and
// whether it is a run of 16 zeros (1 bit). It begins with an entry for each number of 10 bits, by which a shorter code
// is found; 0 if the code is longer. For those there is, by length, the largest code (32 bits, or -1) and what to add
// to a code to get its place (32 bits), and the entry at each place.
const quickBits: i32 = 10;
const largestAt = 2048;
const offsetAt = 2116;
const longAt = 2184;

const impossible: u32 = 0xffff;
const zeroRun: u32 = 0x1000;
const blockEnd: u32 = 127;

const whole: i32 = 0;
const unclear: i32 = 1;
const damaged: i32 = 2;

/** Returns the entry of a code of more than 10 bits. */
function findLong(table: usize, code: i32): u32 {
  for (let length = quickBits + 1; length <= 16; length++) {
    const short = code >> (16 - length);
    const row = table + (length << 2);
    if (short > load<i32>(row, largestAt)) continue;
    return load<u16>(table + ((short + load<i32>(row, offsetAt)) << 1), longAt);
  }
  return impossible;
}

/** Whether there is a marker. */
function isMarker(at: usize, end: usize, code: i32): bool {
  return at + 1 < end && load<u8>(at) === 0xff && load<u8>(at, 1) === code;
}

/**
 * @param at, end where the data is, with the marker after it
 * @param units how many groups of blocks there are
 * @param interval after how many of them a restart marker comes; 0 for none
 * @param tables for each block of a group, the addresses of its two tables, 32 bits each
 */
export function check(
  at: usize,
  end: usize,
  units: i32,
  interval: i32,
  tables: usize,
  blocks: i32,
): i32 {
  // The next bits, from the highest on, how many they are, and how many of them are zeros after the end of the data.
  let bits: u64 = 0;
  let count: i32 = 0;
  let missing: i32 = 0;
  let isOdd = false;
  let restarts: i32 = 0;
  let untilRestart = interval;
  for (let unit = 0; unit < units; unit++) {
    if (interval > 0 && untilRestart === 0) {
      if (count - missing >= 8 || !isMarker(at, end, 0xd0 + (restarts & 7))) return unclear;
      restarts++;
      untilRestart = interval;
      at += 2;
      bits = 0;
      count = 0;
      missing = 0;
    }
    untilRestart--;
    for (let block = 0; block < blocks; block++) {
      let table: usize = load<u32>(tables + (block << 3));
      const next: usize = load<u32>(tables + (block << 3), 4);
      let place: u32 = 0;
      let entry: u32;
      do {
        if (count <= 32) {
          const four: u32 = at + 4 <= end ? load<u32>(at) : 0xffffffff;
          // None of the four is 0xff.
          if (((~four - 0x01010101) & four & 0x80808080) === 0) {
            bits |= (bswap<u32>(four) as u64) << (32 - count);
            count += 32;
            at += 4;
          } else {
            do {
              let byte: u64 = 0;
              if (at < end && load<u8>(at) !== 0xff) byte = load<u8>(at++);
              else if (isMarker(at, end, 0)) {
                byte = 0xff;
                at += 2;
              } else missing += 8;
              bits |= byte << (56 - count);
              count += 8;
            } while (count <= 32);
          }
        }
        entry = load<u16>(table + (((bits >> (64 - quickBits)) as usize) << 1));
        if (entry === 0) entry = findLong(table, (bits >> 48) as i32);
        if (entry === impossible) return damaged;
        bits <<= entry & 31;
        count -= entry & 31;
        place += (entry >> 5) & 127;
        table = next;
      } while (place < 64);
      if (place > 64 && place < blockEnd) {
        if ((entry & zeroRun) === 0) return damaged;
        isOdd = true;
      }
    }
    // Something that is not there was read.
    if (count < missing) return damaged;
  }
  // What is left is filling, less than a byte.
  const isEnd = count - missing < 8 && isMarker(at, end, 0xd9);
  return isEnd && !isOdd ? whole : unclear;
}
