// Images. Each item has one tensor of pixels, UINT8 [rows, height, width, channels], which the API has
// decoded, resized and put into the order of the network's channels. The worker makes the numbers and the
// layout that the network takes. A caller may also send tensors of the network's own shape, which are
// only stacked.

import {
  channelsOf,
  type ImageInput,
  imageTensor,
  pixelShape,
  scalingOf,
} from '../../../shared/manifest/image-input.js';
import { numberToHalf } from '../../../shared/tensors/half.js';
import { showValue } from '../../../shared/tensors/network.js';
import { numberArrays, type Tensor } from '../../../shared/tensors/tensors.js';
import type { TensorValue } from '../../engine/engine.js';
import {
  type Adapter,
  invalid,
  rowsOf,
  soleTensor,
  takesInner,
  UnfitNetwork,
} from '../network/network.js';
import { stack } from './stack.js';

/** @throws UnfitNetwork if the network does not take one image tensor as the manifest says */
export function makeImageAdapter(input: ImageInput, values: readonly TensorValue[]): Adapter {
  const { height, width } = input;
  const { datatype, inner } = imageTensor(input);
  const pixels = pixelShape(input);
  const [value] = values;
  const isFit = values.length === 1 && value?.datatype === datatype && takesInner(value, inner);
  if (!value || !isFit) {
    throw new UnfitNetwork(
      `one input of ${input.tensor.split('-')[0]}[N,${inner}], since its input is an image of ${width} × ${height} as ${input.tensor}`,
      values,
    );
  }
  const { name } = value;
  const isRaw = input.tensor === 'uint8-nhwc';
  const stackPixels = isRaw ? stack : makeStackPixels(input);

  return {
    countRows(inputs) {
      const tensor = soleTensor(inputs);
      if (isOf(tensor, 'UINT8', pixels) || isOf(tensor, datatype, inner)) return rowsOf(tensor);
      throw invalid(
        `pixels, UINT8[rows,${pixels}]${isRaw ? '' : `, or ${datatype}[rows,${inner}]`}`,
        showValue(tensor),
      );
    },
    stack(items) {
      const tensors = items.map(([tensor]) => tensor as Tensor);
      const arePixels = tensors[0] !== undefined && isOf(tensors[0], 'UINT8', pixels);
      return [{ ...(arePixels ? stackPixels(tensors) : stack(tensors)), name }];
    },
  };
}

function isOf(tensor: Tensor, datatype: Tensor['datatype'], inner: readonly number[]): boolean {
  const { shape } = tensor;
  if (tensor.datatype !== datatype || shape.length !== inner.length + 1) return false;
  return inner.every((size, at) => size === shape[at + 1]);
}

type Numbers = Uint8Array | Uint16Array | Float32Array;

/**
 * Makes a function that stacks pixels as the tensor of the network. It looks each of the 256 pixel values
 * up in a table.
 */
function makeStackPixels(input: ImageInput): (tensors: readonly Tensor[]) => Tensor {
  const { datatype, inner } = imageTensor(input);
  const channels = channelsOf(input);
  const tables = Array.from({ length: channels }, (_, channel) => makeTable(input, channel));
  const plane = input.height * input.width;
  const isPlanar = input.tensor.endsWith('nchw');
  return (tensors) => {
    let rows = 0;
    for (const { shape } of tensors) rows += shape[0] as number;
    const numbers = new numberArrays[datatype](rows * channels * plane);
    let at = 0;
    for (const { data } of tensors) {
      for (let from = 0; from < data.byteLength; from += channels * plane) {
        for (const [channel, table] of tables.entries()) {
          const pixels = { data, from: from + channel, step: channels, count: plane };
          if (isPlanar) convert(pixels, table, numbers.subarray(at + channel * plane), 1);
          else convert(pixels, table, numbers.subarray(at + channel), channels);
        }
        at += channels * plane;
      }
    }
    const data = new Uint8Array(numbers.buffer);
    return { name: 'input', datatype, shape: [rows, ...inner], data };
  };
}

/** Makes a table of what a channel's pixels become. FP16 is held as its bits. */
function makeTable(input: ImageInput, channel: number): Numbers {
  const { datatype } = imageTensor(input);
  const pixels = Array.from({ length: 256 }, (_, pixel) => pixel);
  if (datatype === 'UINT8') return Uint8Array.from(pixels);
  const scaled = pixels.map(scalingOf(input, channel));
  return datatype === 'FP16' ? Uint16Array.from(scaled, numberToHalf) : Float32Array.from(scaled);
}

/** Writes what the pixels of a channel become, each `step` numbers behind the one before. */
function convert(
  pixels: { data: Uint8Array; from: number; step: number; count: number },
  table: Numbers,
  numbers: Numbers,
  step: number,
): void {
  const { data, count } = pixels;
  let from = pixels.from;
  for (let at = 0, to = 0; at < count; at++, to += step) {
    numbers[to] = table[data[from] as number] as number;
    from += pixels.step;
  }
}
