// Pixels of 8 bits, row by row: puts a resized picture into its place, and its channels into their order.

import type { ImageInput } from '../../../shared/manifest/image-input.js';
import type { Fit, Region } from './fit.js';

/** Pixels of 8 bits, row by row. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  /** Grey or RGB. */
  readonly channels: 1 | 3;
}

const channels = 3;

/** Returns the pixels of a part of a picture. */
function cutOut(pixels: Buffer, rowPixels: number, region: Region): Buffer {
  const rowBytes = region.width * channels;
  const cut = Buffer.allocUnsafe(region.height * rowBytes);
  for (let row = 0; row < region.height; row++) {
    const start = ((region.top + row) * rowPixels + region.left) * channels;
    pixels.copy(cut, row * rowBytes, start, start + rowBytes);
  }
  return cut;
}

/** Lays a resized picture into the pixels of the network, and pads what it leaves. */
export function place(pixels: Buffer, { scaled, offset }: Fit, input: ImageInput): Buffer {
  const { width, height, padding = 0 } = input;
  const isWhole = scaled.width === width && scaled.height === height;
  if (isWhole) return pixels;
  if (input.resize === 'shorter-side') {
    return cutOut(pixels, scaled.width, { width, height, left: -offset.left, top: -offset.top });
  }
  const colour = Buffer.from(typeof padding === 'number' ? [padding, padding, padding] : padding);
  const frame = Buffer.alloc(width * height * channels, colour);
  const rowBytes = scaled.width * channels;
  for (let row = 0; row < scaled.height; row++) {
    const to = ((offset.top + row) * width + offset.left) * channels;
    pixels.copy(frame, to, row * rowBytes, (row + 1) * rowBytes);
  }
  return frame;
}

/** Puts red, green and blue into the order of the network's channels. */
export function order(pixels: Buffer, { channels: wanted }: Pick<ImageInput, 'channels'>): Buffer {
  if (wanted === 'bgr') return reverse(pixels);
  return wanted === 'grey' ? toGrey(pixels) : pixels;
}

function reverse(pixels: Buffer): Buffer {
  for (let at = 0; at < pixels.length; at += channels) {
    const red = pixels[at] as number;
    pixels[at] = pixels[at + 2] as number;
    pixels[at + 2] = red;
  }
  return pixels;
}

/** The luma of ITU-R 601-2 in whole numbers, as Pillow's `convert("L")` computes it. */
function toGrey(pixels: Buffer): Buffer {
  const grey = Buffer.allocUnsafe(pixels.length / channels);
  for (let at = 0, from = 0; at < grey.length; at++, from += channels) {
    const [red, green, blue] = [pixels[from], pixels[from + 1], pixels[from + 2]] as const;
    const luma = Number(red) * 19595 + Number(green) * 38470 + Number(blue) * 7471;
    grey[at] = (luma + 0x8000) >> 16;
  }
  return grey;
}
