// Tests the ranked outputs of an item, as workers send them (shared/tensors/scores.ts).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeRankedOutputs, mapScores } from '../../shared/tensors/scores.js';
import { checkTensor } from '../../shared/tensors/tensors.js';
import { packReplies, type Reply, unpackReplies } from '../../shared/wire/reply.js';

type Outputs = ReturnType<typeof makeRankedOutputs>;

const unpack = (outputs: Outputs) => ({
  classes: mapScores(outputs, (index) => index),
  values: mapScores(outputs, (_, score) => score),
});

/** Packs and unpacks the outputs, as they travel from worker to API. */
function travelled(outputs: Outputs): Outputs {
  const timing = { queueMs: 0, batchMs: 0, computeMs: 0, batchSize: 1 };
  const [reply] = unpackReplies(packReplies([{ id: 'odd', outputs, timing }]));
  return (reply as Extract<Reply, { outputs: unknown }>).outputs;
}

describe('ranked outputs', () => {
  test('keep classes and scores in order, to seven decimals', () => {
    const values = fc.array(fc.float({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: 200 });
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 2 ** 32 - 201 }), (scores, first) => {
        const classes = scores.map((_, at) => first + at).toReversed();
        const byClass = Object.fromEntries(scores.map((score, at) => [first + at, score]));
        const outputs = makeRankedOutputs(classes, byClass);
        for (const tensor of outputs) checkTensor(tensor);
        const unpacked = unpack(outputs);
        expect(unpack(travelled(outputs))).toEqual(unpacked);
        expect(unpacked.classes).toEqual(classes);
        for (const [at, score] of scores.toReversed().entries()) {
          expect(unpacked.values[at]).toBeCloseTo(score, 6);
        }
      }),
    );
  });

  test('are named tensors with one row', () => {
    const heads = makeRankedOutputs([2, 0], [0.25, 0, 0.75]).map(({ data: _, ...head }) => head);
    expect(heads).toEqual([
      { name: 'classes', datatype: 'UINT32', shape: [1, 2] },
      { name: 'scores', datatype: 'FP32', shape: [1, 2] },
    ]);
  });

  test('keep a probability of seven decimals exactly', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e7 }), (score) => {
        const outputs = makeRankedOutputs([3], { 3: score / 1e7 });
        expect(unpack(outputs)).toEqual({ classes: [3], values: [score / 1e7] });
      }),
    );
  });

  test('without classes or scores are reported as a bug', () => {
    const [classes, scores] = makeRankedOutputs([0], [1]) as [Outputs[0], Outputs[0]];
    expect(() => mapScores([classes], () => {})).toThrow(
      /lacks the output "scores". This is a bug/,
    );
    expect(() => mapScores([scores], () => {})).toThrow(/lacks the output "classes"/);
  });
});
