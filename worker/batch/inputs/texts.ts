// Texts. Each item has one tensor of strings, of shape [rows] or [rows, 1]. The network takes [N],
// or [N, 1], which is the shape that skl2onnx gives a pipeline.

import { showValue, takesSize } from '../../../shared/tensors/network.js';
import type { Tensor } from '../../../shared/tensors/tensors.js';
import type { TensorValue } from '../../engine/engine.js';
import { type Adapter, invalid, rowsOf, soleTensor, UnfitNetwork } from '../network/network.js';
import { stack } from './stack.js';

/** @throws UnfitNetwork if the network does not take one column of strings */
export function makeTextAdapter(values: readonly TensorValue[]): Adapter {
  const [value] = values;
  const isFit = values.length === 1 && value?.datatype === 'BYTES' && takesColumn(value.shape);
  if (!value || !isFit) {
    throw new UnfitNetwork(
      'one input of string[N] or string[N,1], since its input is a text',
      values,
      'Export the whole pipeline, from the texts on. Rows of numbers need input.kind: table.',
    );
  }
  const { name, shape } = value;

  return {
    countRows(inputs) {
      const tensor = soleTensor(inputs);
      if (tensor.datatype === 'BYTES' && takesColumn(tensor.shape)) return rowsOf(tensor);
      throw invalid('strings of shape [rows]', showValue(tensor));
    },
    stack(items) {
      const stacked = stack(items.map(([tensor]) => tensor as Tensor));
      const [rows] = stacked.shape as [number];
      return [{ ...stacked, name, shape: shape.length === 2 ? [rows, 1] : [rows] }];
    },
  };
}

/** Whether a shape is [N] or [N, 1]. */
function takesColumn([, width = 1, ...others]: ReadonlyArray<number | string>): boolean {
  return others.length === 0 && takesSize(width, 1);
}
