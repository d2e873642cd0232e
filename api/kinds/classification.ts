import { mapScores } from '../../shared/scores.js';
import type { OutputKind } from './kinds.js';

/** Kinds of things, the likeliest first. */
export const classification: OutputKind = {
  predictions: (scores, labels) =>
    mapScores(scores, (index, score) => ({
      label: labels[index]?.text,
      score,
      id: labels[index]?.id,
    })),

  referenceTop: () => 3,

  referenceResult: (results, labels) =>
    JSON.stringify(
      Object.fromEntries(
        results.map(({ name, scores }) => [
          name,
          mapScores(scores, (index, score) => [
            `${labels[index]?.id} ${labels[index]?.text}`,
            score,
          ]),
        ]),
      ),
    ),
};
