// Where the places of a resized line come from, and with which weights: Pillow's filters.

import type { ImageInput } from '../../../../shared/manifest/image-input.js';

export interface Filter {
  readonly interpolation: ImageInput['interpolation'];
  /** Whether the filter widens where a picture shrinks, so that all of its pixels count. */
  readonly antialias: boolean;
}

/** The weights are whole numbers of 16 bits for ./assembly/kernel.ts. */
export interface Taps {
  /** For each place: the first place that it is made of. */
  readonly first: Int32Array;
  /** For each place: the weights from there on, times 2 ** `bits`. They may reach past the end of the line with 0. */
  readonly weights: Int16Array;
  /** How many weights a place has, a multiple of 4. */
  readonly count: number;
  readonly bits: number;
}

/** How many pixels a filter reaches to each side, and the weight of a pixel by its distance. */
interface Shape {
  readonly reach: number;
  weigh(distance: number): number;
}

const shapes: Readonly<Record<Exclude<Filter['interpolation'], 'nearest'>, Shape>> = {
  bilinear: { reach: 1, weigh: (distance) => Math.max(0, 1 - Math.abs(distance)) },
  bicubic: { reach: 2, weigh: cubic },
  lanczos: { reach: 3, weigh: lanczos },
};

/** How many weights the kernel takes at a time. */
const countStep = 4;
/** The most that keeps the sums of the kernel within 32 bits, as in Pillow. */
const bitsMax = 22;
const keptMax = 32;

/** The last ones. Pictures often have the same sizes, and weighing takes as long as the resizing of a small picture. */
const kept = new Map<string, Taps>();

/** @param length of the line, and `wanted` of the resized one, both in pixels */
export function tapsOf(length: number, wanted: number, filter: Filter): Taps {
  const key = `${length} ${wanted} ${filter.interpolation} ${filter.antialias}`;
  const known = kept.get(key);
  if (known) return known;
  const taps = makeTaps(length, wanted, filter);
  for (const oldest of kept.keys()) {
    if (kept.size < keptMax) break;
    kept.delete(oldest);
  }
  kept.set(key, taps);
  return taps;
}

/** A length that stays takes each place as it is. */
function makeTaps(length: number, wanted: number, { interpolation, antialias }: Filter): Taps {
  if (interpolation === 'nearest' || length === wanted) return nearest(length, wanted);
  const widening = antialias ? Math.max(1, length / wanted) : 1;
  return weigh(length, wanted, shapes[interpolation], widening);
}

/** The pixel in which the centre of a place lies. */
function nearest(length: number, wanted: number): Taps {
  const first = Int32Array.from({ length: wanted }, (_, place) =>
    Math.floor(((place + 0.5) * length) / wanted),
  );
  const weights = new Float64Array(wanted * countStep);
  for (let at = 0; at < weights.length; at += countStep) weights[at] = 1;
  return { first, ...toWholeNumbers(weights), count: countStep };
}

function weigh(length: number, wanted: number, shape: Shape, widening: number): Taps {
  const reach = shape.reach * widening;
  const widest = Math.min(length, Math.ceil(reach) * 2 + 1);
  const count = Math.ceil(widest / countStep) * countStep;
  const first = new Int32Array(wanted);
  const weights = new Float64Array(wanted * count);
  for (let place = 0; place < wanted; place++) {
    const centre = ((place + 0.5) * length) / wanted;
    const from = Math.max(0, Math.trunc(centre - reach + 0.5));
    const to = Math.min(length, Math.trunc(centre + reach + 0.5));
    first[place] = from;
    const own = weights.subarray(place * count, place * count + to - from);
    let total = 0;
    for (let tap = 0; tap < own.length; tap++) {
      const weight = shape.weigh((from + tap + 0.5 - centre) / widening);
      own[tap] = weight;
      total += weight;
    }
    for (let tap = 0; tap < own.length; tap++) own[tap] = (own[tap] as number) / total;
  }
  return { first, ...toWholeNumbers(weights), count };
}

/** Takes as many bits as the largest weight leaves. */
function toWholeNumbers(weights: Float64Array): Pick<Taps, 'weights' | 'bits'> {
  let largest = 0;
  for (const weight of weights) largest = Math.max(largest, Math.abs(weight));
  let bits = bitsMax;
  while (largest * 2 ** bits >= 32_767) bits--;
  return { weights: Int16Array.from(weights, (weight) => Math.round(weight * 2 ** bits)), bits };
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
