// Tensors that callers send under the network's own input names.

import type { Tensor } from '../../shared/tensors.js';
import type { TensorValue } from '../engine/engine.js';
import { type Adapter, describe, invalid, rowsOf, takesSize, UnfitNetwork } from './network.js';
import { stack } from './stack.js';

/** @throws UnfitNetwork if an input is not a tensor, or has no first dimension for the rows */
export function makeTensorsAdapter(values: readonly TensorValue[]): Adapter {
  const isFit = values.every(({ datatype, shape }) => datatype !== undefined && shape.length > 0);
  if (!isFit || values.length === 0) {
    throw new UnfitNetwork('inputs that are tensors whose first dimension counts rows', values);
  }
  const byName = new Map(values.map((value) => [value.name, value]));

  return {
    countRows(inputs) {
      if (inputs.length !== values.length || !values.every(({ name }) => named(inputs, name))) {
        throw invalid(`the inputs ${values.map(wish).join(', ')}`, list(inputs));
      }
      const rows = new Set(inputs.map((tensor) => countRowsOf(tensor, byName)));
      const [count, ...others] = rows;
      if (count !== undefined && others.length === 0) return count;
      throw invalid('the same number of rows in each input', list(inputs));
    },
    stack: (items) =>
      values.map(({ name }) => stack(items.map((inputs) => named(inputs, name) as Tensor))),
  };
}

function countRowsOf(tensor: Tensor, byName: ReadonlyMap<string, TensorValue>): number {
  const value = byName.get(tensor.name) as TensorValue;
  const fits =
    tensor.datatype === value.datatype &&
    tensor.shape.length === value.shape.length &&
    tensor.shape.every((size, at) => takesSize(value.shape[at], size));
  if (fits) return rowsOf(tensor);
  throw invalid(wish(value), describe(tensor));
}

function named(inputs: readonly Tensor[], name: string): Tensor | undefined {
  return inputs.find((tensor) => tensor.name === name);
}

function list(inputs: readonly Tensor[]): string {
  return inputs.map(describe).join(', ') || 'none';
}

/** Describes an input of the network. Open dimensions are shown by name, or as -1. */
function wish({ name, datatype, shape }: TensorValue): string {
  return `${JSON.stringify(name)} of ${datatype}[${shape.map((size) => (size === '' ? -1 : size))}]`;
}
