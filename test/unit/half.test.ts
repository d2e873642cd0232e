import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { halfToNumber, numberToHalf } from '../../shared/tensors/half.js';

const all = Array.from({ length: 0x10000 }, (_, bits) => bits);
const finite = all.filter((bits) => Number.isFinite(halfToNumber(bits)));

describe('half-precision numbers', () => {
  test('come back bit by bit, but for the kinds of NaN', () => {
    const others = all.filter((bits) => {
      const number = halfToNumber(bits);
      return !Number.isNaN(number) && numberToHalf(number) !== bits;
    });
    expect(others).toEqual([]);
    expect(numberToHalf(Number.NaN)).toBe(0x7e00);
  });

  test('are the nearest ones, and the even one of two', () => {
    fc.assert(
      fc.property(fc.constantFrom(...finite.filter((bits) => bits < 0x7bff)), (bits) => {
        const [below, above] = [halfToNumber(bits), halfToNumber(bits + 1)];
        const middle = (below + above) / 2;
        const step = above - below;
        const even = bits % 2 === 0 ? bits : bits + 1;
        expect(numberToHalf(middle)).toBe(even);
        expect(numberToHalf(middle - step / 1000)).toBe(bits);
        expect(numberToHalf(middle + step / 1000)).toBe(bits + 1);
        expect(numberToHalf(-middle)).toBe(even | 0x8000);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    [65_504, 0x7bff],
    [65_519, 0x7bff],
    [65_520, 0x7c00],
    [1e300, 0x7c00],
    [-1e300, 0xfc00],
    [1e-300, 0],
    [-0, 0x8000],
  ])('%s has the bits %s', (number, bits) => {
    expect(numberToHalf(number)).toBe(bits);
  });
});
