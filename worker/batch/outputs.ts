// Which outputs a batch needs, and what each item gets of them.

import { ScorelineError } from '../../shared/errors.js';
import type { Item } from '../../shared/job.js';
import type { Model } from '../../shared/models.js';
import { type Tensor, toFloats } from '../../shared/tensors.js';
import type { TensorValue } from '../engine/engine.js';
import { checkScores, makeRank } from './rank.js';
import { split, sum } from './split.js';

export type OutputWish = Pick<Item, 'top' | 'outputs'>;

export interface Outputs {
  /**
   * Checks what an item wants.
   * @throws ScorelineError `tensor_invalid` when the model has no such output
   */
  check(wish: OutputWish): void;
  /** The names of the outputs that these items need. */
  needed(wishes: readonly OutputWish[]): string[];
  /**
   * What each item gets, in order; undefined where a score is no number. `rows` says how many rows
   * each item has.
   * @throws ScorelineError `model_output_mismatch`
   */
  share(
    outputs: readonly Tensor[],
    wishes: readonly OutputWish[],
    rows: readonly number[],
  ): (readonly Tensor[] | undefined)[];
}

/** @throws ScorelineError `model_file_wrong` when no output can be used */
export function makeOutputs(model: Model, values: readonly TensorValue[]): Outputs {
  const classes = model.labels.length;
  const tensorNames = values.filter(({ datatype }) => datatype).map(({ name }) => name);
  // A classifier of skl2onnx has the label as its first output; the scores are the floats.
  const scoresName = values.find(({ datatype }) => datatype === 'FP32')?.name;
  if (scoresName === undefined) throw noScores(model, values);
  const rank = makeRank({ classes, activation: model.manifest.output.activation });

  const rankAll = (scores: Tensor, wishes: readonly OutputWish[], rows: readonly number[]) => {
    checkScores(scores, { rows: sum(rows), classes });
    const floats = toFloats(scores);
    let at = 0;
    return wishes.map(({ top }, index) => {
      const from = at;
      at += (rows[index] as number) * classes;
      return top === undefined ? undefined : rank(floats.subarray(from, at), top);
    });
  };

  const needed = (wishes: readonly OutputWish[]) => {
    const names = new Set<string>();
    for (const { top, outputs } of wishes) {
      if (top !== undefined) names.add(scoresName);
      else for (const name of outputs ?? tensorNames) names.add(name);
    }
    return [...names];
  };

  return {
    needed,
    check({ top, outputs }) {
      if (top !== undefined || outputs === undefined) return;
      const unknown = outputs.find((name) => !tensorNames.includes(name));
      if (unknown !== undefined) throw noOutput(unknown, values);
    },
    share(outputs, wishes, rows) {
      const byName = new Map(outputs.map((output) => [output.name, output]));
      const isRanked = wishes.some(({ top }) => top !== undefined);
      const ranked = isRanked ? rankAll(byName.get(scoresName) as Tensor, wishes, rows) : [];
      if (wishes.every(({ top }) => top !== undefined)) return ranked;
      const wanted = needed(wishes.filter(({ top }) => top === undefined));
      const parts = new Map(
        wanted.map((name) => [name, split(byName.get(name) as Tensor, rows)] as const),
      );
      return wishes.map(({ top, outputs: names = tensorNames }, at) =>
        top === undefined ? names.map((name) => parts.get(name)?.[at] as Tensor) : ranked[at],
      );
    },
  };
}

function noScores(model: Model, values: readonly TensorValue[]): ScorelineError {
  return new ScorelineError(
    'model_file_wrong',
    `${model.name}: expected an output of float32 scores; got ${list(values)}.${remedy(values)}`,
  );
}

function noOutput(name: string, values: readonly TensorValue[]): ScorelineError {
  return new ScorelineError(
    'tensor_invalid',
    `Expected an output that the model has as a tensor; got ${JSON.stringify(name)}. The outputs: ${list(values)}.${remedy(values.filter((value) => value.name === name))}`,
  );
}

function list(values: readonly TensorValue[]): string {
  return values.map(({ name, type, shape }) => `${name}: ${type}[${shape}]`).join(', ');
}

/** skl2onnx wraps a classifier's probabilities in a sequence of maps unless it is told not to. */
function remedy(values: readonly TensorValue[]): string {
  const isWrapped = values.some(({ type }) => type === 'no tensor');
  return isWrapped
    ? ' An output that is no tensor cannot be used: export the model with the option zipmap: False.'
    : '';
}
