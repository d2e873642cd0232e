// The texts of a PNG file: comments, of which there may be hundreds of thousands in a few megabytes. sharp hands all of
// them over in one go: 300,000 in a file of 4 MB kept the main thread busy for 0.3 s. Programs write up to some ten.

import { chunksStart, frameBytes } from './plain-png.js';

/** Far more than any program writes, and read in a millisecond. */
export const textsMax = 1000;

const textTypes = new Set(['tEXt', 'zTXt', 'iTXt'].map((type) => Buffer.from(type).readUInt32BE()));

/** Whether the file is a PNG that has more texts than are read. */
export function hasManyTexts(bytes: Buffer): boolean {
  let texts = 0;
  for (let at = chunksStart(bytes) ?? bytes.length; at + frameBytes <= bytes.length; ) {
    if (textTypes.has(bytes.readUInt32BE(at + 4)) && ++texts > textsMax) return true;
    at += frameBytes + bytes.readUInt32BE(at);
  }
  return false;
}
