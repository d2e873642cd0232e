// Tests the loads of the scaling simulation: shapes, and arrivals that follow them.

import { expect, test } from 'vitest';
import { makeRandom } from '../../chaos/random.js';
import { makeArrivals, type Point, pointsOf, shapeNames } from '../../simulate/load.js';

function arrivalsOf(points: readonly Point[], seed = 7): number[] {
  const next = makeArrivals(points, makeRandom(seed, 'arrivals'));
  const all: number[] = [];
  for (let atMs = next(); atMs !== undefined; atMs = next()) all.push(atMs / 1000);
  return all;
}

const countBetween = (times: readonly number[], from: number, to: number) =>
  times.filter((at) => at >= from && at < to).length;

test('arrivals come at the rate of a steady load, in order', () => {
  const times = arrivalsOf(pointsOf('steady', 20));
  // 36,000 are expected; the standard deviation of a Poisson process is the root of that, 190.
  expect(Math.abs(times.length - 36_000)).toBeLessThan(4 * 190);
  expect(times).toEqual(times.toSorted((a, b) => a - b));
});

test('arrivals follow a slope: a quarter of a ramp comes in its first half', () => {
  const up = [
    { atSeconds: 0, perSecond: 0 },
    { atSeconds: 1000, perSecond: 40 },
  ];
  const down = up.map(({ atSeconds }, index) => ({ atSeconds, perSecond: index === 0 ? 40 : 0 }));
  const rising = arrivalsOf(up);
  expect(countBetween(rising, 0, 500) / rising.length).toBeCloseTo(0.25, 1);
  const falling = arrivalsOf(down);
  expect(countBetween(falling, 0, 500) / falling.length).toBeCloseTo(0.75, 1);
  expect(falling.length).toBeGreaterThan(19_000);
});

test('a step takes no time, and nothing arrives at a rate of zero', () => {
  const times = arrivalsOf(pointsOf('burst', 50));
  expect(countBetween(times, 0, 60)).toBe(0);
  expect(countBetween(times, 360, 3600)).toBe(0);
  expect(Math.abs(times.length - 15_000)).toBeLessThan(500);
});

test('the same seed gives the same arrivals, another seed others', () => {
  const points = pointsOf('burst', 5);
  expect(arrivalsOf(points)).toEqual(arrivalsOf(points));
  expect(arrivalsOf(points, 8)).not.toEqual(arrivalsOf(points));
});

test.each(shapeNames)('the shape %s reaches its peak and never exceeds it', (shape) => {
  expect(Math.max(...pointsOf(shape, 30).map(({ perSecond }) => perSecond))).toBe(30);
});
