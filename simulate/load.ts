// Loads: how many items a second arrive, as points over time with straight lines between them. Two points
// of the same time are a step. A load may also be a number of clients, each of which asks again as soon as it is
// answered.

import type { Random } from '../chaos/random.js';

export interface Point {
  readonly atSeconds: number;
  readonly perSecond: number;
}

const hour = 3600;
const evenHours = Array.from({ length: 12 }, (_, index) => 2 * index);

/** By name, the points of a shape whose peak is 1 item a second. */
const shapes = {
  steady: [
    [0, 1],
    [1800, 1],
  ],
  /** A minute of nothing, five of everything, and time for workers and machines to go. */
  burst: [
    [0, 0],
    [60, 0],
    [60, 1],
    [360, 1],
    [360, 0],
    [3600, 0],
  ],
  /** From midnight to midnight: quiet nights, two peaks with a dip at noon. */
  day: [
    [0, 0.05],
    [3 * hour, 0],
    [5 * hour, 0],
    [7 * hour, 0.15],
    [10 * hour, 1],
    [12.5 * hour, 0.7],
    [15 * hour, 0.95],
    [19 * hour, 0.3],
    [24 * hour, 0.05],
  ],
  /** Over a day, a minute of everything in every other hour. */
  visits: [...evenHours.flatMap(visitAt), [24 * hour, 0]],
} satisfies Record<string, [atSeconds: number, share: number][]>;

function visitAt(hours: number): [atSeconds: number, share: number][] {
  const [from, to] = [hours * hour + 600, hours * hour + 660];
  return [
    [hours * hour, 0],
    [from, 0],
    [from, 1],
    [to, 1],
    [to, 0],
  ];
}

export type ShapeName = keyof typeof shapes;
export const shapeNames = Object.keys(shapes) as ShapeName[];

export function pointsOf(shape: ShapeName, perSecond: number): Point[] {
  return shapes[shape].map(([atSeconds, share]) => ({ atSeconds, perSecond: share * perSecond }));
}

/**
 * Makes a source of arrivals, a Poisson process whose rate follows the points. Each call returns the time
 * of the next arrival in milliseconds, or undefined after the last one.
 */
export function makeArrivals(points: readonly Point[], random: Random): () => number | undefined {
  let segment = 0;
  let atSeconds = 0;
  return () => {
    // As long as it takes a process of rate 1, stretched by the rate of each segment in turn.
    let left = -Math.log(1 - random());
    for (; segment < points.length - 1; segment++) {
      const [from, to] = [points[segment] as Point, points[segment + 1] as Point];
      const rate = rateBetween(from, to, atSeconds);
      const slope = slopeBetween(from, to);
      const passed = secondsFor(left, rate, slope);
      if (atSeconds + passed < to.atSeconds) {
        atSeconds += passed;
        return atSeconds * 1000;
      }
      const rest = to.atSeconds - atSeconds;
      left -= rate * rest + (slope * rest * rest) / 2;
      atSeconds = to.atSeconds;
    }
    return undefined;
  };
}

function slopeBetween(from: Point, to: Point): number {
  const seconds = to.atSeconds - from.atSeconds;
  return seconds === 0 ? 0 : (to.perSecond - from.perSecond) / seconds;
}

function rateBetween(from: Point, to: Point, atSeconds: number): number {
  return from.perSecond + slopeBetween(from, to) * (atSeconds - from.atSeconds);
}

/** Returns the time in which a rate that changes by `slope` a second makes `count`; infinite if never. */
function secondsFor(count: number, rate: number, slope: number): number {
  if (Math.abs(slope) < 1e-12) return rate > 0 ? count / rate : Number.POSITIVE_INFINITY;
  const root = rate * rate + 2 * slope * count;
  if (root < 0) return Number.POSITIVE_INFINITY;
  // This form keeps its digits where the slope is small.
  return (2 * count) / (rate + Math.sqrt(root));
}
