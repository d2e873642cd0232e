// The checksums of a PNG. sharp stops reading where the pixels end that are wanted, so libpng checks the sum of a chunk
// that goes on behind them never. Some programs write all pixels into one chunk.

import { crc32 } from 'node:zlib';
import { chunksStart, frameBytes } from './plain-png.js';

/** The chunks that pixels depend on. */
const telling = new Set(
  ['IHDR', 'PLTE', 'tRNS', 'IDAT'].map((type) => Buffer.from(type).readUInt32BE()),
);

/** Whether the file is a PNG of which a whole chunk has another sum than it says. A chunk that is cut off is none. */
export function hasWrongSums(bytes: Buffer): boolean {
  for (let at = chunksStart(bytes) ?? bytes.length; at + frameBytes <= bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at);
    if (end + 4 > bytes.length) return false;
    const isTelling = telling.has(bytes.readUInt32BE(at + 4));
    if (isTelling && crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32BE(end)) return true;
    at = end + 4;
  }
  return false;
}
