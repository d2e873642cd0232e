// Several items as one batch: their tensors one after the other along the first dimension.

import type { Tensor } from '../../shared/tensors.js';

/**
 * Stacks tensors of one datatype and inner shape. The result is called and shaped like the first,
 * with the rows of all, in memory of its own.
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
 * The same text for inputs that can share a run: those of the same names and datatypes, and of the
 * same shapes beyond the first dimension.
 */
export function shapeKey(inputs: readonly Tensor[]): string {
  const [only] = inputs;
  if (only && inputs.length === 1) return keyOf(only);
  return inputs.map(keyOf).toSorted().join(' ');
}

function keyOf({ name, datatype, shape }: Tensor): string {
  let key = `${name}:${datatype}`;
  // The number of dimensions is in the key too: [2] and [2, 1] hold as much, and are not the same.
  for (let at = 1; at < shape.length; at++) key += `,${shape[at]}`;
  return shape.length === 0 ? `${key},no rows` : key;
}
