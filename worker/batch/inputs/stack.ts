// Joins the tensors of several items into one batch, along the first dimension.

import type { Tensor } from '../../../shared/tensors/tensors.js';

/**
 * Stacks tensors of the same datatype and inner shape. The result has the first one's name and
 * inner shape, and the rows of all. Its memory is not shared, so it can be transferred.
 */
export function stack(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  if (!first) throw new Error('There is nothing to stack. This is a bug.');
  let rows = 0;
  let bytes = 0;
  for (const { shape, data } of tensors) {
    rows += shape[0] as number;
    bytes += data.byteLength;
  }
  const data = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  for (const tensor of tensors) {
    data.set(tensor.data, at);
    at += tensor.data.byteLength;
  }
  return { ...first, shape: [rows, ...first.shape.slice(1)], data };
}

/**
 * Returns a key that is equal for inputs that can share a run: inputs with the same names and
 * datatypes, and the same shapes after the first dimension.
 */
export function shapeKey(inputs: readonly Tensor[]): string {
  const [only] = inputs;
  if (only && inputs.length === 1) return keyOf(only);
  return inputs.map(keyOf).toSorted().join(' ');
}

function keyOf({ name, datatype, shape }: Tensor): string {
  let key = `${name}:${datatype}`;
  // The key separates the number of dimensions too: [2] and [2, 1] are different shapes.
  for (let at = 1; at < shape.length; at++) key += `,${shape[at]}`;
  return shape.length === 0 ? `${key},no rows` : key;
}
