import { mapScores } from '../../shared/scores.js';
import type { OutputKind } from './kind.js';
import { makeWritePredictions } from './predictions.js';

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
};
