import type { Label } from '../../shared/models.js';
import { mapScores } from '../../shared/scores.js';
import type { OutputKind } from '../kinds.js';

/** Known questions with their answers, the best match first. */
export const ranking: OutputKind = {
  predictions: (scores, labels) =>
    mapScores(scores, (index, score) => {
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

  // Every question is in every answer: what does not change of it is written once.
  referenceResult: (results, labels) => {
    const openings = openingsOf(labels);
    return results
      .map(({ scores }) => mapScores(scores, (index, score) => `${openings[index]}${score}]`))
      .map((entries) => `[${entries.join()}]`)
      .join();
  },
};

const openingsOfLabels = new WeakMap<readonly Label[], string[]>();

/** `[<question id>,<answer id>,` of each label. */
function openingsOf(labels: readonly Label[]): string[] {
  const known = openingsOfLabels.get(labels);
  if (known) return known;
  const openings = labels.map(({ id, answerId }) =>
    JSON.stringify([id, answerId]).replace(/]$/, ','),
  );
  openingsOfLabels.set(labels, openings);
  return openings;
}
