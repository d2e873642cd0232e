// Ranks the scores of a batch. Rankings and classifications are both scores over a list of classes.
// Only the best classes travel; the API turns them into an answer.

import { ScorelineError } from '../../../shared/errors.js';
import type { ScoresOutput } from '../../../shared/manifest/output.js';
import { makeRankedOutputs } from '../../../shared/tensors/scores.js';
import { countElements, type Tensor } from '../../../shared/tensors/tensors.js';
import { stack } from '../inputs/stack.js';

/** A loop, because `every` takes ten times as long: 2 µs for the classes of the FAQ matcher. */
function areNumbers(row: Float32Array): boolean {
  for (let index = 0; index < row.length; index++) {
    if (!Number.isFinite(row[index])) return false;
  }
  return true;
}

/**
 * Ranks each row of an item. Returns the best `top` classes of each row, or all if there are fewer,
 * as `classes` and `scores` of shape [rows, top]. The best class is first; equal scores are in the
 * order of their classes. Returns undefined if a score is not a finite number.
 */
export type Rank = (rows: Float32Array, top: number) => readonly Tensor[] | undefined;

/**
 * Makes a ranking function for rows of `classes` scores; of one score each, that of the second of two
 * classes, if they are binary.
 */
export function makeRank(options: {
  classes: number;
  activation: ScoresOutput['activation'];
  threshold?: ScoresOutput['threshold'];
  isBinary?: boolean;
}): Rank {
  const { classes, activation, threshold, isBinary = false } = options;
  const width = isBinary ? 1 : classes;
  const sortAll = makeSortAll(classes);
  const activate = activations[activation];
  const reaches = makeReaches(threshold);
  const rankRow = (row: Float32Array, top: number) => {
    const activated = activate(row);
    const scores = isBinary ? withComplement(activated) : activated;
    if (reaches) {
      const above = sortAll(scores).filter((index) => reaches(index, scores[index] as number));
      return makeRankedOutputs(above.subarray(0, top), scores);
    }
    const order = top < 16 ? selectBest(scores, top) : sortAll(scores).subarray(0, top);
    return makeRankedOutputs(order, scores);
  };
  return (rows, top) => {
    if (!areNumbers(rows)) return undefined;
    if (rows.length === width) return rankRow(rows, top);
    if (reaches) throw new Error('Rows with a threshold are ranked one by one. This is a bug.');
    const ranked: (readonly Tensor[])[] = [];
    for (let at = 0; at < rows.length; at += width) {
      ranked.push(rankRow(rows.subarray(at, at + width), top));
    }
    return [0, 1].map((output) => stack(ranked.map((tensors) => tensors[output] as Tensor)));
  };
}

const activations = { none: (row: Float32Array) => row, softmax, sigmoid } as const;

/** Returns a function that says whether a class has the score that it needs; undefined if none needs one. */
function makeReaches(
  threshold: ScoresOutput['threshold'],
): ((index: number, score: number) => boolean) | undefined {
  if (threshold === undefined) return undefined;
  // In the precision of the scores: 0.7 is a little less there.
  const least = Float32Array.from([threshold].flat());
  if (typeof threshold === 'number') return (_, score) => score >= (least[0] as number);
  return (index, score) => score >= (least[index] as number);
}

/** Makes the scores of two classes of that of the second. */
function withComplement(row: Float32Array): Float32Array {
  const [second] = row as unknown as [number];
  return Float32Array.of(1 - second, second);
}

/**
 * Checks that each row has a score for each class.
 * @throws ScorelineError `model_output_mismatch`, with both numbers
 */
export function checkScores({ shape }: Tensor, expected: { rows: number; classes: number }): void {
  const [rows, ...rest] = shape;
  const scores = countElements(rest);
  if (rows === expected.rows && scores === expected.classes) return;
  const detail =
    rows === expected.rows
      ? `Expected ${expected.classes} scores for each input, one for each label; the model returned ${scores}. Each score needs a label.`
      : `Expected ${expected.rows} rows of scores, one for each input; the model returned ${rows ?? 'none'}.`;
  throw new ScorelineError('model_output_mismatch', detail);
}

/**
 * Makes a function that sorts all classes by score. It sorts 64-bit keys, to avoid calling a
 * function for each comparison, and reuses its memory: the result is valid until the next call.
 *
 * A key's high word is the score's bits, which sort like the scores once those of negative scores
 * are inverted. Its low word is the inverted class, so equal scores keep the order of their
 * classes.
 */
function makeSortAll(classes: number): (scores: Float32Array) => Uint32Array {
  const keys = new BigUint64Array(classes);
  // Each key is a low word and then a high one, since ONNX Runtime exists for little-endian only.
  const words = new Uint32Array(keys.buffer);
  const order = new Uint32Array(classes);
  return (scores) => {
    const bits = new Uint32Array(scores.buffer, scores.byteOffset, classes);
    for (let index = 0; index < classes; index++) {
      const pattern = scores[index] === 0 ? 0 : (bits[index] as number);
      words[2 * index] = ~index;
      words[2 * index + 1] = pattern & 0x8000_0000 ? ~pattern : pattern | 0x8000_0000;
    }
    keys.sort();
    for (let at = 0; at < classes; at++) order[classes - 1 - at] = ~(words[2 * at] as number);
    return order;
  };
}

/** Selects a few of many classes in one pass, since most scores are below the worst one kept. */
function selectBest(scores: Float32Array, count: number): number[] {
  const best: number[] = [];
  /** The worst score kept, once there are enough. */
  let floor = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] as number;
    if (score <= floor) continue;
    let at = Math.min(best.length, count - 1);
    for (; at > 0 && score > (scores[best[at - 1] as number] as number); at--) {
      best[at] = best[at - 1] as number;
    }
    best[at] = index;
    if (best.length === count) floor = scores[best[count - 1] as number] as number;
  }
  return best;
}

function softmax(row: Float32Array): Float32Array {
  const max = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exponentials = row.map((value) => Math.exp(value - max));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

function sigmoid(row: Float32Array): Float32Array {
  return row.map((value) => 1 / (1 + Math.exp(-value)));
}
