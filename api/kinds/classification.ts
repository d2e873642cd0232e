import type { OutputKind } from '../kinds.js';

/** Kinds of things, the likeliest first. */
export const classification: OutputKind = {
  predictions: (scores, labels) =>
    scores.map(([index, score]) => ({
      label: labels[index]?.text,
      score,
      id: labels[index]?.id,
    })),

  referenceTop: () => 3,

  referenceResult: (results, labels) => [
    Object.fromEntries(
      results.map(({ name, scores }) => [
        name,
        scores.map(([index, score]) => [`${labels[index]?.id} ${labels[index]?.text}`, score]),
      ]),
    ),
  ],
};
