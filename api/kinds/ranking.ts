import { z } from 'zod';
import type { Label } from '../../shared/manifest/labels.js';
import { eachScore } from '../../shared/tensors/scores.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
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
 * Writes `[[<question id>,<answer id>,<score>],…]` from prepared parts. An answer of `POST /score` holds all
 * questions, and JSON.stringify would take four times as long.
 *
 * V8 takes as long to store one byte as four. So texts are stored as words of four bytes, little-endian. What the
 * last word of a text has too many is overwritten by the next one.
 */
function writeEntries(outputs: readonly Tensor[], labels: readonly Label[]): string {
  const { openings, bytesMax } = partsOf(labels);
  if (page.length < bytesMax) page = Buffer.alloc(bytesMax);
  const target = new DataView(page.buffer, page.byteOffset, page.length);
  let at = 0;
  eachScore(outputs, (index, score) => {
    const { words, length } = openings[index] as Text;
    for (let word = 0; word < words.length; word++) {
      target.setUint32(at + 4 * word, words[word] as number, true);
    }
    at = writeScore(target, score, at + length);
  });
  return `[${page.toString('latin1', 2, at)}]]`;
}

/** `.000` to `.999`, and `0000` to `9999`. */
const thousandths = wordsOf(1e3, (number) => `.${String(number).padStart(3, '0')}`);
const tenThousands = wordsOf(1e4, (number) => String(number).padStart(4, '0'));

/**
 * Writes a probability with seven decimals, and any other number as `String` does.
 * @returns the position after the number
 */
function writeScore(target: DataView, score: number, start: number): number {
  if (!(score >= 0 && score <= 1)) return start + page.write(String(score), start, 'latin1');
  const digits = Math.round(score * 1e7);
  const whole = digits >= 1e7 ? 1 : 0;
  const first = Math.trunc((digits - whole * 1e7) / 1e4);
  const last = digits - whole * 1e7 - first * 1e4;
  target.setUint8(start, 0x30 + whole);
  target.setUint32(start + 1, thousandths[first] as number, true);
  target.setUint32(start + 5, tenThousands[last] as number, true);
  return start + 9;
}

function wordsOf(count: number, write: (number: number) => string): Uint32Array {
  return Uint32Array.from({ length: count }, (_, number) =>
    Buffer.from(write(number)).readUInt32LE(),
  );
}

/** A text in words. Its last word may have bytes after the text. */
interface Text {
  readonly words: Uint32Array;
  /** In bytes. */
  readonly length: number;
}

function makeText(ascii: string): Text {
  const { length } = ascii;
  const bytes = Buffer.from(ascii.padEnd(4 * Math.ceil(length / 4)));
  return {
    words: Uint32Array.from({ length: bytes.length / 4 }, (_, word) =>
      bytes.readUInt32LE(4 * word),
    ),
    length,
  };
}

interface Parts {
  readonly openings: readonly Text[];
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
    makeText(`],[${writeAscii([id, answerId]).slice(1, -1)},`),
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
