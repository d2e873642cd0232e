// Sample inputs, to warm up, check and measure a model without an API.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ScorelineError } from '../../../shared/errors.js';
import { exampleTensor, scoresExampleOf } from '../../../shared/manifest/example.js';
import { type ImageInput, pixelShape } from '../../../shared/manifest/image-input.js';
import type { Manifest } from '../../../shared/manifest/manifest.js';
import {
  type Block,
  type Cell,
  encodeBlock,
  holds,
  placeColumns,
  sampleRow,
} from '../../../shared/manifest/table.js';
import type { Model } from '../../../shared/registry/models.js';
import { numberToHalf } from '../../../shared/tensors/half.js';
import { isOpen, type NetworkValue, showValue } from '../../../shared/tensors/network.js';
import {
  countElements,
  type Datatype,
  encodeBytes,
  encodeStrings,
  numberArrays,
  stringLengthBytes,
  type Tensor,
} from '../../../shared/tensors/tensors.js';

/** As much as the largest `BODY_BYTES_MAX`: no request brings more. */
const bytesMax = 2 ** 30;

/**
 * Makes one row for a model: its sample text, an image of noise, a row of its table, or ones for named
 * tensors.
 */
export function sampleInputs(
  manifest: Pick<Manifest, 'input' | 'example' | 'description'>,
  values: readonly NetworkValue[] = [],
): Tensor[] {
  const { input, description } = manifest;
  const given = scoresExampleOf(manifest)?.input;
  if (input.kind === 'tensors') return values.map(makeOnes);
  if (input.kind === 'table') {
    const row = sampleRow(input.columns, given as Readonly<Record<string, Cell>> | undefined);
    return placeColumns(input.columns, values).map((block) =>
      encodeBlock(
        block,
        block.columns.map(({ name }) => toFit(row[name] as Cell, block)),
      ),
    );
  }
  if (input.kind === 'text') return textInputs(typeof given === 'string' ? given : description);
  if (input.kind === 'json') return textInputs(JSON.stringify(given ?? {}));
  if (input.kind === 'file') return fileInputs(Buffer.alloc(0));
  const noise = { length: countElements(pixelShape(input)) };
  return pixelInputs(
    input,
    Uint8Array.from(noise, (_, at) => (at * 2654435761) >>> 24),
  );
}

/** Returns the cell of a sample, or another if the example of the manifest is wrong. */
function toFit(cell: Cell, { datatype }: Block): Cell {
  if (datatype === 'BYTES') return String(cell);
  return holds(datatype, Number(cell)) ? cell : 1;
}

/**
 * Returns the example of a model of the kind tensors, or a sample.
 * @param values the inputs of the network, if the manifest does not declare them
 */
export function exampleOrSample(
  manifest: Manifest,
  values: readonly NetworkValue[] = [],
): readonly Tensor[] {
  return exampleInputs(manifest) ?? sampleInputs(manifest, manifest.network?.inputs ?? values);
}

/** Returns the inputs of the example of a model of the kind tensors, if there is one. */
export function exampleInputs({ network, example }: Manifest): Tensor[] | undefined {
  if (!network || !example || 'input' in example) return undefined;
  return network.inputs.map((value) => {
    const given = example.inputs.find(({ name }) => name === value.name);
    if (!given) throw new Error('An example without all inputs passed the schema. This is a bug.');
    return exampleTensor(value, given);
  });
}

/** Whether inputs to try a model with are made up, and need not make sense to it. */
export function isMadeUp({ input, example }: Manifest, inputs: readonly Tensor[]): boolean {
  if (input.kind === 'file') return inputs.every(({ data }) => data.length === stringLengthBytes);
  return example === undefined && input.kind !== 'text' && input.kind !== 'image';
}

/** Makes the inputs of an item of one text. */
export function textInputs(text: string): Tensor[] {
  return [{ name: 'input', datatype: 'BYTES', shape: [1], data: encodeStrings([text]) }];
}

/** Makes the inputs of an item of one file. */
export function fileInputs(bytes: Buffer): Tensor[] {
  return [{ name: 'input', datatype: 'BYTES', shape: [1], data: encodeBytes(bytes) }];
}

/** Reads the example of a model that takes files; undefined if there is none, or none that can be read. */
export function readFileExample({
  folder,
  manifest,
}: Pick<Model, 'folder' | 'manifest'>): Tensor[] | undefined {
  const example = scoresExampleOf(manifest);
  if (manifest.input.kind !== 'file' || !example) return undefined;
  try {
    return fileInputs(readFileSync(path.join(folder, String(example.input))));
  } catch {
    return undefined;
  }
}

/** Makes the inputs of an item of one image. `data` is its pixels, row by row, in the order of its channels. */
export function pixelInputs(input: ImageInput, data: Uint8Array): Tensor[] {
  return [{ name: 'input', datatype: 'UINT8', shape: [1, ...pixelShape(input)], data }];
}

/**
 * Makes a row of ones; of false or of empty texts where there are no numbers. Open dimensions get the size
 * 1. Zeros would be divisors and lengths as well, and ONNX Runtime never ends a Fourier transform of length
 * 0.
 */
function makeOnes({ name, datatype = 'FP32', shape }: NetworkValue): Tensor {
  const sizes = shape.map((size) => (isOpen(size) ? 1 : Number(size)));
  const count = countElements(sizes);
  if (count * bytesOfOne(datatype) > bytesMax) {
    throw new ScorelineError(
      'model_file_wrong',
      `expected inputs of at most ${bytesMax} bytes, as a request can bring; got ${showValue({ name, datatype, shape })}`,
    );
  }
  return { name, datatype, shape: sizes, data: onesOf(datatype, count) };
}

function bytesOfOne(datatype: Datatype): number {
  return datatype === 'BYTES' ? stringLengthBytes : numberArrays[datatype].BYTES_PER_ELEMENT;
}

function onesOf(datatype: Datatype, count: number): Uint8Array {
  // An empty text consists of its length alone, of zeros.
  if (datatype === 'BYTES') return new Uint8Array(stringLengthBytes * count);
  const array: Pick<Uint8Array, 'buffer'> & { fill(number: number | bigint): unknown } =
    new numberArrays[datatype](count);
  if (datatype === 'FP16') array.fill(numberToHalf(1));
  else if (datatype === 'INT64' || datatype === 'UINT64') array.fill(1n);
  else if (datatype !== 'BOOL') array.fill(1);
  return new Uint8Array(array.buffer);
}
