// Scores over a list of classes, and how they travel: the best classes of an item as two tensors.
// As JSON, an answer with all classes of a model costs more than anything but the model's run.

import type { Tensor } from './tensors.js';

/** The names of the outputs that a ranked reply has. */
const classesName = 'classes';
const scoresName = 'scores';

/**
 * The outputs of one item of one row: the classes in the order given, as UINT32, and the score of
 * each, as FP32. The score of a class stands at its index in `scores`.
 */
export function makeRankedOutputs(
  classes: ArrayLike<number>,
  scores: Readonly<Record<number, number>>,
): readonly Tensor[] {
  const count = classes.length;
  const memory = new ArrayBuffer(count * 8);
  const classWords = new Uint32Array(memory, 0, count);
  const scoreWords = new Float32Array(memory, count * 4, count);
  for (let at = 0; at < count; at++) {
    const classIndex = classes[at] as number;
    classWords[at] = classIndex;
    scoreWords[at] = scores[classIndex] as number;
  }
  const shape = [1, count];
  return [
    { name: classesName, datatype: 'UINT32', shape, data: Buffer.from(memory, 0, count * 4) },
    { name: scoresName, datatype: 'FP32', shape, data: Buffer.from(memory, count * 4) },
  ];
}

/** Calls `visit` for each class with its score, best first. */
export function eachScore(
  outputs: readonly Tensor[],
  visit: (classIndex: number, score: number) => void,
): void {
  const classes = viewOf(outputs, classesName);
  const scores = viewOf(outputs, scoresName);
  for (let at = 0; at < classes.byteLength; at += 4) {
    visit(classes.getUint32(at, true), roundScore(scores.getFloat32(at, true)));
  }
}

/** What `word` makes of each class and its score, best first. */
export function mapScores<T>(
  outputs: readonly Tensor[],
  word: (classIndex: number, score: number) => T,
): T[] {
  const words: T[] = [];
  eachScore(outputs, (classIndex, score) => {
    words.push(word(classIndex, score));
  });
  return words;
}

/** Unaligned memory, as it comes out of a packed reply, has no typed arrays. */
function viewOf(outputs: readonly Tensor[], name: string): DataView {
  const tensor = outputs.find((output) => output.name === name);
  if (!tensor) throw new Error(`A ranked reply has the output "${name}". This is a bug.`);
  return new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}

/** Seven decimals: as many as a float32 near 1 has, and short to read. */
function roundScore(score: number): number {
  return Math.round(score * 1e7) / 1e7;
}
