import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClockEstimate } from '../../shared/clock-estimate.js';

/** Measures a clock that is `aheadMs` behind ours, with so much time on the way there and back. */
function measure(estimate: ClockEstimate, aheadMs: number, thereMs: number, backMs: number) {
  const askedAtMs = 1_000_000;
  estimate.add({
    askedAtMs,
    otherMs: askedAtMs + thereMs - aheadMs,
    answeredAtMs: askedAtMs + thereMs + backMs,
  });
}

const way = fc.double({ min: 0, max: 500, noNaN: true });
const ways = fc.array(fc.tuple(way, way), { minLength: 1, maxLength: 20 });

describe('the estimate of a clock', () => {
  test('is within half of the shortest round trip, however uneven the ways', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 10_000 }), ways, (aheadMs, trips) => {
        const estimate = new ClockEstimate();
        for (const [there, back] of trips) measure(estimate, aheadMs, there, back);
        const shortestMs = Math.min(...trips.map(([there, back]) => there + back));
        expect(Math.abs(estimate.aheadMs - aheadMs)).toBeLessThanOrEqual(shortestMs / 2 + 0.001);
      }),
    );
  });

  test('is 0 for clocks that may agree', () => {
    const estimate = new ClockEstimate();
    expect(estimate.aheadMs).toBe(0);
    measure(estimate, 0, 800, 1);
    expect(estimate.aheadMs).toBe(0);
    measure(estimate, 15, 0.1, 0.1);
    expect(estimate.aheadMs).toBe(0);
  });

  test('follows a clock that is set', () => {
    const estimate = new ClockEstimate();
    for (let times = 0; times < 10; times++) measure(estimate, 0, 1, 1);
    measure(estimate, -5000, 20, 10);
    expect(estimate.aheadMs).toBeCloseTo(-5005, 0);
    measure(estimate, -5000, 1, 1);
    expect(estimate.aheadMs).toBeCloseTo(-5000, 0);
  });

  test('is not confused by a slow answer', () => {
    const estimate = new ClockEstimate();
    measure(estimate, 3000, 1, 1);
    measure(estimate, 3000, 2000, 9000);
    expect(estimate.aheadMs).toBeCloseTo(3000, 0);
  });
});
