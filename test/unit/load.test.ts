import { describe, expect, test } from 'vitest';
import { median } from '../../bench/load.js';

describe('the median of rounds', () => {
  test('is the middle one of an odd number, in whatever order they came', () => {
    expect(median([10, 9, 1])).toBe(9);
    expect(median([7])).toBe(7);
  });

  test('favours neither side when their number is even', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([0.5, 1.5])).toBe(1);
  });

  test('of none is not a number', () => {
    expect(median([])).toBeNaN();
  });
});
