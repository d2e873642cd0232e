import { describe, expect, test } from 'vitest';
import { BulkPace } from '../../worker/batch/bulk-pace.js';

const max = 16;

/** A pace at the time 1000, when a batch of bulk has ended after an interactive one. */
function makePace(bulk: { rows?: number; ms: number }): BulkPace {
  const pace = new BulkPace();
  pace.note({ priority: 'interactive', rows: 1, ranMs: 10, ms: 10 }, 900);
  pace.note({ priority: 'bulk', rows: max, ranMs: bulk.ms, ...bulk }, 1000);
  return pace;
}

describe('beside interactive items', () => {
  test('a batch of bulk has the rows that take half as long again as one', () => {
    expect(makePace({ ms: 24.5 }).rowsMax(max, 1000)).toBe(6);
  });

  test('it has one row at least', () => {
    expect(makePace({ ms: 160 }).rowsMax(max, 1000)).toBe(1);
  });

  test('it is full where a full one takes hardly longer', () => {
    expect(makePace({ ms: 14 }).rowsMax(max, 1000)).toBe(max);
    expect(makePace({ ms: 10 }).rowsMax(max, 1000)).toBe(max);
  });

  test('bulk pauses after a batch for three times as long as it ran, but not for long', () => {
    expect(makePace({ ms: 2 }).startsAt(1000)).toBe(1006);
    expect(makePace({ ms: 2000 }).startsAt(1000)).toBe(1020);
  });

  test('bulk does not pause if interactive ones come less than once a second', () => {
    const pace = makePace({ ms: 24.5 });
    pace.note({ priority: 'bulk', rows: max, ranMs: 24.5, ms: 24.5 }, 1899);
    expect(pace.startsAt(1899)).toBe(1919);
    expect(pace.startsAt(1900)).toBe(1900);
    expect(pace.rowsMax(max, 1900)).toBeLessThan(max);
  });
});

describe('alone', () => {
  test('bulk has full batches without a pause once no interactive one has run for ten seconds', () => {
    const pace = makePace({ ms: 160 });
    expect(pace.rowsMax(max, 10_899)).toBe(1);
    expect(pace.rowsMax(max, 10_900)).toBe(max);
    pace.note({ priority: 'bulk', rows: max, ranMs: 160, ms: 160 }, 10_900);
    expect(pace.startsAt(10_900)).toBe(10_900);
  });

  test('and so it has if none ever ran', () => {
    const pace = new BulkPace();
    pace.note({ priority: 'bulk', rows: 1, ranMs: 10, ms: 10 }, 900);
    pace.note({ priority: 'bulk', rows: max, ranMs: 160, ms: 160 }, 1000);
    expect(pace.rowsMax(max, 1000)).toBe(max);
    expect(pace.startsAt(1000)).toBe(1000);
  });
});
