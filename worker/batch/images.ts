// Images. Each item has one tensor of pixels, UINT8 [rows, height, width, 3], which the API has
// decoded and resized. The worker stacks the bytes, and converts them to floats if the network does
// not do so itself. A caller may also send floats of the network's own shape, which are only
// stacked.

import type { ImageInput } from '../../shared/manifest.js';
import { showTensor } from '../../shared/network.js';
import type { Tensor } from '../../shared/tensors.js';
import type { TensorValue } from '../engine/engine.js';
import { type Adapter, invalid, rowsOf, soleTensor, takesInner, UnfitNetwork } from './network.js';
import { stack } from './stack.js';

/** @throws UnfitNetwork if the network does not take one image tensor as the manifest says */
export function makeImageAdapter(input: ImageInput, values: readonly TensorValue[]): Adapter {
  const { height, width } = input;
  const isFloats = input.tensor === 'float32-nchw';
  const datatype = isFloats ? 'FP32' : 'UINT8';
  const inner = isFloats ? [3, height, width] : [height, width, 3];
  const [value] = values;
  const isFit = values.length === 1 && value?.datatype === datatype && takesInner(value, inner);
  if (!value || !isFit) {
    throw new UnfitNetwork(
      `one input of ${isFloats ? 'float32' : 'uint8'}[N,${inner}], since its input is an image of ${width} × ${height} as ${input.tensor}`,
      values,
    );
  }
  const { name } = value;
  const stackPixels = isFloats ? makeStackChannels(input) : stack;

  return {
    countRows(inputs) {
      const tensor = soleTensor(inputs);
      if (isOf(tensor, 'UINT8', [height, width, 3])) return rowsOf(tensor);
      if (isFloats && isOf(tensor, 'FP32', inner)) return rowsOf(tensor);
      throw invalid(
        `pixels, UINT8[rows,${height},${width},3]${isFloats ? `, or FP32[rows,${inner}]` : ''}`,
        showTensor(tensor),
      );
    },
    stack(items) {
      const tensors = items.map(([tensor]) => tensor as Tensor);
      const isPixels = tensors[0]?.datatype === 'UINT8';
      return [{ ...(isPixels ? stackPixels(tensors) : stack(tensors)), name }];
    },
  };
}

function isOf(tensor: Tensor, datatype: Tensor['datatype'], inner: readonly number[]): boolean {
  const { shape } = tensor;
  if (tensor.datatype !== datatype || shape.length !== inner.length + 1) return false;
  return inner.every((size, at) => size === shape[at + 1]);
}

/**
 * Makes a function that stacks pixels as FP32 [N, 3, height, width], (pixel / 255 - mean) / std. It
 * looks each of the 256 pixel values up in a table.
 */
function makeStackChannels(input: ImageInput): (tensors: readonly Tensor[]) => Tensor {
  const mean = input.mean ?? [0, 0, 0];
  const std = input.std ?? [1, 1, 1];
  const tables = [0, 1, 2].map((channel) =>
    Float32Array.from(
      { length: 256 },
      (_, pixel) => (pixel / 255 - (mean[channel] as number)) / (std[channel] as number),
    ),
  );
  const plane = input.height * input.width;
  return (tensors) => {
    let rows = 0;
    for (const { shape } of tensors) rows += shape[0] as number;
    const floats = new Float32Array(rows * 3 * plane);
    let at = 0;
    for (const { data } of tensors) {
      for (let from = 0; from < data.byteLength; from += 3 * plane) {
        for (const [channel, table] of tables.entries()) {
          separateChannel(data, from + channel, table, floats.subarray(at, at + plane));
          at += plane;
        }
      }
    }
    const shape = [rows, 3, input.height, input.width];
    return { name: 'input', datatype: 'FP32', shape, data: new Uint8Array(floats.buffer) };
  };
}

function separateChannel(
  pixels: Uint8Array,
  from: number,
  table: Float32Array,
  plane: Float32Array,
): void {
  for (let at = 0; at < plane.length; at++) {
    plane[at] = table[pixels[from + at * 3] as number] as number;
  }
}
