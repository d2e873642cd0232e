import { describe, expect, test } from 'vitest';
import { median } from '../../bench/load.js';

describe('the median of rounds', () => {
  test('is the middle one of an odd number, in any order', () => {
    expect(median([10, 9, 1])).toBe(9);
    expect(median([7])).toBe(7);
  });

  test('is the mean of the middle two of an even number', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([0.5, 1.5])).toBe(1);
  });

  test('of no rounds is NaN', () => {
    expect(median([])).toBeNaN();
  });
});
