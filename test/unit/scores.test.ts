import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mapScores } from '../../shared/tensors/scores.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import { checkScores, makeRank } from '../../worker/batch/outputs/rank.js';
import { errorOf } from './sample-model.js';

describe('the scores of a batch', () => {
  const scoresOf = (shape: number[]): Tensor => ({
    name: 'scores',
    datatype: 'FP32',
    shape,
    data: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
  });

  const rowsGot = (rows: string) =>
    `Expected 2 rows of scores, one for each input; the model returned ${rows}.`;
  const scoresGot = (scores: number) =>
    `Expected 3 scores for each input, one for each label; the model returned ${scores}. Each score needs a label.`;

  test.each([[[2, 3]], [[2, 3, 1, 1]]])('may have the shape %j', (shape) => {
    checkScores(scoresOf(shape), { rows: 2, classes: 3 });
  });

  test.each([
    { what: 'fewer rows than came in', shape: [1, 3], detail: rowsGot('1') },
    { what: 'more rows than came in', shape: [3, 3], detail: rowsGot('3') },
    { what: 'fewer scores than classes', shape: [2, 2], detail: scoresGot(2) },
    { what: 'more scores than classes', shape: [2, 4], detail: scoresGot(4) },
    {
      what: 'the right number of scores in the wrong number of rows',
      shape: [3, 2],
      detail: rowsGot('3'),
    },
    { what: 'no rows', shape: [0, 3], detail: rowsGot('0') },
    { what: 'no dimensions', shape: [], detail: rowsGot('none') },
  ])('are refused with model_output_mismatch if they have $what', ({ shape, detail }) => {
    const error = errorOf(() => checkScores(scoresOf(shape), { rows: 2, classes: 3 }));
    expect(error.code).toBe('model_output_mismatch');
    expect(error.message).toBe(detail);
  });
});

/** Rows with many equal scores, and rows with scores of any magnitude. */
const row = fc
  .array(
    fc.oneof(
      fc.constantFrom(0, -0, 0.25, 0.5, 1),
      fc.float({ noNaN: true, noDefaultInfinity: true }),
    ),
    { minLength: 1, maxLength: 60 },
  )
  .map((values) => Float32Array.from(values));
const top = fc.integer({ min: 1, max: 70 });

/** Ranks by definition, without regard to speed: a stable sort, cut off. */
function sortThenCut(scores: Float32Array, count: number): number[] {
  return [...scores.keys()]
    .toSorted((a, b) => (scores[b] as number) - (scores[a] as number))
    .slice(0, count);
}

type Activation = Parameters<typeof makeRank>[0]['activation'];

/** The best classes of a row, and their scores. */
function rank(row: Float32Array, count: number, activation: Activation) {
  const outputs = makeRank({ classes: row.length, activation })(row, count);
  return unpack(outputs as readonly Tensor[]);
}

function unpack(outputs: readonly Tensor[]) {
  return {
    classes: mapScores(outputs, (index) => index),
    values: mapScores(outputs, (_, score) => score),
  };
}

describe('the best classes', () => {
  test('are those of a stable sort, for any row and any number of classes', () => {
    fc.assert(
      fc.property(row, top, (scores, count) => {
        const { classes, values } = rank(scores, count, 'none');
        expect(classes).toEqual(sortThenCut(scores, count));
        for (const [at, index] of classes.entries()) {
          const exact = scores[index] as number;
          expect(Math.abs((values[at] as number) - exact)).toBeLessThanOrEqual(
            1e-7 + 1e-6 * Math.abs(exact),
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  test.each([2, 5, 15, 16, 40])(
    'keep the order of the classes if scores tie, for top %i',
    (count) => {
      const scores = new Float32Array(40).fill(0.5);
      scores[7] = 0.9;
      scores[31] = 0.9;
      const order = [7, 31, ...Array.from({ length: 40 }, (_, index) => index)]
        .filter((index, at) => at < 2 || (index !== 7 && index !== 31))
        .slice(0, count);
      expect(rank(scores, count, 'none').classes).toEqual(order);
    },
  );

  test('are right for each row, also if it is part of a larger buffer', () => {
    const rank = makeRank({ classes: 20, activation: 'none' });
    const rows = Float32Array.from({ length: 60 }, (_, index) => Math.sin(index));
    for (const from of [0, 20, 40]) {
      const row = rows.subarray(from, from + 20);
      expect(unpack(rank(row, 20) as readonly Tensor[]).classes).toEqual(sortThenCut(row, 20));
    }
  });

  test('do not change the row', () => {
    const scores = Float32Array.of(0.1, 0.7, 0.2);
    rank(scores, 3, 'none');
    rank(scores, 3, 'softmax');
    expect(scores).toEqual(Float32Array.of(0.1, 0.7, 0.2));
  });

  test.each([3, 20])('are ranked row by row for an item with several rows, for top %i', (top) => {
    const rank = makeRank({ classes: 20, activation: 'softmax' });
    const rows = Float32Array.from({ length: 60 }, (_, index) => Math.cos(index));
    const each = [0, 20, 40].map((from) => rank(rows.subarray(from, from + 20), top));
    const all = rank(rows, top) as readonly Tensor[];
    expect(all.map(({ shape }) => shape)).toEqual([
      [3, top],
      [3, top],
    ]);
    for (const output of [0, 1]) {
      const parts = each.map((outputs) => outputs?.[output]?.data as Uint8Array);
      expect(Buffer.compare(Buffer.concat(parts), all[output]?.data as Uint8Array)).toBe(0);
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('are undefined if a score is %d', (score) => {
    const rank = makeRank({ classes: 2, activation: 'none' });
    expect(rank(Float32Array.of(0.5, 0.5, score, 0.5), 1)).toBeUndefined();
  });

  test('have no digits beyond the precision of a float', () => {
    expect(rank(Float32Array.of(0.1), 1, 'none').values).toEqual([0.1]);
  });
});

describe('softmax', () => {
  const logits = fc
    .array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 60 })
    .map((values) => Float32Array.from(values));

  test('makes scores from 0 to 1 that sum to 1, for logits of any size', () => {
    fc.assert(
      fc.property(logits, (values) => {
        const scores = rank(values, values.length, 'softmax').values;
        expect(Math.min(...scores)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...scores)).toBeLessThanOrEqual(1);
        expect(scores.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
      }),
      { numRuns: 300 },
    );
  });

  test('is right for logits whose exponentials overflow', () => {
    const scores = rank(Float32Array.of(10_000, 10_000 + Math.LN2, -10_000), 3, 'softmax');
    expect(scores.classes).toEqual([1, 0, 2]);
    expect(scores.values[0]).toBeCloseTo(2 / 3, 3);
    expect(scores.values[1]).toBeCloseTo(1 / 3, 3);
    expect(scores.values[2]).toBe(0);
  });

  test('has the ratios of the exponentials', () => {
    const scores = rank(Float32Array.of(Math.log(1), Math.log(2), Math.log(5)), 3, 'softmax');
    expect(scores.classes).toEqual([2, 1, 0]);
    for (const [at, share] of [5 / 8, 2 / 8, 1 / 8].entries()) {
      expect(scores.values[at]).toBeCloseTo(share, 6);
    }
  });
});
