// Resizes pixels as Pillow does: each number of the result is a weighted sum of its neighbours, first in the row, then
// in the column, with 8 bits between.
//
// sharp takes longer for small pictures, since its pipeline passes them from thread to thread, and it knows no filters
// that stay narrow and no Lanczos for pictures that grow. This runs on the main thread, half a millisecond for 448 × 448
// pixels that become 224 × 224. Between rows it lets other work in.

import { setImmediate } from 'node:timers/promises';
import type { Region, Size } from '../fit.js';
import type { Pixels } from '../pixels.js';
import { type Filter, type Taps, tapsOf } from './filters.js';
import { Kernel } from './kernel.js';

/** How many products are computed at a time, which takes one or two milliseconds. */
const productsAtATime = 4_000_000;
/** How many kernels are kept, and how much memory one of them may have. WebAssembly's memory never shrinks. */
const idleMax = 4;
const idleBytesMax = 8 * 1024 * 1024;

const idle: Kernel[] = [];

/**
 * Resizes a part of a picture.
 * @returns `to.height` × `to.width` × 3 in RGB
 */
export async function resample(
  pixels: Pixels,
  region: Region,
  to: Size,
  filter: Filter,
): Promise<Buffer> {
  const across = tapsOf(region.width, to.width, filter);
  const down = tapsOf(region.height, to.height, filter);
  const kernel = idle.pop() ?? new Kernel();
  const resizing = kernel.begin(region, to, across, down);
  let products = 0;
  const mayGoOn = (more: number) => {
    products += more;
    if (products < productsAtATime) return true;
    products = 0;
    return false;
  };
  for (const row of rowsOf(down)) {
    resizing.resizeRow(pixels, row);
    if (!mayGoOn(to.width * across.count * 3)) await setImmediate();
  }
  for (let row = 0; row < to.height; row++) {
    resizing.addRows(row);
    if (!mayGoOn(to.width * down.count * 3)) await setImmediate();
  }
  const resized = resizing.result();
  if (idle.length < idleMax && kernel.bytes <= idleBytesMax) idle.push(kernel);
  return resized;
}

/** Returns the rows that count, in their order. A filter that stays narrow skips some. */
function rowsOf({ first, weights, count }: Taps): number[] {
  const last = (first.at(-1) ?? 0) + count;
  const counts = new Uint8Array(last);
  for (const [place, start] of first.entries()) {
    for (let tap = 0; tap < count; tap++) {
      if (weights[place * count + tap] !== 0) counts[start + tap] = 1;
    }
  }
  const rows: number[] = [];
  for (let row = counts.indexOf(1); row >= 0; row = counts.indexOf(1, row + 1)) rows.push(row);
  return rows;
}
