import type { Label } from '../../shared/models.js';
import { mapScores, type Scores } from '../../shared/scores.js';
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

  referenceResult: (results, labels) =>
    results.map(({ scores }) => `[${writeEntries(scores, labels)}]`).join(),
};

/**
 * `[<question id>,<answer id>,<score>],…`, of parts that are written already: all questions are in
 * every answer of `POST /score`, and JSON.stringify took twice as long.
 */
function writeEntries({ classes, values }: Scores, labels: readonly Label[]): string {
  const openings = openingsOf(labels);
  let entries = '';
  for (let at = 0; at < classes.length; at++) {
    if (at > 0) entries += ',';
    entries += `${openings[classes[at] as number]}${writeScore(values[at] as number)}]`;
  }
  return entries;
}

const firstDecimals = Array.from({ length: 1001 }, (_, number) => (number / 1e3).toFixed(3));
const lastDecimals = Array.from({ length: 1e4 }, (_, number) => String(number).padStart(4, '0'));

/** A probability with its seven decimals; any other number as it is. */
function writeScore(score: number): string {
  if (!(score >= 0 && score <= 1)) return String(score);
  const digits = Math.round(score * 1e7);
  const first = Math.trunc(digits / 1e4);
  return `${firstDecimals[first]}${lastDecimals[digits - first * 1e4]}`;
}

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
