import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeByteBudget } from '../../api/admission/byte-budget.js';
import { errorOf } from './sample-model.js';

test('bytes can be taken up to the limit, and no further', () => {
  const budget = makeByteBudget(100);
  budget.take(60);
  budget.take(40);
  const error = errorOf(() => budget.take(1));
  expect(error).toMatchObject({ code: 'overloaded', retryAfterSeconds: 1 });
  expect(error.message).toMatch(/at most 100 bytes.* there are 100 already/);
  budget.giveBack(40);
  budget.take(39);
  expect(budget.taken).toBe(99);
});

test('a refused take takes nothing', () => {
  const budget = makeByteBudget(100);
  budget.take(50);
  errorOf(() => budget.take(51));
  budget.take(50);
  expect(budget.taken).toBe(100);
});

test('the sum never exceeds the limit, and returns to zero', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60)), (wishes) => {
      const budget = makeByteBudget(100);
      const given: number[] = [];
      for (const bytes of wishes) {
        if (budget.taken + bytes <= 100) {
          budget.take(bytes);
          given.push(bytes);
        } else {
          errorOf(() => budget.take(bytes));
          budget.giveBack(given.shift() ?? 0);
        }
        expect(budget.taken).toBe(given.reduce((sum, one) => sum + one, 0));
        expect(budget.taken).toBeLessThanOrEqual(100);
      }
      for (const bytes of given) budget.giveBack(bytes);
      expect(budget.taken).toBe(0);
    }),
  );
});
