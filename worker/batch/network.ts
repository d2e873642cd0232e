// What a network says of its inputs, and whether tensors fit them.

import { ScorelineError } from '../../shared/errors.js';
import type { Tensor } from '../../shared/tensors.js';
import type { TensorValue } from '../engine/engine.js';

export interface Adapter {
  /**
   * The number of rows of an item, at least 1.
   * @throws ScorelineError `tensor_invalid` with what was expected and what came
   */
  countRows(inputs: readonly Tensor[]): number;
  /**
   * One batch of items that were counted and have the same `shapeKey`: a tensor for each input of
   * the network, in memory of its own.
   */
  stack(items: ReadonlyArray<readonly Tensor[]>): Tensor[];
}

/** The network does not take what the manifest says; the message says what it takes. */
export class UnfitNetwork extends Error {
  constructor(expected: string, inputs: readonly TensorValue[]) {
    const came = inputs.map(({ name, type, shape }) => `${name}: ${type}[${shape}]`).join(', ');
    super(`expected a model with ${expected}, as the manifest's input says; got ${came}`);
  }
}

/** Whether a dimension of the network is open, or is this size. */
export function takesSize(dimension: number | string | undefined, size: number): boolean {
  return typeof dimension !== 'number' || dimension < 1 || dimension === size;
}

/** Whether these sizes beyond the first dimension fit the network's input. */
export function takesInner(value: TensorValue, inner: readonly number[]): boolean {
  return (
    value.shape.length === inner.length + 1 &&
    inner.every((size, at) => takesSize(value.shape[at + 1], size))
  );
}

/**
 * The sole tensor of an item.
 * @throws ScorelineError `tensor_invalid`
 */
export function soleTensor(inputs: readonly Tensor[]): Tensor {
  const [only] = inputs;
  if (only && inputs.length === 1) return only;
  throw invalid('one tensor', inputs.map(describe).join(', ') || 'none');
}

/**
 * The number of rows.
 * @throws ScorelineError `tensor_invalid` when there are none
 */
export function rowsOf(tensor: Tensor): number {
  const [rows] = tensor.shape;
  if (rows !== undefined && rows > 0) return rows;
  throw invalid('at least one row, counted by the first dimension', describe(tensor));
}

export function describe({ name, datatype, shape }: Tensor): string {
  return `${JSON.stringify(name)} of ${datatype}[${shape}]`;
}

export function invalid(expected: string, came: string): ScorelineError {
  return new ScorelineError('tensor_invalid', `Expected ${expected}; got ${came}.`);
}
