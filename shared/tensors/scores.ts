// Scores of classes, as they travel: an item's best classes and their scores, as two tensors. As
// JSON, an answer with all classes of a model costs more than anything but the model's run.

import type { Tensor } from './tensors.js';

/**
 * The names of the outputs of a ranked reply. A reply has the last one only if the model says that it
 * knows nothing of an input, because it would make each reply longer by a third.
 */
const classesName = 'classes';
const scoresName = 'scores';
const knownName = 'known';

/**
 * Makes the outputs of an item of one row: the classes in the given order as UINT32, and their
 * scores as FP32, both of shape [1, classes]. `scores` is indexed by class.
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

/** Makes the output that says of each row whether the model knows anything of it. */
export function makeKnownOutput(rows: readonly boolean[]): Tensor {
  const data = Uint8Array.from(rows, Number);
  return { name: knownName, datatype: 'BOOL', shape: [rows.length], data };
}

/** Tells whether the model knows anything of an item of one row, as far as it says so at all. */
export function isKnown(outputs: readonly Tensor[]): boolean {
  return outputs.find(({ name }) => name === knownName)?.data[0] !== 0;
}

/** Calls `visit` with each class and its score, in the order of the outputs: best first. */
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

/** Maps each class and its score with `map`, best first. */
export function mapScores<T>(
  outputs: readonly Tensor[],
  map: (classIndex: number, score: number) => T,
): T[] {
  const mapped: T[] = [];
  eachScore(outputs, (classIndex, score) => {
    mapped.push(map(classIndex, score));
  });
  return mapped;
}

/** A DataView, because a packed reply's memory may be unaligned, which typed arrays refuse. */
function viewOf(outputs: readonly Tensor[], name: string): DataView {
  const tensor = outputs.find((output) => output.name === name);
  if (!tensor) throw new Error(`A ranked reply lacks the output "${name}". This is a bug.`);
  return new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}

/** Rounds to seven decimals, as many as a float32 near 1 holds, to keep answers short. */
function roundScore(score: number): number {
  return Math.round(score * 1e7) / 1e7;
}
