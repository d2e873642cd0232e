// Tensors that callers send under the network's own input names.

import { showValue, takesTensor } from '../../../shared/tensors/network.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { TensorValue } from '../../engine/engine.js';
import { type Adapter, invalid, listTensors, rowsOf, UnfitNetwork } from '../network/network.js';
import { stack } from './stack.js';

/** @throws UnfitNetwork if an input is not a tensor, or has no first dimension for the rows */
export function makeTensorsAdapter(values: readonly TensorValue[]): Adapter {
  const isFit = values.every(({ datatype, shape }) => datatype !== undefined && shape.length > 0);
  if (!isFit || values.length === 0) {
    throw new UnfitNetwork(
      'inputs that are tensors whose first dimension counts rows',
      values,
      'If a request is to be a run of its own, set batch: none.',
    );
  }
  const pick = makePick(values);

  return {
    countRows(inputs) {
      const rows = new Set(pick(inputs).map(rowsOf));
      const [count, ...others] = rows;
      if (count !== undefined && others.length === 0) return count;
      throw invalid('the same number of rows in each input', listTensors(inputs));
    },
    stack(items) {
      const inOrder = items.map(pick);
      return values.map((_, at) => stack(inOrder.map((inputs) => inputs[at] as Tensor)));
    },
  };
}

/**
 * Makes the adapter of a network without a batch dimension. Each of its batches is one item.
 * @throws UnfitNetwork if an input is not a tensor
 */
export function makeWholeTensorsAdapter(values: readonly TensorValue[]): Adapter {
  if (values.length === 0 || values.some(({ datatype }) => datatype === undefined)) {
    throw new UnfitNetwork('inputs that are tensors of a datatype that can travel', values);
  }
  const pick = makePick(values);

  return {
    countRows(inputs) {
      pick(inputs);
      return 1;
    },
    stack([inputs = [], ...others]) {
      if (others.length > 0) throw new Error('One item is a batch here. This is a bug.');
      return pick(inputs).map(withOwnMemory);
    },
  };
}

/** Returns an item's tensors in the order of the network's inputs. */
type Pick = (inputs: readonly Tensor[]) => readonly Tensor[];

/** Makes a function that throws `tensor_invalid` if an item's tensors do not fit the network. */
function makePick(values: readonly TensorValue[]): Pick {
  return (inputs) => {
    const picked = values.map(({ name }) => inputs.find((tensor) => tensor.name === name));
    if (inputs.length !== values.length || !picked.every((tensor) => tensor !== undefined)) {
      throw invalid(`the inputs ${values.map(showValue).join(', ')}`, listTensors(inputs));
    }
    for (const [at, tensor] of picked.entries()) {
      const value = values[at] as TensorValue;
      if (!takesTensor(value, tensor)) throw invalid(showValue(value), showValue(tensor));
    }
    return picked;
  };
}

/** Copies a tensor, because the engine takes over the memory of its inputs. */
function withOwnMemory(tensor: Tensor): Tensor {
  const data = Buffer.allocUnsafeSlow(tensor.data.byteLength);
  data.set(tensor.data);
  return { ...tensor, data };
}
