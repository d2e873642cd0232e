// Chooses the outputs that a batch must compute, and gives each item its share of them.

import { ScorelineError } from '../../shared/errors.js';
import type { Item } from '../../shared/job.js';
import type { Model } from '../../shared/models.js';
import { type Tensor, toFloats } from '../../shared/tensors.js';
import type { TensorValue } from '../engine/engine.js';
import { makeKnown } from './known.js';
import { listValues } from './network.js';
import { checkScores, makeRank } from './rank.js';
import { findScores, remedyFor } from './score-output.js';
import { split, sum } from './split.js';

/** What an item's caller wants: the best classes, or certain outputs. */
export type OutputWish = Pick<Item, 'top' | 'outputs'>;

export interface Outputs {
  /**
   * Checks that the model has the outputs that an item wants.
   * @throws ScorelineError `tensor_invalid` if it lacks one
   */
  check(wish: OutputWish): void;
  /** Returns the names of the model's outputs that these items need. */
  needed(wishes: readonly OutputWish[]): string[];
  /**
   * Divides the outputs of a batch among its items, in order. An item's share is undefined if it
   * wants a ranking and one of its scores is not a finite number. `rows` has each item's row count.
   * @throws ScorelineError `model_output_mismatch` if the outputs have another number of rows or
   * scores
   */
  share(
    outputs: readonly Tensor[],
    wishes: readonly OutputWish[],
    rows: readonly number[],
  ): (readonly Tensor[] | undefined)[];
  /** Returns the network's scores in a batch that `needed` a ranking, before the activation. */
  scoresOf(outputs: readonly Tensor[]): Float32Array;
}

/**
 * @throws ScorelineError `model_file_wrong` if the model has no output of scores for its labels, or
 * lacks another output that its manifest names
 */
export function makeOutputs(model: Model, values: readonly TensorValue[]): Outputs {
  const classes = model.labels.length;
  const tensorNames = values.filter(({ datatype }) => datatype).map(({ name }) => name);
  const known = makeKnown(model, values);
  const scoresName = findScores(model, values);
  const rank = makeRank({ classes, activation: model.manifest.output.activation });

  const rankAll = (
    byName: ReadonlyMap<string, Tensor>,
    wishes: readonly OutputWish[],
    rows: readonly number[],
  ) => {
    const scores = byName.get(scoresName) as Tensor;
    checkScores(scores, { rows: sum(rows), classes });
    const floats = toFloats(scores);
    const knownParts = known?.share(byName.get(known.name) as Tensor, rows);
    let at = 0;
    return wishes.map(({ top }, index) => {
      const from = at;
      at += (rows[index] as number) * classes;
      if (top === undefined) return undefined;
      const ranked = rank(floats.subarray(from, at), top);
      return ranked && knownParts ? [...ranked, knownParts[index] as Tensor] : ranked;
    });
  };

  const needed = (wishes: readonly OutputWish[]) => {
    const names = new Set<string>();
    for (const { top, outputs } of wishes) {
      if (top !== undefined) {
        names.add(scoresName);
        if (known) names.add(known.name);
      } else for (const name of outputs ?? tensorNames) names.add(name);
    }
    return [...names];
  };

  return {
    needed,
    scoresOf: (outputs) => toFloats(outputs.find(({ name }) => name === scoresName) as Tensor),
    check({ top, outputs }) {
      if (top !== undefined || outputs === undefined) return;
      const unknown = outputs.find((name) => !tensorNames.includes(name));
      if (unknown !== undefined) throw noOutput(unknown, values);
    },
    share(outputs, wishes, rows) {
      const byName = new Map(outputs.map((output) => [output.name, output]));
      const isRanked = wishes.some(({ top }) => top !== undefined);
      const ranked = isRanked ? rankAll(byName, wishes, rows) : [];
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

function noOutput(name: string, values: readonly TensorValue[]): ScorelineError {
  return new ScorelineError(
    'tensor_invalid',
    `Expected an output that the model has as a tensor; got ${JSON.stringify(name)}. The outputs: ${listValues(values)}.${remedyFor(values.filter((value) => value.name === name))}`,
  );
}
