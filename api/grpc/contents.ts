// The elements of tensors as messages hold them when they are not raw: a list for each kind of number.
//
// Narrow whole numbers travel in the list of a wider kind. One that its datatype cannot hold is an error.
// FP16 has no list.

import protobuf from 'protobufjs';
import { ScorelineError } from '../../shared/errors.js';
import { showName, showShape } from '../../shared/tensors/network.js';
import {
  countElements,
  type Datatype,
  numberArrays,
  stringLengthBytes,
  type TensorHead,
  visitStrings,
} from '../../shared/tensors/tensors.js';
import { tensorInvalid } from '../inference/infer-request.js';
import { numbersOf } from '../inference/json-tensor.js';

/** The fields of InferTensorContents, by number. */
const fieldNames = [
  '',
  'bool_contents',
  'int_contents',
  'int64_contents',
  'uint_contents',
  'uint64_contents',
  'fp32_contents',
  'fp64_contents',
  'bytes_contents',
] as const;

/** The number of each datatype's field. */
const fields: Readonly<Record<Exclude<Datatype, 'FP16'>, number>> = {
  BOOL: 1,
  INT8: 2,
  INT16: 2,
  INT32: 2,
  INT64: 3,
  UINT8: 4,
  UINT16: 4,
  UINT32: 4,
  UINT64: 5,
  FP32: 6,
  FP64: 7,
  BYTES: 8,
};

/** How an element is read from each field. */
const readers: Readonly<Record<number, (reader: protobuf.Reader) => number | bigint>> = {
  1: (reader) => Number(reader.bool()),
  2: (reader) => reader.int32(),
  3: (reader) => BigInt.asIntN(64, toBigInt(reader.int64())),
  4: (reader) => reader.uint32(),
  5: (reader) => BigInt.asUintN(64, toBigInt(reader.uint64())),
  6: (reader) => reader.float(),
  7: (reader) => reader.double(),
};

/** The most bytes of an element of each field of whole numbers. Negative ones take as many as they would with 64 bits. */
const elementBytesMax: Readonly<Record<number, number>> = { 1: 1, 2: 10, 3: 10, 4: 5, 5: 10 };

export function hasList(datatype: Datatype): datatype is keyof typeof fields {
  return datatype !== 'FP16';
}

/**
 * Reads the elements of an input whose shape has been checked.
 * @param contents an encoded InferTensorContents; undefined if there is none
 * @throws ScorelineError `tensor_invalid`; Error if the bytes are no such message
 */
export function readContents(head: TensorHead, contents: Buffer = Buffer.alloc(0)): Uint8Array {
  const { name, datatype } = head;
  if (!hasList(datatype)) {
    throw tensorInvalid(`${showName(name)}, ${datatype}, in raw_input_contents`, 'contents');
  }
  const elements = countElements(head.shape);
  // Each element takes a byte at least, so nothing is allocated for a shape without data.
  if (elements > contents.length) throw miscounted(head, 'fewer');
  try {
    return datatype === 'BYTES'
      ? readStrings(head, contents, elements)
      : readNumbers(head, contents, elements);
  } catch (thrown) {
    if (thrown instanceof ScorelineError) throw thrown;
    throw tensorInvalid(`contents of ${showName(name)} that can be decoded`, 'others');
  }
}

/**
 * Encodes the elements of an output as an InferTensorContents. The encoder of protobufjs takes ten times as long as JSON
 * for four million numbers of 64 bits, and nobody else is served meanwhile.
 */
export function encodeContents(datatype: keyof typeof fields, data: Uint8Array): Buffer {
  if (data.length === 0) return Buffer.alloc(0);
  if (datatype === 'BYTES') return encodeTexts(data);
  // A list of these is their bytes.
  const isFixed = datatype === 'FP32' || datatype === 'FP64';
  const list = isFixed ? data : encodeVarints(datatype, data);
  const head = protobuf.Writer.create().uint32((fields[datatype] << 3) | 2);
  return Buffer.concat([head.uint32(list.length).finish(), list]);
}

function encodeTexts(data: Uint8Array): Buffer {
  // Two to six bytes stand before each string, in place of four.
  const writer = new VarintWriter(data.length * 2);
  const tag = (fields.BYTES << 3) | 2;
  visitStrings(data, (bytes, start, end) => {
    writer.write(tag, 0);
    writer.write(end - start, 0);
    writer.copy(bytes, start, end);
  });
  return writer.written;
}

