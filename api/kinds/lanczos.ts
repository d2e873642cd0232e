// Enlarges pictures by Lanczos's filter, as Pillow does: first the rows, then the columns, with 8 bits between. The
// resize of libvips has this filter only for pictures that shrink.
//
// It runs on the main thread, so it lets other work in between.

import { setImmediate } from 'node:timers/promises';
import type { Size } from './fit.js';

const channels = 3;
/** How many pixels the filter reaches to each side. */
const reach = 3;
/** How many numbers are computed at a time, which takes a few milliseconds. */
const numbersAtATime = 200_000;

/** A line of `length` groups of numbers, of which there are several. Each direction of a picture is one. */
interface Lines {
  readonly count: number;
  readonly length: number;
  readonly group: number;
}

/**
 * Enlarges pixels of 8 bits, row by row, with three channels. A direction whose size stays is left as it is.
 * @returns `to.height` × `to.width` × 3
 */
export async function enlarge(pixels: Buffer, from: Size, to: Size): Promise<Buffer> {
  const rows = { count: from.height, length: from.width, group: channels };
  const columns = { count: 1, length: from.height, group: to.width * channels };
  return lengthen(await lengthen(pixels, rows, to.width), columns, to.height);
}

async function lengthen(numbers: Buffer, lines: Lines, wanted: number): Promise<Buffer> {
  const { count, length, group } = lines;
  if (wanted === length) return numbers;
  const { first, weights, taps } = filterOf(length, wanted);
  const longer = Buffer.allocUnsafe(count * wanted * group);
  const groupsAtATime = Math.ceil(numbersAtATime / group);
  for (let at = 0; at < count * wanted; at++) {
    if (at > 0 && at % groupsAtATime === 0) await setImmediate();
    const place = at % wanted;
    const start = (((at - place) / wanted) * length + (first[place] as number)) * group;
    for (let index = 0; index < group; index++) {
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) {
        sum +=
          (weights[place * taps + tap] as number) *
          (numbers[start + tap * group + index] as number);
      }
      longer[at * group + index] = Math.max(0, Math.min(255, Math.round(sum)));
    }
  }
  return longer;
}

/** For each place of a longer line: the first place that it is made of, and the weights from there on. */
function filterOf(length: number, wanted: number) {
  const taps = Math.min(2 * reach, length);
  const first = new Int32Array(wanted);
  const weights = new Float64Array(wanted * taps);
  for (let place = 0; place < wanted; place++) {
    const centre = ((place + 0.5) * length) / wanted;
    const nearest = Math.max(0, Math.trunc(centre - reach + 0.5));
    const from = Math.min(nearest, length - taps);
    const own = Float64Array.from({ length: taps }, (_, tap) => lanczos(from + tap + 0.5 - centre));
    const sum = own.reduce((total, weight) => total + weight, 0);
    first[place] = from;
    weights.set(
      own.map((weight) => weight / sum),
      place * taps,
    );
  }
  return { first, weights, taps };
}

function lanczos(distance: number): number {
  if (distance === 0) return 1;
  if (Math.abs(distance) >= reach) return 0;
  const angle = Math.PI * distance;
  return (reach * Math.sin(angle) * Math.sin(angle / reach)) / angle ** 2;
}
