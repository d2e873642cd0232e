// The elements of a tensor in JSON, as a request or an example in a manifest has them.
//
// JSON has no NaN and no infinities. They are written as strings, "NaN", "Infinity" and "-Infinity", as
// protocol buffers do. Long whole numbers may come as strings of their digits.
// A number that the datatype cannot hold is an error, never a rounded or wrapped one.

import { ScorelineError } from '../errors.js';
import { shown } from '../shown.js';
import { halfToNumber, numberToHalf } from './half.js';
import { showName, showShape } from './network.js';
import {
  countElements,
  type Datatype,
  encodeStrings,
  numberArrays,
  type TensorHead,
} from './tensors.js';

/**
 * Reads the elements of a tensor: one flat list, or lists nested as the shape says. The sizes of the
 * shape must have been checked.
 * @throws ScorelineError `tensor_invalid`
 */
export function fromJson(head: TensorHead, data: unknown): Uint8Array {
  const elements = flatten(head, data);
  if (head.datatype === 'BYTES')
    return encodeStrings(elements.map((text, at) => toText(head, text, at)));
  const array = new numberArrays[head.datatype](elements.length);
  const read = readers[head.datatype];
  for (let at = 0; at < elements.length; at++) {
    const number = read(elements[at]);
    if (number === undefined) throw unfit(head, elements[at], at);
    array[at] = number;
  }
  return new Uint8Array(array.buffer);
}

/** Returns the elements in row-major order, once their number is known to be right. */
function flatten(head: TensorHead, data: unknown): readonly unknown[] {
  const { shape } = head;
  const elements = countElements(shape);
  if (!Array.isArray(data)) {
    if (shape.length === 0 && typeof data !== 'object' && data !== undefined) return [data];
    throw new ScorelineError(
      'tensor_invalid',
      `Expected a list as the data of ${showName(head.name)}; got ${shown(data)}.`,
    );
  }
  if (!data.some(Array.isArray)) {
    // An empty list is also how [0, 3] and [2, 0] look when they are flat.
    if (data.length === elements) return data;
    throw miscounted(head, `${data.length} elements`);
  }
  const flat: unknown[] = [];
  const visit = (part: unknown, depth: number): void => {
    if (depth === shape.length) {
      flat.push(part);
      return;
    }
    if (!Array.isArray(part) || part.length !== shape[depth]) {
      const got = Array.isArray(part) ? `a list of ${part.length}` : shown(part);
      throw miscounted(head, `${got} at depth ${depth}`);
    }
    for (const each of part) visit(each, depth + 1);
  };
  visit(data, 0);
  return flat;
}

type Read = (value: unknown) => number | bigint | undefined;

const whole =
  (low: number, high: number): Read =>
  (value) =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high
      ? (value as number)
      : undefined;

const large =
  (low: bigint, high: bigint): Read =>
  (value) => {
    const isExact = Number.isSafeInteger(value);
    const isDigits = typeof value === 'string' && /^-?\d{1,20}$/.test(value);
    if (!isExact && !isDigits) return undefined;
    const number = BigInt(value as number | string);
    return number >= low && number <= high ? number : undefined;
  };

const special: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};

/** Reads a float that `round` keeps finite. */
function float(round: (number: number) => number): Read {
  const read: Read = (value) => {
    if (typeof value === 'number') return Number.isFinite(round(value)) ? value : undefined;
    if (typeof value !== 'string') return undefined;
    if (/^-?\d{16,400}$/.test(value)) return read(Number(value));
    return Object.hasOwn(special, value) ? special[value] : undefined;
  };
  return read;
}

const half = float((number) => halfToNumber(numberToHalf(number)));

const readers: Readonly<Record<Exclude<Datatype, 'BYTES'>, Read>> = {
  BOOL: (value) => (typeof value === 'boolean' ? Number(value) : whole(0, 1)(value)),
  UINT8: whole(0, 255),
  UINT16: whole(0, 65_535),
  UINT32: whole(0, 2 ** 32 - 1),
  UINT64: large(0n, 2n ** 64n - 1n),
  INT8: whole(-128, 127),
  INT16: whole(-32_768, 32_767),
  INT32: whole(-(2 ** 31), 2 ** 31 - 1),
  INT64: large(-(2n ** 63n), 2n ** 63n - 1n),
  FP16: (value) => {
    const number = half(value);
    return number === undefined ? undefined : numberToHalf(number as number);
  },
  FP32: float(Math.fround),
  FP64: float((number) => number),
};

const wishes: Readonly<Record<Exclude<Datatype, 'BYTES'>, string>> = {
  BOOL: 'true or false',
  UINT8: 'a whole number from 0 to 255',
  UINT16: 'a whole number from 0 to 65535',
  UINT32: 'a whole number from 0 to 4294967295',
  UINT64: 'a whole number from 0 to 2^64 - 1, written as digits alone',
  INT8: 'a whole number from -128 to 127',
  INT16: 'a whole number from -32768 to 32767',
  INT32: 'a whole number from -2147483648 to 2147483647',
  INT64: 'a whole number from -2^63 to 2^63 - 1, written as digits alone',
  FP16: 'a number up to ±65504, or "NaN", "Infinity" or "-Infinity"',
  FP32: 'a number up to ±3.4e38, or "NaN", "Infinity" or "-Infinity"',
  FP64: 'a number, or "NaN", "Infinity" or "-Infinity"',
};

function toText(head: TensorHead, value: unknown, at: number): string {
  // A lone surrogate has no UTF-8, and would be replaced.
  if (typeof value === 'string' && value.isWellFormed()) return value;
  throw unfit(head, value, at);
}

function unfit({ name, datatype }: TensorHead, value: unknown, at: number): ScorelineError {
  const wish = datatype === 'BYTES' ? 'a string of Unicode characters' : wishes[datatype];
  return new ScorelineError(
    'tensor_invalid',
    `Expected each element of ${showName(name)}, ${datatype}, to be ${wish}; got ${shown(value)} at index ${at}.`,
  );
}

function miscounted(head: TensorHead, got: string): ScorelineError {
  const { name, datatype, shape } = head;
  return new ScorelineError(
    'tensor_invalid',
    `Expected ${countElements(shape)} elements in ${showName(name)}, ${datatype} of shape ${showShape(shape)}, flat or nested; got ${got}.`,
  );
}
