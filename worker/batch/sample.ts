// Sample inputs, to warm up, check and measure a model without an API.

import type { ImageInput, Manifest } from '../../shared/manifest.js';
import { isOpen, type NetworkValue } from '../../shared/network.js';
import { countElements, elementBytes, encodeStrings, type Tensor } from '../../shared/tensors.js';

/** Makes one row for a model: its sample text, an image of noise, or zeros for named tensors. */
export function sampleInputs(
  input: Manifest['input'],
  text: string,
  values: readonly NetworkValue[] = [],
): Tensor[] {
  if (input.kind === 'tensors') return values.map(makeZeros);
  if (input.kind === 'text') return textInputs(text);
  const noise = { length: input.height * input.width * 3 };
  return pixelInputs(
    input,
    Uint8Array.from(noise, (_, at) => (at * 2654435761) >>> 24),
  );
}

/** Returns the text of a model's example, or another if it has none. */
export function sampleText({ example, description }: Manifest): string {
  return example?.input ?? description;
}

/** Makes the inputs of an item of one text. */
export function textInputs(text: string): Tensor[] {
  return [{ name: 'input', datatype: 'BYTES', shape: [1], data: encodeStrings([text]) }];
}

/** Makes the inputs of an item of one image. `data` is its pixels as RGB bytes, row by row. */
export function pixelInputs({ height, width }: ImageInput, data: Uint8Array): Tensor[] {
  return [{ name: 'input', datatype: 'UINT8', shape: [1, height, width, 3], data }];
}

/** Makes a row of zeros, or of empty texts. Open dimensions get the size 1. */
function makeZeros({ name, datatype = 'FP32', shape }: NetworkValue): Tensor {
  const sizes = shape.map((size) => (isOpen(size) ? 1 : Number(size)));
  // An empty text consists of its length alone: four bytes of zero.
  const bytes = countElements(sizes) * (elementBytes[datatype] ?? 4);
  return { name, datatype, shape: sizes, data: new Uint8Array(bytes) };
}
