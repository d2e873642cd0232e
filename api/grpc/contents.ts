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
  joinStrings,
  numberArrays,
  splitStrings,
  type TensorHead,
} from '../../shared/tensors/tensors.js';
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
    throw invalid(`${showName(name)}, ${datatype}, in raw_input_contents`, 'contents');
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
    throw invalid(`contents of ${showName(name)} that can be decoded`, 'others');
  }
}

/** Returns the elements of an output under the name of their field. */
export function writeContents(
  datatype: keyof typeof fields,
  data: Uint8Array,
): Readonly<Record<string, unknown>> {
  const name = fieldNames[fields[datatype]] as string;
  if (datatype === 'BYTES') return { [name]: splitStrings(data) };
  const numbers = numbersOf(datatype, data);
  const is64 = datatype === 'INT64' || datatype === 'UINT64';
  return { [name]: is64 ? Array.from(numbers, String) : Array.from(numbers, Number) };
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
  const strings: Buffer[] = [];
  visitList(head, contents, (reader) => {
    if (strings.length === elements) throw miscounted(head, 'more');
    strings.push(reader.bytes() as Buffer);
  });
  if (strings.length < elements) throw miscounted(head, String(strings.length));
  return joinStrings(strings);
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
      if (got) throw invalid(`${showName(name)}, ${datatype}, in ${fieldNames[wanted]}`, got);
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
  return invalid(
    `elements of ${showName(name)} that ${datatype} can hold`,
    `${got} at index ${at}`,
  );
}

function miscounted({ name, datatype, shape }: TensorHead, got: string): ScorelineError {
  return invalid(
    `${countElements(shape)} elements in the contents of ${showName(name)}, ${datatype} of shape ${showShape(shape)}`,
    got,
  );
}

function invalid(expected: string, got: string): ScorelineError {
  return new ScorelineError('tensor_invalid', `Expected ${expected}; got ${got}.`);
}
