import { describe, expect, test } from 'vitest';
import { type Answer, compareAnswers, judge } from '../../cli/models/optimizing/comparison.js';
import { drawTuning } from '../../cli/models/tuning/plot.js';
import { type Cell, chooseCell, chooseWait } from '../../cli/models/tuning/proposal.js';
import { makeSampleModel } from './sample-model.js';

const cell = (threads: number, batch: number, ms: number): Cell => ({
  ...{ threads, batch, medianMs: ms, p99Ms: ms },
  perSecond: (batch * 1000) / ms,
});

describe('the choice of threads and batch size', () => {
  const cells = [cell(1, 1, 4), cell(1, 8, 20), cell(1, 16, 39), cell(2, 1, 3), cell(2, 8, 12)];

  test('takes the most items a second of which two runs keep the goal', () => {
    expect(chooseCell(cells, 100)).toEqual({ cell: cell(2, 8, 12), isWithin: true });
    expect(chooseCell(cells, 14)).toEqual({ cell: cell(2, 1, 3), isWithin: true });
  });

  test('prefers fewer threads and smaller batches where they give nearly as much', () => {
    const alike = [cell(1, 8, 20), cell(1, 16, 39), cell(2, 8, 19.5)];
    expect(chooseCell(alike, 100).cell).toEqual(cell(1, 8, 20));
  });

  test('takes the shortest run if none keeps the goal, and says so', () => {
    expect(chooseCell(cells, 5)).toEqual({ cell: cell(2, 1, 3), isWithin: false });
  });
});

describe('the choice of waitMs', () => {
  const wait = (waitMs: number, perSecond: number, p99Ms = 20, refused = 0) => ({
    ...{ waitMs, perSecond, p99Ms, refused, clients: 8 },
  });

  test('takes a wait only if it gives clearly more within the goal', () => {
    expect(chooseWait([wait(0, 100), wait(1, 104), wait(5, 90)], 50)?.waitMs).toBe(0);
    expect(chooseWait([wait(0, 100), wait(1, 110), wait(5, 130)], 50)?.waitMs).toBe(5);
    expect(chooseWait([wait(0, 100), wait(1, 110), wait(5, 130, 60)], 50)?.waitMs).toBe(1);
    expect(chooseWait([wait(0, 100), wait(1, 150, 20, 1)], 50)?.waitMs).toBe(0);
  });
});

test('the plot of a tuning has a line for each number of threads, and the goal', () => {
  const cells = [cell(1, 1, 4), cell(1, 8, 20), cell(2, 1, 3), cell(2, 8, 12)];
  const svg = drawTuning('sample', cells, { longestMs: 22.5, chosen: cells[3] as Cell });
  expect(svg.match(/<polyline/g)).toHaveLength(4);
  expect(svg).toContain('2 threads');
  expect(svg).toContain('longest run within the goal');
  expect(svg).not.toMatch(/NaN|Infinity/);
});

describe('the comparison of answers', () => {
  const inputs = ['a', 'b', 'c', 'd'].map((name) => ({ name, inputs: [] }));
  const answers = (...rows: number[][]): Answer[] => rows.map((row) => [row]);

  test('of labels counts the inputs with the same best class', () => {
    const model = makeSampleModel();
    const before = answers([0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0, 1]);
    const after = answers([0.8, 0.2], [0.45, 0.55], [0.2, 0.8], [0, 1]);
    const found = compareAnswers(model, inputs, { before, after });
    expect(found).toMatchObject({ agreement: 0.75, differing: ['b'] });
    expect(found.differenceMax).toBeCloseTo(0.15);
    const known = inputs.map((input, at) => ({ ...input, classes: new Set([at < 2 ? 0 : 1]) }));
    expect(judge(known, before)).toEqual({ known: 4, share: 1 });
    expect(judge(known, after)).toEqual({ known: 4, share: 0.75 });
    expect(judge(inputs, after)).toBeUndefined();
  });

  test('of numbers allows a hundredth of the largest, and no other shape or NaN', () => {
    const model = { ...makeSampleModel(), labels: [] };
    const before = answers([100], [2], [3], [4]);
    const after = answers([100.9], [3.1], [Number.NaN], [4, 4]);
    const found = compareAnswers(model, inputs, { before, after });
    expect(found).toMatchObject({ agreement: 0.25, differing: ['b', 'c', 'd'] });
    const known = inputs.map((input) => ({ ...input, value: 2 }));
    expect(judge(known.slice(0, 2), before)).toEqual({ known: 2, meanError: 49 });
  });
});
