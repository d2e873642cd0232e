// Reads the tensors of an answer. Answers to requests are binary, and results of jobs are in JSON.
//
// An output whose elements are not those that its datatype and shape promise is an error: a typed array would hold
// other numbers in their place, without a word.

import { halfToNumber } from '../shared/tensors/half.js';
import type { InferResponse } from './answers.js';
import { answerUnexpected, type ScorelineError } from './errors.js';
import { type Datatype, numberArrays, type OutputTensor } from './tensors.js';

type WireTensor = InferResponse['outputs'][number];

/**
 * Decodes the outputs of an answer. The data of binary ones lie in `binary`, one behind the other.
 * @throws ScorelineError `answer_unexpected`
 */
export function decodeOutputs(
  outputs: readonly WireTensor[],
  binary: Uint8Array = new Uint8Array(),
): OutputTensor[] {
  let at = 0;
  return outputs.map((output) => {
    const { data, parameters } = output;
    if (!isTensor(output)) throw unreadable(output, 'it is no tensor');
    if (data) return withData(output, fromJson(output, data));
    const bytesSaid = parameters?.binary_data_size ?? Number.NaN;
    if (!isSize(bytesSaid)) throw unreadable(output, 'it has no data');
    if (bytesSaid > binary.length - at) throw cutOff(output);
    const bytes = binary.slice(at, at + bytesSaid);
    at += bytesSaid;
    return withData(output, fromBytes(output, bytes));
  });
}

function isTensor({ name, datatype, shape, data }: WireTensor): boolean {
  const isKnown = datatype === 'FP16' || datatype === 'BOOL' || datatype === 'BYTES';
  return (
    typeof name === 'string' &&
    (isKnown || Object.hasOwn(numberArrays, datatype)) &&
    Array.isArray(shape) &&
    shape.every(isSize) &&
    (data === undefined || Array.isArray(data))
  );
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function withData(output: WireTensor, data: OutputTensor['data']): OutputTensor {
  const { name, datatype, shape } = output;
  const count = shape.reduce((product, size) => product * size, 1);
  if (data.length === count) return { name, datatype, shape, data } as OutputTensor;
  throw unreadable(output, `it has ${data.length} elements`);
}

function fromBytes(output: WireTensor, bytes: Uint8Array): OutputTensor['data'] {
  const { datatype } = output;
  if (datatype === 'BYTES') return readStrings(output, bytes);
  if (datatype === 'BOOL') return Array.from(bytes, (byte) => byte !== 0);
  const array = datatype === 'FP16' ? Uint16Array : numberArrays[datatype];
  if (bytes.length % array.BYTES_PER_ELEMENT > 0) {
    throw unreadable(output, `it has ${bytes.length} bytes`);
  }
  // A copy of its own is aligned for any array.
  const buffer = bytes.buffer as ArrayBuffer;
  if (datatype === 'FP16') return Float32Array.from(new Uint16Array(buffer), halfToNumber);
  return new numberArrays[datatype](buffer);
}

function readStrings(output: WireTensor, bytes: Uint8Array): string[] {
  const lengths = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const strings: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + 4;
    if (start > bytes.length) throw cutOff(output);
    at = start + lengths.getUint32(at, true);
    if (at > bytes.length) throw cutOff(output);
    try {
      strings.push(decoder.decode(bytes.subarray(start, at)));
    } catch {
      throw notText(output);
    }
  }
  return strings;
}

/** Whole numbers of many digits are strings, as parseExactly leaves them. */
function fromJson(output: WireTensor, data: readonly unknown[]): OutputTensor['data'] {
  const { datatype } = output;
  const wrong = data.findIndex((element) => !isElement(datatype, element));
  if (wrong >= 0) throw notAnElement(output, data[wrong]);
  if (datatype === 'BYTES') return data as string[];
  if (datatype === 'BOOL') return data as boolean[];
  if (datatype === 'FP64') return Float64Array.from(data.map(Number));
  if (datatype === 'FP16' || datatype === 'FP32') return Float32Array.from(data.map(Number));
  const isLong = datatype === 'INT64' || datatype === 'UINT64';
  const numbers = isLong
    ? numberArrays[datatype].from(data.map((element) => BigInt(element as string)))
    : numberArrays[datatype].from(data.map(Number));
  const altered = data.findIndex((element, at) => String(element) !== String(numbers[at]));
  if (altered >= 0) throw notAnElement(output, data[altered]);
  return numbers;
}

function isElement(datatype: Datatype, element: unknown): boolean {
  if (datatype === 'BYTES') return typeof element === 'string';
  if (datatype === 'BOOL') return typeof element === 'boolean';
  const isNumber = typeof element === 'number' || typeof element === 'string';
  if (/^FP/.test(datatype) && typeof element === 'number') return true;
  const form = /^FP/.test(datatype) ? /^(?:-?\d+|NaN|-?Infinity)$/ : /^-?\d+$/;
  return isNumber && form.test(String(element));
}

function notAnElement(output: WireTensor, element: unknown): ScorelineError {
  return unreadable(output, `an element is ${JSON.stringify(element).slice(0, 60)}`);
}

/** The service sends whole answers, so the rest has been lost on its way. */
function cutOff(output: WireTensor): ScorelineError {
  return unreadable(output, 'the answer ends before its last byte', true);
}

function notText({ name }: WireTensor): ScorelineError {
  return answerUnexpected(
    `Expected texts in UTF-8 in the output ${JSON.stringify(name)}; got other bytes. Let the model answer with numbers, or with bytes in base64.`,
  );
}

function unreadable(output: WireTensor, got: string, isRetryable = false): ScorelineError {
  const { name, datatype, shape } = output;
  return answerUnexpected(
    `Expected the output ${JSON.stringify(name)} to be ${datatype} of the shape ${JSON.stringify(shape)}; ${got}.`,
    { isRetryable },
  );
}
