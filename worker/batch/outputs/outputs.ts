// Chooses the outputs that a batch must compute, and gives each item its share of them.

import { ScorelineError } from '../../../shared/errors.js';
import type { DeclaredTensor } from '../../../shared/manifest/network.js';
import type { Model } from '../../../shared/registry/models.js';
import { showName, showShape, showValue, takesSize } from '../../../shared/tensors/network.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { OutputWish } from '../../../shared/wire/job.js';
import type { TensorValue } from '../../engine/engine.js';
import { listValues } from '../network/network.js';
import { findNumbers, makeAnswer } from './answer.js';
import { checkNumber, remedyFor } from './score-output.js';
import { split } from './split.js';

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
   * wants an answer and one of its scores is not a finite number. `rows` has each item's row count.
   * @throws ScorelineError `model_output_mismatch` if the outputs have another number of rows or
   * scores
   */
  share(
    outputs: readonly Tensor[],
    wishes: readonly OutputWish[],
    rows: readonly number[],
  ): (readonly Tensor[] | undefined)[];
  /**
   * Returns the network's scores in a batch that `needed` an answer, before the activation; undefined
   * if the model has no labels.
   */
  scoresOf(outputs: readonly Tensor[]): Float32Array | undefined;
}

/**
 * @throws ScorelineError `model_file_wrong` if the model has no output of scores for its labels, or
 * lacks another output that its manifest names
 */
export function makeOutputs(model: Model, inFile: readonly TensorValue[]): Outputs {
  const { network, batch } = model.manifest;
  const values = inFile.map((value) => withDeclaredShape(value, network?.outputs));
  const tensors = network?.outputs ?? values.filter(({ datatype }) => datatype);
  const tensorNames = tensors.map(({ name }) => name);
  const answer = makeAnswer(model, values, tensorNames);
  const numbers = findNumbers(model, values);
  const hasRows = batch.dimension === 'first';

  const needed = (wishes: readonly OutputWish[]) => {
    const names = new Set<string>();
    for (const { top, outputs } of wishes) {
      const wanted = top === undefined ? (outputs ?? tensorNames) : (answer?.names ?? []);
      for (const name of wanted) names.add(name);
    }
    return [...names];
  };

  const divide = (output: Tensor, rows: readonly number[]) =>
    hasRows ? split(output, rows) : [output];

  return {
    needed,
    scoresOf: (outputs) => answer?.scoresOf(outputs),
    check({ top, outputs }) {
      if (top !== undefined) {
        if (!answer) throw noRanking(model);
      } else if (outputs !== undefined) {
        const unknown = outputs.find((name) => !tensorNames.includes(name));
        if (unknown !== undefined) throw noOutput(unknown, values);
      }
    },
    share(outputs, wishes, rows) {
      const byName = new Map(outputs.map((output) => [output.name, output]));
      for (const output of outputs) {
        if (numbers.includes(output.name))
          checkNumber(output, 'its answer is a regression', remedy);
        const declared = network?.outputs.find(({ name }) => name === output.name);
        if (declared) checkSizes(output, declared, hasRows);
      }
      const isAnswered = wishes.some(({ top }) => top !== undefined);
      const answered = (isAnswered && answer?.share(byName, wishes, rows)) || [];
      if (wishes.every(({ top }) => top !== undefined)) return answered;
      const wanted = needed(wishes.filter(({ top }) => top === undefined));
      const parts = new Map(
        wanted.map((name) => [name, divide(byName.get(name) as Tensor, rows)] as const),
      );
      return wishes.map(({ top, outputs: names = tensorNames }, at) =>
        top === undefined ? names.map((name) => parts.get(name)?.[at] as Tensor) : answered[at],
      );
    },
  };
}

const remedy = 'Outputs of several numbers need the kind tensors.';

/**
 * Checks that a run returned the sizes that callers are told; the number of rows is for `split`. ONNX Runtime does not
 * hold a network to what its file declares.
 * @throws ScorelineError `model_output_mismatch`
 */
function checkSizes({ shape }: Tensor, declared: DeclaredTensor, hasRows: boolean): void {
  const first = hasRows ? 1 : 0;
  if (shape.length < first) return;
  const isTaken = (size: number, at: number) => at < first || takesSize(declared.shape[at], size);
  if (shape.length === declared.shape.length && shape.every(isTaken)) return;
  throw new ScorelineError(
    'model_output_mismatch',
    `Expected ${showValue(declared)}, as network.outputs declares; the model returned ${showShape(shape)}. Correct the shape in the file, or in the manifest, with -1 for each size that varies.`,
  );
}

/** The manifest has the last word, since a file may be wrong about its outputs, or say nothing. */
function withDeclaredShape(
  value: TensorValue,
  declared: readonly DeclaredTensor[] = [],
): TensorValue {
  const shape = declared.find(({ name }) => name === value.name)?.shape;
  return shape ? { ...value, shape } : value;
}

function noRanking({ name }: Model): ScorelineError {
  return new ScorelineError(
    'tensor_invalid',
    `Expected a wish for outputs of ${name}, which has no labels to rank; got one for the best classes.`,
  );
}

function noOutput(name: string, values: readonly TensorValue[]): ScorelineError {
  return new ScorelineError(
    'tensor_invalid',
    `Expected an output that the model has as a tensor; got ${showName(name)}. The outputs: ${listValues(values)}.${remedyFor(values.filter((value) => value.name === name))}`,
  );
}
