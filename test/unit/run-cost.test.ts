import { expect, test } from 'vitest';
import { RunCost } from '../../worker/batch/run-cost.js';

/** Learns from batches of these rows, whose times lie on a line. */
function learn(fixedMs: number, rowMs: number, rows: readonly number[]): RunCost {
  const cost = new RunCost();
  for (const each of rows) cost.note(each, fixedMs + rowMs * each);
  return cost;
}

const mixed = [16, 1, 16, 1, 2, 16, 1, 1, 16];

test.each([
  { name: 'most of the time is fixed', fixedMs: 9, rowMs: 1, factor: 1.5, rows: 6 },
  { name: 'no time is fixed', fixedMs: 0, rowMs: 12, factor: 3, rows: 3 },
  { name: 'two rows already take too long', fixedMs: 3, rowMs: 12, factor: 1.5, rows: 1 },
])('tells how many rows take up to so many times as long as one: $name', (given) => {
  // A little more than the factor, because the slope is a rounded number.
  const { fixedMs, rowMs, factor, rows } = given;
  expect(learn(fixedMs, rowMs, mixed).rowsWithin(factor + 1e-9)).toBe(rows);
});

test('any number of rows will do if they cost nothing', () => {
  expect(learn(20, 0, mixed).rowsWithin(1.5)).toBe(Number.POSITIVE_INFINITY);
});

test('any number of rows will do as long as only one size is known', () => {
  expect(new RunCost().rowsWithin(1.5)).toBe(Number.POSITIVE_INFINITY);
  expect(learn(3, 12, [16, 16, 16]).rowsWithin(1.5)).toBe(Number.POSITIVE_INFINITY);
});

test('one batch that was slow by chance changes little', () => {
  const cost = learn(9, 1, Array.from({ length: 20 }, () => mixed).flat());
  cost.note(1, 30);
  cost.note(6, 30);
  const rows = cost.rowsWithin(1.5);
  expect(rows).toBeGreaterThanOrEqual(4);
  expect(rows).toBeLessThanOrEqual(9);
});

test('a cost that changes is learned anew', () => {
  const cost = learn(9, 1, Array.from({ length: 20 }, () => mixed).flat());
  for (let round = 0; round < 40; round++) for (const rows of mixed) cost.note(rows, 12 * rows);
  expect(cost.rowsWithin(1.5)).toBe(1);
});
