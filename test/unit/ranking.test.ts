import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ranking } from '../../api/kinds/ranking.js';
import { makeRankedOutputs, mapScores } from '../../shared/tensors/scores.js';

const labels = Array.from({ length: 40 }, (_, index) => ({
  id: index % 2 === 0 ? 1000 + index : `Frage „${index}“ – 問`,
  answerId: 5 * index,
  text: `Question ${index}?`,
}));

const results = fc.array(
  fc
    .array(
      fc.oneof(
        fc.float({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(0, 1, 1e-7, 0.5, 0.1, 0.9999999, -0),
        fc.float({ noNaN: true, noDefaultInfinity: true }),
      ),
      { minLength: 1, maxLength: labels.length },
    )
    .map((values) => ({
      name: '',
      outputs: makeRankedOutputs([...values.keys()].toReversed(), values),
    })),
  { minLength: 1, maxLength: 3 },
);

describe('the questions in the answer of POST /score', () => {
  test('are written as JSON.stringify would write them, for any scores', () => {
    fc.assert(
      fc.property(results, (given) => {
        const text = ranking.referenceResult(given, labels);
        const expected = given.map(({ outputs }) =>
          mapScores(outputs, (index, score) => [labels[index]?.id, labels[index]?.answerId, score]),
        );
        expect(JSON.parse(`[${text}]`)).toEqual(JSON.parse(JSON.stringify(expected)));
      }),
      { numRuns: 500 },
    );
  });
});
