// Finds the outputs of a network that a manifest speaks of.

import { ScorelineError } from '../../../shared/errors.js';
import type { Label } from '../../../shared/manifest/labels.js';
import type { Scores } from '../../../shared/manifest/output.js';
import { isFloats, showName } from '../../../shared/tensors/network.js';
import { countElements, type Tensor } from '../../../shared/tensors/tensors.js';
import type { TensorValue } from '../../engine/engine.js';
import { listValues, takesInner } from '../network/network.js';

/** Something that scores classes, or answers with a number, and its place in the manifest. */
export interface Place {
  /** The name of the model. */
  readonly model: string;
  readonly key: string;
}

export interface Classes extends Place {
  readonly output: Scores & { readonly known?: string | undefined };
  readonly labels: readonly Label[];
}

/**
 * Finds the output with the scores: the one that the manifest names, or the first of floats, since a
 * classifier of skl2onnx outputs the label before its probabilities.
 * @returns its name, and whether it has a single score in each row, that of the second of two classes
 * @throws ScorelineError `model_file_wrong` if there is none, or if it has another number of scores
 * than there are labels
 */
export function findScores(
  classes: Classes,
  values: readonly TensorValue[],
): { name: string; isBinary: boolean } {
  const { labels, output } = classes;
  const scores = findFloats(classes, output.tensor, values, output.known);
  const { name } = scores;
  const sizes = scores.shape.slice(1);
  const isDeclared = sizes.every((size): size is number => typeof size === 'number' && size > 0);
  const count = isDeclared ? countElements(sizes) : labels.length;
  if (count === labels.length) return { name, isBinary: false };
  if (count === 1 && labels.length === 2) {
    if (output.activation !== 'softmax') return { name, isBinary: true };
    throw wrong(
      classes,
      'activation',
      `expected sigmoid, or none for a probability, since ${listValues([scores])} has one score for two labels; got softmax, which would make 1 of any score`,
    );
  }
  const file = output.labels ?? 'the labels';
  throw wrong(
    classes,
    'labels',
    `expected a score for each of the ${labels.length} labels in ${file}; got ${listValues([scores])}, which has ${count}. Give ${file} a label for each score, in the same order.`,
  );
}

/**
 * Finds the output of floats, which a regression answers with, and checks that it is one number for each row.
 * @throws ScorelineError `model_file_wrong`
 */
export function findNumber(
  place: Place,
  tensor: string | undefined,
  values: readonly TensorValue[],
): string {
  const number = findFloats(place, tensor, values);
  if (takesInner(number, []) || takesInner(number, [1])) return number.name;
  throw wrong(
    place,
    'kind',
    `expected an output of floats with one number for each row, since its output is a regression; got ${listValues([number])}. Outputs of several numbers need the kind tensors.`,
  );
}

/**
 * Checks that each row has one number. A file may leave the size open, or be wrong about it.
 * @throws ScorelineError `model_output_mismatch`
 */
export function checkNumber({ name, shape }: Tensor, because: string, remedy: string): void {
  const count = countElements(shape.slice(1));
  if (count === 1) return;
  throw new ScorelineError(
    'model_output_mismatch',
    `Expected one number for each input in the output ${showName(name)}, since ${because}; the model returned ${count}. ${remedy}`,
  );
}

/**
 * Finds an output that is a tensor, by its name.
 * @throws ScorelineError `model_file_wrong`
 */
export function findTensor(
  place: Place,
  name: string,
  values: readonly TensorValue[],
): TensorValue {
  const value = values.find((candidate) => candidate.name === name);
  if (value?.datatype !== undefined) return value;
  throw wrong(
    place,
    'tensor',
    `expected an output of the network that is a tensor; got ${showName(name)}. The outputs: ${listValues(values)}.${remedyFor(values)}`,
  );
}

/**
 * Finds the output of texts, one for each row, with the JSON of a program.
 * @throws ScorelineError `model_file_wrong`
 */
export function findTexts(place: Place, tensor: string, values: readonly TensorValue[]): string {
  const value = findTensor(place, tensor, values);
  if (value.datatype === 'BYTES' && takesInner(value, [])) return value.name;
  throw wrong(
    place,
    'tensor',
    `expected an output of BYTES of the shape [-1], since its output is JSON; got ${listValues([value])}`,
  );
}

function findFloats(
  place: Place,
  tensor: string | undefined,
  values: readonly TensorValue[],
  known?: string,
): TensorValue {
  const value =
    tensor === undefined
      ? values.find((candidate) => candidate.name !== known && isFloats(candidate))
      : findTensor(place, tensor, values);
  if (value && isFloats(value)) return value;
  throw wrong(
    place,
    'tensor',
    `expected an output of scores or numbers, float32, float64 or float16; got ${listValues(value ? [value] : values)}.${remedyFor(values)}`,
  );
}

function wrong({ model, key }: Place, inner: string, message: string): ScorelineError {
  return new ScorelineError('model_file_wrong', `${model}: ${key}.${inner}: ${message}`);
}

/** By default, skl2onnx wraps a classifier's probabilities in a sequence of maps. */
export function remedyFor(values: readonly TensorValue[]): string {
  const isWrapped = values.some(({ type }) => type === 'no tensor');
  return isWrapped
    ? ' An output that is not a tensor cannot be used: export the model with the option zipmap: False.'
    : '';
}
