// Finds the output of a network that has the scores.

import { ScorelineError } from '../../shared/errors.js';
import { scoresOf } from '../../shared/manifest.js';
import type { Model } from '../../shared/models.js';
import { countElements } from '../../shared/tensors.js';
import type { TensorValue } from '../engine/engine.js';
import { listValues, takesInner } from './network.js';

/**
 * Returns the name of the output with the scores, the first of floats: a classifier of skl2onnx
 * outputs the label before its probabilities.
 * @throws ScorelineError `model_file_wrong` if there is none, or if it has another number of scores
 * than the model has labels
 */
export function findScores(model: Model, values: readonly TensorValue[]): string {
  const { known } = scoresOf(model.manifest);
  const scores = values.find(({ name, datatype }) => name !== known && /^FP/.test(datatype ?? ''));
  if (!scores) {
    throw new ScorelineError(
      'model_file_wrong',
      `${model.name}: expected an output of scores, float32, float64 or float16; got ${listValues(values)}.${remedyFor(values)}`,
    );
  }
  const sizes = scores.shape.slice(1);
  const isDeclared = sizes.every((size): size is number => typeof size === 'number' && size > 0);
  if (!isDeclared || countElements(sizes) === model.labels.length) return scores.name;
  const { labels } = scoresOf(model.manifest);
  throw new ScorelineError(
    'model_file_wrong',
    `${model.name}: expected a score for each of the ${model.labels.length} labels in ${labels}; got ${listValues([scores])}, which has ${countElements(sizes)}. Give ${labels} a label for each score, in the same order.`,
  );
}

/**
 * Checks that the first output of floats, which a regression answers with, is one number for each row.
 * @throws ScorelineError `model_file_wrong`
 */
export function checkNumber({ name }: Model, values: readonly TensorValue[]): void {
  const number = values.find(({ datatype }) => datatype?.startsWith('FP'));
  if (number && (takesInner(number, []) || takesInner(number, [1]))) return;
  throw new ScorelineError(
    'model_file_wrong',
    `${name}: expected an output of floats with one number for each row, since its output is a regression; got ${listValues(values)}. Outputs of several numbers need input and output of the kind tensors.`,
  );
}

/** By default, skl2onnx wraps a classifier's probabilities in a sequence of maps. */
export function remedyFor(values: readonly TensorValue[]): string {
  const isWrapped = values.some(({ type }) => type === 'no tensor');
  return isWrapped
    ? ' An output that is not a tensor cannot be used: export the model with the option zipmap: False.'
    : '';
}
