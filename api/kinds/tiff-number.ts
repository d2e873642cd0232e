// Numbers in the first directory of a TIFF. Exif data in a JPEG is one as well.

const entryBytes = 12;
const ofShort = 3;

/**
 * Returns a number of 16 bits. Returns `none` if the directory has no entry with this tag, and `odd` if there is no
 * directory, its end is missing or the entry is no such number. A BigTIFF has none that is found here.
 */
export function readTiffNumber(tiff: Buffer, tag: number): number | 'none' | 'odd' {
  const order = tiff.toString('latin1', 0, 4);
  const isLittle = order === 'II*\0';
  if (tiff.length < 8 || !(isLittle || order === 'MM\0*')) return 'odd';
  const read16 = (at: number) => (isLittle ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const read32 = (at: number) => (isLittle ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));
  const first = read32(4) + 2;
  if (first > tiff.length) return 'odd';
  const end = first + read16(first - 2) * entryBytes;
  for (let at = first; at < end; at += entryBytes) {
    if (at + entryBytes > tiff.length) return 'odd';
    if (read16(at) !== tag) continue;
    const isNumber = read16(at + 2) === ofShort && read32(at + 4) === 1;
    return isNumber ? read16(at + 8) : 'odd';
  }
  return 'none';
}
