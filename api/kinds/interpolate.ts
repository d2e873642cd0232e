// Resizes pixels with a filter of fixed width: each number of the result is a weighted sum of its neighbours, first in
// the row, then in the column, with 8 bits between. That is how Pillow enlarges pictures. They also shrink like this
// if the filter is not widened.
//
// sharp takes three pipelines for it and longer, and has no Lanczos for pictures that grow. This runs on the main
// thread, so it lets other work in between.

import { setImmediate } from 'node:timers/promises';
import type { ImageInput } from '../../shared/image-input.js';
import type { Size } from './fit.js';

const channels = 3;
/** The most places that one of the result is made of. */
const tapsMax = 6;
/** How many products are computed at a time, which takes one or two milliseconds. */
const productsAtATime = 1_000_000;

type Interpolation = ImageInput['interpolation'];

/** By filter: how many pixels it reaches to each side, and the weight of a pixel by its distance. */
const filters: Readonly<
  Record<Exclude<Interpolation, 'nearest'>, { reach: number; weigh: (distance: number) => number }>
> = {
  bilinear: { reach: 1, weigh: (distance) => Math.max(0, 1 - Math.abs(distance)) },
  bicubic: { reach: 2, weigh: cubic },
  lanczos: { reach: 3, weigh: lanczos },
};

/** Where the places of a resized line come from. */
interface Taps {
  /** For each place: the first place that it is made of. */
  readonly first: Int32Array;
  /** For each place: the weights from there on. */
  readonly weights: Float64Array;
  /** How many weights a place has. */
  readonly count: number;
}

/**
 * Resizes pixels of 8 bits, row by row, with three channels.
 * @returns `to.height` × `to.width` × 3
 */
export async function interpolate(
  pixels: Uint8Array,
  from: Size,
  to: Size,
  interpolation: Interpolation,
): Promise<Buffer> {
  const across = tapsOf(from.width, to.width, interpolation);
  const down = tapsOf(from.height, to.height, interpolation);
  const rowBytes = to.width * channels;
  const resized = Buffer.allocUnsafe(to.height * rowBytes);
  const output = clamped(resized);
  /** The rows that were needed so far, in their new width. */
  const rows: Uint8Array[] = [];
  let products = 0;
  for (let row = 0; row < to.height; row++) {
    const first = down.first[row] as number;
    for (let at = first; at < first + down.count; at++) {
      if (rows[at]) continue;
      rows[at] = resizeRow(rowOf(pixels, from.width, at), across);
      products += rowBytes * across.count;
    }
    addUp(rows, down, row, output.subarray(row * rowBytes, (row + 1) * rowBytes));
    products += rowBytes * tapsMax;
    if (products < productsAtATime) continue;
    products = 0;
    await setImmediate();
  }
  return resized;
}

function rowOf({ buffer, byteOffset }: Uint8Array, width: number, row: number): Uint8Array {
  const rowBytes = width * channels;
  return new Uint8Array(buffer, byteOffset + row * rowBytes, rowBytes);
}

function resizeRow(pixels: Uint8Array, { first, weights, count }: Taps): Uint8Array {
  if (first.length * channels === pixels.length) return pixels;
  const resized = new Uint8ClampedArray(first.length * channels);
  let weight = 0;
  let to = 0;
  for (let place = 0; place < first.length; place++) {
    let red = 0;
    let green = 0;
    let blue = 0;
    let at = (first[place] as number) * channels;
    for (let tap = 0; tap < count; tap++) {
      const share = weights[weight++] as number;
      red += share * (pixels[at++] as number);
      green += share * (pixels[at++] as number);
      blue += share * (pixels[at++] as number);
    }
    resized[to++] = red;
    resized[to++] = green;
    resized[to++] = blue;
  }
  return new Uint8Array(resized.buffer);
}

/** Adds rows up to one row of the result. A loop over the rows for each number takes twice as long. */
function addUp(
  rows: readonly Uint8Array[],
  { first, weights, count }: Taps,
  row: number,
  output: Uint8ClampedArray,
): void {
  const from = first[row] as number;
  const partOf = (tap: number) => rows[from + (tap < count ? tap : 0)] as Uint8Array;
  const shareOf = (tap: number) => (tap < count ? (weights[row * count + tap] as number) : 0);
  const a = partOf(0);
  const b = partOf(1);
  const c = partOf(2);
  const d = partOf(3);
  const e = partOf(4);
  const f = partOf(5);
  const ofA = shareOf(0);
  const ofB = shareOf(1);
  const ofC = shareOf(2);
  const ofD = shareOf(3);
  const ofE = shareOf(4);
  const ofF = shareOf(5);
  for (let at = 0; at < output.length; at++) {
    output[at] =
      ofA * (a[at] as number) +
      ofB * (b[at] as number) +
      ofC * (c[at] as number) +
      ofD * (d[at] as number) +
      ofE * (e[at] as number) +
      ofF * (f[at] as number);
  }
}

function clamped({ buffer, byteOffset, byteLength }: Buffer): Uint8ClampedArray {
  return new Uint8ClampedArray(buffer, byteOffset, byteLength);
}

/** A length that stays takes each place as it is. */
function tapsOf(length: number, wanted: number, interpolation: Interpolation): Taps {
  const isNearest = interpolation === 'nearest' || length === wanted;
  return isNearest ? nearest(length, wanted) : weigh(length, wanted, filters[interpolation]);
}

/** The pixel in which the centre of a place lies. */
function nearest(length: number, wanted: number): Taps {
  const first = Int32Array.from({ length: wanted }, (_, place) =>
    Math.floor(((place + 0.5) * length) / wanted),
  );
  return { first, weights: new Float64Array(wanted).fill(1), count: 1 };
}

function weigh(
  length: number,
  wanted: number,
  { reach, weigh: weightOf }: (typeof filters)[keyof typeof filters],
): Taps {
  const count = Math.min(2 * reach, length);
  const first = new Int32Array(wanted);
  const weights = new Float64Array(wanted * count);
  for (let place = 0; place < wanted; place++) {
    const centre = ((place + 0.5) * length) / wanted;
    const from = Math.min(Math.max(0, Math.trunc(centre - reach + 0.5)), length - count);
    first[place] = from;
    let total = 0;
    for (let tap = 0; tap < count; tap++) {
      const weight = weightOf(from + tap + 0.5 - centre);
      weights[place * count + tap] = weight;
      total += weight;
    }
    for (let tap = 0; tap < count; tap++) {
      weights[place * count + tap] = (weights[place * count + tap] as number) / total;
    }
  }
  return { first, weights, count };
}

/** The cubic of Catmull and Rom. */
function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

function lanczos(distance: number): number {
  if (distance === 0) return 1;
  if (Math.abs(distance) >= 3) return 0;
  const angle = Math.PI * distance;
  return (3 * Math.sin(angle) * Math.sin(angle / 3)) / angle ** 2;
}
