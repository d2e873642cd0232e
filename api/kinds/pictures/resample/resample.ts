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
  const { rows, slots } = rowsOf(down);
  const resizing = kernel.begin(region, to, { across, down, slots, rowCount: rows.length });
  let products = 0;
  const mayGoOn = (more: number) => {
    products += more;
    if (products < productsAtATime) return true;
    products = 0;
    return false;
  };
  for (const [slot, row] of rows.entries()) {
    resizing.resizeRow(pixels, row, slot);
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

/**
 * Returns the rows that count, in their order. A filter that stays narrow skips most of a large picture.
 * @returns for each place of the result, which of these rows is the first that it is made of. The others follow it.
 */
function rowsOf({ first, weights, count }: Taps): { rows: number[]; slots: Int32Array } {
  const rows: number[] = [];
  const slots = new Int32Array(first.length);
  let next = 0;
  for (const [place, start] of first.entries()) {
    let end = start + count;
    while (weights[place * count + end - start - 1] === 0) end--;
    // Rows that places before have, too, are the last of the list.
    slots[place] = rows.length - Math.max(0, next - start);
    for (let row = Math.max(start, next); row < end; row++) rows.push(row);
    next = Math.max(next, end);
  }
  return { rows, slots };
}
