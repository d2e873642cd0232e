// Tensors as they travel between API and worker, and between the worker and its engine.
//
// The datatypes are those of the Open Inference Protocol that ONNX Runtime for Node can feed and
// read. Elements are in row-major order, little-endian, without padding. Each string (BYTES) is
// preceded by its length in bytes as a little-endian uint32, as in the protocol's binary tensor
// extension.

import { ScorelineError } from '../errors.js';
import { halfToNumber } from './half.js';

export const datatypes = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const;
export type Datatype = (typeof datatypes)[number];

/** A tensor without its data. */
export interface TensorHead {
  readonly name: string;
  readonly datatype: Datatype;
  /** The first dimension counts rows, which the model scores independently of each other. */
  readonly shape: readonly number[];
}

export interface Tensor extends TensorHead {
  readonly data: Uint8Array;
}

/** The arrays that hold the numbers of each datatype. FP16 is held as its bits. */
export const numberArrays = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

/** Bytes of one element; undefined for strings, whose lengths vary. */
export const elementBytes = Object.fromEntries(
  datatypes.map((datatype) => [
    datatype,
    datatype === 'BYTES' ? undefined : numberArrays[datatype].BYTES_PER_ELEMENT,
  ]),
) as Readonly<Record<Datatype, number | undefined>>;

export const stringLengthBytes = 4;

/** Counts the elements of a shape; 1 for a scalar, which has no dimensions. */
export function countElements(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

/** Returns how many bytes the data of tensors has together. */
export function countBytes(tensors: readonly Tensor[]): number {
  let bytes = 0;
  for (const { data } of tensors) bytes += data.byteLength;
  return bytes;
}

/** Encodes strings as the data of a BYTES tensor. */
export function encodeStrings(strings: readonly string[]): Buffer {
  const bytes = Buffer.allocUnsafe(
    strings.reduce((sum, text) => sum + stringLengthBytes + Buffer.byteLength(text), 0),
  );
  let at = 0;
  for (const text of strings) {
    const length = bytes.write(text, at + stringLengthBytes);
    bytes.writeUInt32LE(length, at);
    at += stringLengthBytes + length;
  }
  return bytes;
}

/** Encodes bytes as the data of a BYTES tensor of one element. */
export function encodeBytes(bytes: Uint8Array): Buffer {
  const length = Buffer.allocUnsafe(stringLengthBytes);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/**
 * Decodes the data of a BYTES tensor.
 * @throws ScorelineError `tensor_invalid` if a string's length leads beyond the end
 */
export function decodeStrings(data: Uint8Array): string[] {
  const strings: string[] = [];
  visitStrings(data, (bytes, start, end) => strings.push(bytes.toString('utf8', start, end)));
  return strings;
}

/**
 * Calls `visit` with the place of each string of a BYTES tensor. 16 MiB may hold four million of them, so to make an object
 * of each would take a GB.
 * @throws ScorelineError `tensor_invalid` if a string's length leads beyond the end
 */
export function visitStrings(
  data: Uint8Array,
  visit: (bytes: Buffer, start: number, end: number) => void,
): void {
  const bytes = toBuffer(data);
  for (let at = 0; at < bytes.length; ) {
    const end = endOfString(bytes, at);
    visit(bytes, at + stringLengthBytes, end);
    at = end;
  }
}

/**
 * Checks that a tensor's data has as many elements as its shape says.
 * @throws ScorelineError `tensor_invalid`, with both numbers
 */
export function checkTensor({ name, datatype, shape, data }: Tensor): void {
  const elements = countElements(shape);
  if (!(Number.isSafeInteger(elements) && shape.every(isSize))) {
    throw invalid(
      `Expected the sizes of the tensor ${JSON.stringify(name)} to be whole numbers, 0 or more; got [${shape}].`,
    );
  }
  const size = elementBytes[datatype];
  if (size !== undefined) {
    if (data.byteLength === elements * size) return;
    throw invalid(
      `Expected ${elements * size} bytes in the tensor ${JSON.stringify(name)}, ${datatype} of shape [${shape}]; got ${data.byteLength}.`,
    );
  }
  const strings = countStrings(data);
  if (strings === elements) return;
  throw invalid(
    `Expected ${elements} strings in the tensor ${JSON.stringify(name)}, ${datatype} of shape [${shape}]; got ${strings}.`,
  );
}

function isSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

/** Returns the byte offset of each of `rows` rows of a tensor's data, and the end of the last. */
export function rowOffsets({ datatype, shape, data }: Tensor, rows: number): number[] {
  if (datatype !== 'BYTES') {
    return Array.from({ length: rows + 1 }, (_, row) => (row * data.byteLength) / rows);
  }
  const bytes = toBuffer(data);
  const stringsPerRow = countElements(shape) / rows;
  const offsets = [0];
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let string = 0; string < stringsPerRow; string++) at = endOfString(bytes, at);
    offsets.push(at);
  }
  return offsets;
}

/** Returns the same memory as a Buffer. */
export function toBuffer(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * Returns the numbers of a tensor of floats in single precision. Those of an FP32 tensor share its
 * memory if that is aligned.
 */
export function toFloats({ datatype, data }: Tensor): Float32Array {
  if (datatype === 'FP32' && data.byteOffset % 4 === 0) {
    return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  }
  const { buffer } = Uint8Array.from(data);
  if (datatype === 'FP64') return Float32Array.from(new Float64Array(buffer));
  if (datatype === 'FP16') return Float32Array.from(new Uint16Array(buffer), halfToNumber);
  return new Float32Array(buffer);
}

/** Returns the numbers of a tensor of floats, those of FP64 in double precision. */
export function toNumbers(tensor: Tensor): Float32Array | Float64Array {
  if (tensor.datatype !== 'FP64') return toFloats(tensor);
  return new Float64Array(Uint8Array.from(tensor.data).buffer);
}

function countStrings(data: Uint8Array): number {
  const bytes = toBuffer(data);
  let strings = 0;
  for (let at = 0; at < bytes.length; strings++) at = endOfString(bytes, at);
  return strings;
}

/** @throws ScorelineError `tensor_invalid` if the string ends beyond the data */
function endOfString(bytes: Buffer, start: number): number {
  const end =
    start + stringLengthBytes <= bytes.length
      ? start + stringLengthBytes + bytes.readUInt32LE(start)
      : Number.POSITIVE_INFINITY;
  if (end <= bytes.length) return end;
  throw invalid(
    `Expected each string to be preceded by its length as uint32; the length at byte ${start} leads beyond the end, at byte ${bytes.length}.`,
  );
}

function invalid(detail: string): ScorelineError {
  return new ScorelineError('tensor_invalid', detail);
}
