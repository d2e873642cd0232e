import { z } from 'zod';
import type { Label } from '../../shared/labels.js';
import { eachScore } from '../../shared/scores.js';
import type { Tensor } from '../../shared/tensors.js';
import type { OutputKind } from './kind.js';
import { makeWritePredictions, score } from './predictions.js';

/** Answers with known questions and their answers, the best match first. */
export const ranking: OutputKind = {
  writePredictions: makeWritePredictions(({ id, text, answer, answerId }) => ({
    before: { label: String(id) },
    after: { question: text, answer, questionId: id, answerId },
  })),

  referenceTop: (model) => model.labels.length,

  referenceResult: (results, labels) =>
    results.map(({ outputs }) => writeEntries(outputs, labels)).join(),

  form: {
    predictions: z
      .array(
        z.object({
          label: z.string().describe('The id of the known question, as text.'),
          score,
          question: z.string().describe('The known question.'),
          answer: z.string().describe('Its answer.'),
          questionId: z.number(),
          answerId: z.number(),
        }),
      )
      .describe('The known questions that match best, best first.'),
    reference: z
      .array(z.tuple([z.number(), z.number(), score]))
      .describe('All known questions as [question id, answer id, score], the best match first.'),
    codes: [],
  },
};

/** Room for a score, its comma and its brackets. `String` of a number has at most 25 characters. */
const scoreBytesMax = 32;

/** The memory in which answers are written, one after the other. */
let page = Buffer.alloc(0);

/**
 * Writes `[[<question id>,<answer id>,<score>],…]` byte by byte from prepared parts. An answer of
 * `POST /score` holds all questions, and JSON.stringify would take three times as long.
 */
function writeEntries(outputs: readonly Tensor[], labels: readonly Label[]): string {
  const { openings, bytesMax } = partsOf(labels);
  if (page.length < bytesMax) page = Buffer.alloc(bytesMax);
  let at = 0;
  eachScore(outputs, (index, score) => {
    const opening = openings[index] as Buffer;
    for (let from = 0; from < opening.length; from++) page[at++] = opening[from] as number;
    at = writeScore(score, at);
  });
  return `[${page.toString('latin1', 2, at)}]]`;
}

const decimals = Buffer.from(
  Array.from({ length: 1e4 }, (_, number) => String(number).padStart(4, '0')).join(''),
);

/**
 * Writes a probability with seven decimals, and any other number as `String` does.
 * @returns the position after the number
 */
function writeScore(score: number, start: number): number {
  if (!(score >= 0 && score <= 1)) return start + page.write(String(score), start, 'latin1');
  let at = start;
  const digits = Math.round(score * 1e7);
  const whole = digits >= 1e7 ? 1 : 0;
  const first = Math.trunc((digits - whole * 1e7) / 1e4);
  const last = digits - whole * 1e7 - first * 1e4;
  page[at++] = 0x30 + whole;
  page[at++] = 0x2e;
  for (let from = 4 * first + 1; from < 4 * first + 4; from++)
    page[at++] = decimals[from] as number;
  for (let from = 4 * last; from < 4 * last + 4; from++) page[at++] = decimals[from] as number;
  return at;
}

interface Parts {
  readonly openings: readonly Buffer[];
  readonly bytesMax: number;
}
const partsOfLabels = new WeakMap<readonly Label[], Parts>();

/**
 * Prepares `],[<question id>,<answer id>,` for each label: the end of the previous entry, and the
 * beginning of its own.
 */
function partsOf(labels: readonly Label[]): Parts {
  const known = partsOfLabels.get(labels);
  if (known) return known;
  const openings = labels.map(({ id, answerId }) =>
    Buffer.from(`],${writeAscii([id, answerId]).replace(/]$/, ',')}`),
  );
  const bytesMax = openings.reduce((sum, { length }) => sum + length + scoreBytesMax, 0);
  const parts = { openings, bytesMax };
  partsOfLabels.set(labels, parts);
  return parts;
}

/** Writes JSON in ASCII, so each character is one byte. */
function writeAscii(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
