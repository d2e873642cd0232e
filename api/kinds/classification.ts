import { z } from 'zod';
import { mapScores } from '../../shared/tensors/scores.js';
import type { OutputKind } from './kind.js';
import { makeWritePredictions, score } from './predictions.js';

/** Answers with classes, the likeliest first. */
export const classification: OutputKind = {
  writePredictions: makeWritePredictions(({ text, id }) => ({
    before: { label: text },
    after: { id },
  })),

  referenceTop: () => 3,

  referenceResult: (results, labels) =>
    JSON.stringify(
      Object.fromEntries(
        results.map(({ name, outputs }) => [
          name,
          mapScores(outputs, (index, score) => [
            `${labels[index]?.id} ${labels[index]?.text}`,
            score,
          ]),
        ]),
      ),
    ),

  form: {
    predictions: z
      .array(
        z.object({
          label: z.string().describe('The name of the class.'),
          score,
          id: z.union([z.string(), z.number()]).describe('The id of the class.'),
        }),
      )
      .describe('The best classes, best first.'),
    reference: z
      .record(z.string(), z.array(z.tuple([z.string(), score])))
      .describe(
        'By name of the input: its best classes as [id and name, score], the likeliest first.',
      ),
    codes: [],
  },
};
