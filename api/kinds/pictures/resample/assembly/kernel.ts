// The inner loops of resampling in AssemblyScript, with WebAssembly's instructions for 16 bytes at a time.
// `npm run fix` compiles them into ../kernel-bytes.ts. resample.ts is what calls them.
//
// A place of the result is a weighted sum of `count` places from its first one on. Weights are whole numbers of 16
// bits: the weight times 2 ** bits. All addresses are those of the module's memory. Loads may read up to 16 bytes
// past a row, whose weights are 0, and stores may write up to 15 bytes past the end of a row.

/** The channels of two pixels in pairs: red, red, green, green, blue, blue. Each byte becomes 16 bits. */
const firstTwo: v128 = i8x16(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
const nextTwo: v128 = i8x16(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);

/** Each of five grey pixels three times. */
const threeTimes: v128 = i8x16(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, -1);

/** Makes RGB pixels of a row of grey ones. Writes up to 15 bytes past their end. */
export function greyToRgb(from: usize, to: usize, width: i32): void {
  for (let place = 0; place < width; place += 5) {
    v128.store(to, i8x16.swizzle(v128.load(from), threeTimes));
    from += 5;
    to += 15;
  }
}

/**
 * Resizes a row of RGB pixels.
 * @param from 3 bytes a pixel
 * @param to gets `width` pixels
 * @param first for each place, 32 bits: the first pixel that it is made of
 * @param weights for each place, `count` weights; `count` is a multiple of 4
 */
export function resizeRow(
  from: usize,
  to: usize,
  width: i32,
  first: usize,
  weights: usize,
  count: i32,
  bits: i32,
): void {
  const half = i32x4.splat(1 << (bits - 1));
  for (let place = 0; place < width; place++) {
    let at = from + load<i32>(first) * 3;
    let sum = half;
    for (let tap = 0; tap < count; tap += 4) {
      const four = v128.load(at);
      const one = i32x4.dot_i16x8_s(i8x16.swizzle(four, firstTwo), v128.load32_splat(weights));
      const other = i32x4.dot_i16x8_s(i8x16.swizzle(four, nextTwo), v128.load32_splat(weights, 4));
      sum = i32x4.add(sum, i32x4.add(one, other));
      at += 12;
      weights += 8;
    }
    sum = i32x4.shr_s(sum, bits);
    const words = i16x8.narrow_i32x4_s(sum, sum);
    v128.store32_lane(to, i8x16.narrow_i16x8_u(words, words), 0);
    first += 4;
    to += 3;
  }
}

/**
 * Adds up rows to one row.
 * @param from the first of the rows, which follow each other
 * @param weights `count` weights, an even number
 */
export function addRows(
  from: usize,
  rowBytes: i32,
  to: usize,
  weights: usize,
  count: i32,
  bits: i32,
): void {
  const half = i32x4.splat(1 << (bits - 1));
  for (let column = 0; column < rowBytes; column += 8) {
    let low = half;
    let high = half;
    let at = from + column;
    for (let tap = 0; tap < count; tap += 2) {
      const upper = v128.load64_zero(at);
      const lower = v128.load64_zero(at + rowBytes);
      const pairs = i8x16.shuffle(
        upper,
        lower,
        0,
        16,
        1,
        17,
        2,
        18,
        3,
        19,
        4,
        20,
        5,
        21,
        6,
        22,
        7,
        23,
      );
      const two = v128.load32_splat(weights + (tap << 1));
      low = i32x4.add(low, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(pairs), two));
      high = i32x4.add(high, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_u(pairs), two));
      at += rowBytes << 1;
    }
    const sum = i16x8.narrow_i32x4_s(i32x4.shr_s(low, bits), i32x4.shr_s(high, bits));
    v128.store64_lane(to + column, i8x16.narrow_i16x8_u(sum, sum), 0);
  }
}
