// PNGs of the plainest kinds: 8 bits, grey or RGB without transparency, not interlaced, not animated.

import type { Size } from './fit.js';

const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const headerBytes = 13;
/** Length, type and checksum of a chunk. */
export const frameBytes = 12;
/** Small pictures have some hundred. */
const chunksMax = 2000;
/** How long a chunk without pixels may be. A profile of a thousand times its size is decompressed as a whole. */
const otherBytesMax = 65_536;

/** Chunks that change no pixel. Colour profiles and gamma are ignored, as they were in training. */
const plainChunks = new Set(
  'IHDR PLTE IDAT gAMA cHRM sRGB iCCP bKGD pHYs tIME tEXt zTXt iTXt hIST'.split(' '),
);

/** Returns where the chunks begin, or undefined if the file is no PNG. */
export function chunksStart(bytes: Buffer): number | undefined {
  return bytes.subarray(0, signature.length).equals(signature) ? signature.length : undefined;
}

/** Returns the size of a PNG that is plain and has all of its chunks. The decoder checks their checksums. */
export function plainPngSize(bytes: Buffer): Size | undefined {
  let size: Size | undefined;
  let at = chunksStart(bytes) ?? bytes.length;
  for (let count = 0; count < chunksMax && at + frameBytes <= bytes.length; count++) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (type === 'IEND') return size;
    if (!plainChunks.has(type)) return undefined;
    if (type !== 'IDAT' && length > otherBytesMax) return undefined;
    if (type === 'IHDR') {
      if (size || length !== headerBytes) return undefined;
      size = plainSize(bytes.subarray(at + 8, at + 8 + length));
    }
    if (!size) return undefined;
    at += frameBytes + length;
  }
  return undefined;
}

function plainSize(header: Buffer): Size | undefined {
  if (header.length < headerBytes) return undefined;
  const [bits, colours, , , interlacing] = header.subarray(8);
  const isPlain = bits === 8 && (colours === 0 || colours === 2) && interlacing === 0;
  return isPlain ? { width: header.readUInt32BE(0), height: header.readUInt32BE(4) } : undefined;
}
