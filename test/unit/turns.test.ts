import { expect, test } from 'vitest';
import { bulkEvery, Turns } from '../../worker/batch/turns.js';

const both = { interactive: true, bulk: true };

test('while both wait, one of ten batches is bulk', () => {
  const turns = new Turns();
  const taken = Array.from({ length: 3 * bulkEvery }, () => {
    const priority = turns.next(both);
    turns.take(priority, true);
    return priority;
  });
  expect(taken.filter((priority) => priority === 'bulk')).toHaveLength(3);
  expect(taken.slice(0, bulkEvery - 1)).not.toContain('bulk');
});

test('bulk has all turns while nothing else waits, and none while it does not wait', () => {
  const turns = new Turns();
  expect(turns.next({ interactive: false, bulk: true })).toBe('bulk');
  expect(turns.next({ interactive: true, bulk: false })).toBe('interactive');
});
