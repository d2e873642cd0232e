// Inputs for those that score without an API: to warm a model up, to check and to measure it.

import type { ImageInput } from '../../shared/manifest.js';
import { countElements, elementBytes, encodeStrings, type Tensor } from '../../shared/tensors.js';
import type { TensorValue } from '../engine/engine.js';
import type { InputKind } from './adapter.js';

/** One row for a model: the example's text, noise for a picture, or zeros for named tensors. */
export function sampleInputs(
  input: InputKind,
  example: string,
  values: readonly TensorValue[] = [],
): Tensor[] {
  if (input.kind === 'tensors') return values.map(makeZeros);
  if (input.kind === 'text') return textInputs(example);
  const noise = { length: input.height * input.width * 3 };
  return pixelInputs(
    input,
    Uint8Array.from(noise, (_, at) => (at * 2654435761) >>> 24),
  );
}

/** The inputs of an item of one text. */
export function textInputs(text: string): Tensor[] {
  return [{ name: 'input', datatype: 'BYTES', shape: [1], data: encodeStrings([text]) }];
}

/** The inputs of an item of one picture: its pixels, row by row, red, green and blue. */
export function pixelInputs({ height, width }: ImageInput, data: Uint8Array): Tensor[] {
  return [{ name: 'input', datatype: 'UINT8', shape: [1, height, width, 3], data }];
}

/** A row of zeros, or of empty texts; 1 for each dimension that varies. */
function makeZeros({ name, datatype = 'FP32', shape }: TensorValue): Tensor {
  const sizes = shape.map((size) => (typeof size === 'number' && size > 0 ? size : 1));
  // An empty text is its length, four bytes of zero.
  const bytes = countElements(sizes) * (elementBytes[datatype] ?? 4);
  return { name, datatype, shape: sizes, data: new Uint8Array(bytes) };
}
