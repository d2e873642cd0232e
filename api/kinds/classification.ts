import { mapScores } from '../../shared/scores.js';
import type { OutputKind } from './kind.js';

/** Answers with classes, the likeliest first. */
export const classification: OutputKind = {
  predictions: (outputs, labels) =>
    mapScores(outputs, (index, score) => ({
      label: labels[index]?.text,
      score,
      id: labels[index]?.id,
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
