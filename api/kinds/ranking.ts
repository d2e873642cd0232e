import type { OutputKind } from '../kinds.js';

/** Known questions with their answers, the best match first. */
export const ranking: OutputKind = {
  predictions: (scores, labels) =>
    scores.map(([index, score]) => {
      const label = labels[index];
      return {
        label: String(label?.id),
        score,
        question: label?.text,
        answer: label?.answer,
        questionId: label?.id,
        answerId: label?.answerId,
      };
    }),

  referenceTop: (model) => model.labels.length,

  referenceResult: (results, labels) =>
    results.map(({ scores }) =>
      scores.map(([index, score]) => [labels[index]?.id, labels[index]?.answerId, score]),
    ),
};