function encodeVarints(
  datatype: Exclude<keyof typeof fields, 'BYTES' | 'FP32' | 'FP64'>,
  data: Uint8Array,
): Buffer {
  const is64 = datatype === 'INT64' || datatype === 'UINT64';
  const numbers = numbersOf(is64 ? 'UINT32' : datatype, data) as ArrayLike<number>;
  const step = is64 ? 2 : 1;
  const bytesMax = elementBytesMax[fields[datatype]] as number;
  const writer = new VarintWriter((numbers.length / step) * bytesMax);
  for (let at = 0; at < numbers.length; at += step) {
    const number = numbers[at] as number;
    if (is64) writer.write(number, numbers[at + 1] as number);
    else if (datatype === 'BOOL') writer.write(number === 0 ? 0 : 1, 0);
    else writer.write(number >>> 0, number < 0 ? 0xffffffff : 0);
  }
  return writer.written;
}

/** Writes whole numbers of 64 bits in as few groups of 7 bits as they need. */
class VarintWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytesMax: number) {
    this.#bytes = Buffer.allocUnsafe(bytesMax);
  }

  get written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  /** Writes the halves of a number, each of which is not negative. */
  write(low: number, high: number): void {
    let rest = low;
    let more = high;
    while (more > 0 || rest > 127) {
      this.#bytes[this.#at++] = (rest & 127) | 128;
      rest = ((rest >>> 7) | (more << 25)) >>> 0;
      more >>>= 7;
    }
    this.#bytes[this.#at++] = rest;
  }

  copy(from: Buffer, start: number, end: number): void {
    this.#at += from.copy(this.#bytes, this.#at, start, end);
  }
}

function readNumbers(head: TensorHead, contents: Buffer, elements: number): Uint8Array {
  const datatype = head.datatype as Exclude<Datatype, 'FP16' | 'BYTES'>;
  const array = new numberArrays[datatype](elements);
  const read = readers[fields[datatype]] as (typeof readers)[number];
  let at = 0;
  visitList(head, contents, (reader) => {
    const number = read(reader);
    if (at === elements) throw miscounted(head, 'more');
    array[at] = number;
    if (array[at] !== number && !Number.isNaN(number)) throw unfit(head, number, at);
    at++;
  });
  if (at < elements) throw miscounted(head, String(at));
  return new Uint8Array(array.buffer);
}

function readStrings(head: TensorHead, contents: Buffer, elements: number): Buffer {
  const data = Buffer.allocUnsafe(elements * stringLengthBytes + contents.length);
  let at = 0;
  let count = 0;
  visitList(head, contents, (reader) => {
    if (count++ === elements) throw miscounted(head, 'more');
    const length = reader.uint32();
    const end = reader.pos + length;
    if (end > reader.len) throw new Error('A string is cut off.');
    at = data.writeUInt32LE(length, at);
    at += contents.copy(data, at, reader.pos, end);
    reader.pos = end;
  });
  if (count < elements) throw miscounted(head, String(count));
  return data.subarray(0, at);
}

/** Calls `visit` at each element of the list that the datatype has, and refuses elements in others. */
function visitList(
  { name, datatype }: TensorHead,
  contents: Buffer,
  visit: (reader: protobuf.Reader) => void,
): void {
  const wanted = fields[datatype as keyof typeof fields];
  const reader = protobuf.Reader.create(contents);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const [field, isPacked] = [tag >>> 3, (tag & 7) === 2 && datatype !== 'BYTES'];
    if (field !== wanted) {
      const got = fieldNames[field];
      if (got) throw tensorInvalid(`${showName(name)}, ${datatype}, in ${fieldNames[wanted]}`, got);
      reader.skipType(tag & 7);
    } else if (isPacked) {
      const end = reader.uint32() + reader.pos;
      while (reader.pos < end) visit(reader);
      if (reader.pos !== end) throw new Error('The last element of a list is cut off.');
    } else visit(reader);
  }
}

function toBigInt(value: number | protobuf.Long): bigint {
  if (typeof value === 'number') return BigInt(value);
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}

function unfit({ name, datatype }: TensorHead, got: number | bigint, at: number): ScorelineError {
  return tensorInvalid(
    `elements of ${showName(name)} that ${datatype} can hold`,
    `${got} at index ${at}`,
  );
}

function miscounted({ name, datatype, shape }: TensorHead, got: string): ScorelineError {
  return tensorInvalid(
    `${countElements(shape)} elements in the contents of ${showName(name)}, ${datatype} of shape ${showShape(shape)}`,
    got,
  );
}
