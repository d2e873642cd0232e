// The inputs and outputs of a network: whether a tensor fits one, and how messages show them.

import { ScorelineError } from '../errors.js';
import type { Datatype, TensorHead } from './tensors.js';

/** What a network says of an input or output. An open dimension is a name, an empty text, or -1. */
export interface NetworkValue {
  readonly name: string;
  /** Undefined if no datatype on the wire can hold it. */
  readonly datatype: Datatype | undefined;
  readonly shape: ReadonlyArray<number | string>;
}

/** Whether a dimension of a network is open, or has this size. */
export function takesSize(dimension: number | string | undefined, size: number): boolean {
  return isOpen(dimension) || dimension === size;
}

export function isOpen(dimension: number | string | undefined): boolean {
  return typeof dimension !== 'number' || dimension < 1;
}

/** Whether the elements of a value are floats. */
export function isFloats({ datatype }: Pick<NetworkValue, 'datatype'>): boolean {
  return datatype?.startsWith('FP') ?? false;
}

/** Whether a tensor has the datatype of a value, as many dimensions, and sizes that it takes. */
export function takesTensor(value: NetworkValue, { datatype, shape }: TensorHead): boolean {
  return (
    datatype === value.datatype &&
    shape.length === value.shape.length &&
    shape.every((size, at) => takesSize(value.shape[at], size))
  );
}

/**
 * Checks that each dimension with a name has one size, wherever the network names it.
 * @param tensors fit the values of their names
 * @throws ScorelineError `tensor_invalid`
 */
export function checkNamedSizes(
  values: readonly NetworkValue[],
  tensors: readonly TensorHead[],
): void {
  const sizes = new Map<string, { size: number; tensor: TensorHead }>();
  for (const tensor of tensors) {
    const value = values.find(({ name }) => name === tensor.name);
    for (const [at, dimension] of (value?.shape ?? []).entries()) {
      if (typeof dimension !== 'string' || dimension === '') continue;
      const size = tensor.shape[at] as number;
      const known = sizes.get(dimension);
      if (known && known.size !== size) {
        throw new ScorelineError(
          'tensor_invalid',
          `Expected one size for the dimension ${showName(dimension)} of the network; got ${known.size} in ${showValue(known.tensor)} and ${size} in ${showValue(tensor)}.`,
        );
      }
      sizes.set(dimension, { size, tensor });
    }
  }
}

/** Returns the shape of a value as clients of the Open Inference Protocol see it: open sizes are -1. */
export function openShape({ shape }: Pick<NetworkValue, 'shape'>): number[] {
  return shape.map((size) => (typeof size === 'string' || isOpen(size) ? -1 : size));
}

/** Shows a value of a network, or a tensor without its data. Open dimensions are shown by name, or as -1. */
export function showValue({ name, datatype, shape }: NetworkValue): string {
  return `${showName(name)} of ${datatype}${showShape(shape.map((size) => (size === '' ? -1 : size)))}`;
}

/** Callers choose names and shapes, so long ones are cut. */
export function showName(name: string, charactersMax = 60): string {
  const isLong = name.length > charactersMax;
  return JSON.stringify(isLong ? `${name.slice(0, charactersMax)}…` : name);
}

export function showShape(shape: ReadonlyArray<number | string>): string {
  return shape.length > 16 ? `[${shape.slice(0, 16)},…]` : `[${shape}]`;
}
