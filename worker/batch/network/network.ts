// A network's declared inputs, and checks whether tensors fit them.

import { ScorelineError } from '../../../shared/errors.js';
import { showValue, takesSize } from '../../../shared/tensors/network.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { TensorValue } from '../../engine/engine.js';

/** Turns items of one kind of input into batches for the network. */
export interface Adapter {
  /**
   * Checks an item's inputs and counts its rows, at least 1.
   * @throws ScorelineError `tensor_invalid`, with what was expected and what was given
   */
  countRows(inputs: readonly Tensor[]): number;
  /**
   * Stacks items that passed `countRows` and have the same `shapeKey` into one batch. Returns a
   * tensor for each input of the network. No tensor shares its memory with another.
   */
  stack(items: ReadonlyArray<readonly Tensor[]>): Tensor[];
}

/** The network's inputs do not match the manifest. The message says what the network takes. */
export class UnfitNetwork extends Error {
  constructor(expected: string, inputs: readonly TensorValue[], remedy = '') {
    super(`expected a model with ${expected}; got ${listValues(inputs)}${remedy && `. ${remedy}`}`);
  }
}

/** Lists inputs or outputs of a network for an error's detail. */
export function listValues(values: readonly TensorValue[]): string {
  return values.map(({ name, type, shape }) => `${name}: ${type}[${shape}]`).join(', ');
}

/** Whether `inner`, the sizes after the first dimension, fit the network's input. */
export function takesInner(value: TensorValue, inner: readonly number[]): boolean {
  return (
    value.shape.length === inner.length + 1 &&
    inner.every((size, at) => takesSize(value.shape[at + 1], size))
  );
}

/**
 * Returns the only tensor of an item.
 * @throws ScorelineError `tensor_invalid` if there is not exactly one
 */
export function soleTensor(inputs: readonly Tensor[]): Tensor {
  const [only] = inputs;
  if (only && inputs.length === 1) return only;
  throw invalid('one tensor', listTensors(inputs));
}

/**
 * Returns a tensor's number of rows.
 * @throws ScorelineError `tensor_invalid` if there are none
 */
export function rowsOf(tensor: Tensor): number {
  const [rows] = tensor.shape;
  if (rows !== undefined && rows > 0) return rows;
  throw invalid('at least one row, counted by the first dimension', showValue(tensor));
}

/** Lists an item's tensors for an error's detail. */
export function listTensors(tensors: readonly Tensor[]): string {
  return tensors.map(showValue).join(', ') || 'none';
}

export function invalid(expected: string, got: string): ScorelineError {
  return new ScorelineError('tensor_invalid', `Expected ${expected}; got ${got}.`);
}
