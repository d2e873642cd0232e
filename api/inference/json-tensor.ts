// Tensors as JSON in an answer. NaN and the infinities are written as strings, "NaN", "Infinity" and
// "-Infinity", as they come in requests (shared/tensors/json-elements.ts).

import { setImmediate } from 'node:timers/promises';
import { ScorelineError } from '../../shared/errors.js';
import { halfToNumber } from '../../shared/tensors/half.js';
import {
  countElements,
  type Datatype,
  decodeStrings,
  elementBytes,
  encodeStrings,
  numberArrays,
  type Tensor,
} from '../../shared/tensors/tensors.js';
import { type Call, clientClosed } from '../call/call.js';

/** The most numbers in the lists of one answer. They take two seconds and 80 MB. */
const listedMax = 4_000_000;
/** How many numbers are written at a time. They take 8 ms. */
const sliceElements = 16_384;

/** The lists that are written ahead, by the data of their tensor. */
const listsAhead = new WeakMap<Uint8Array, string>();

/**
 * Checks that tensors can be written as lists, by JSON or gRPC. The characters of eight bytes of texts count as a number.
 * @param outputs the datatype and the bytes of each
 * @throws ScorelineError `result_too_large`
 */
export function checkListed(
  outputs: readonly { readonly datatype: Datatype; readonly bytes: number }[],
): void {
  const count = countListed(outputs);
  if (count <= listedMax) return;
  throw new ScorelineError(
    'result_too_large',
    `Expected at most ${listedMax} numbers, or eight bytes of texts for each, in an answer of lists; the outputs have ${count}. Send fewer rows, name fewer outputs, or ask /v2 for binary ones: "binary_data": true by HTTP, raw_input_contents by gRPC.`,
  );
}

/** Returns how many numbers tensors have. The characters of eight bytes of texts count as one. */
export function countListed(
  outputs: readonly { readonly datatype: Datatype; readonly bytes: number }[],
): number {
  const counts = outputs.map(({ datatype, bytes }) => bytes / (elementBytes[datatype] ?? 8));
  return Math.ceil(counts.reduce((sum, each) => sum + each, 0));
}

/**
 * Writes the lists of numbers in an answer for `toJson`, if they are many.
 * @throws ScorelineError `client_closed` if the client is gone meanwhile
 */
export async function listAhead(
  call: Pick<Call, 'hasDeparted'>,
  tensors: readonly Tensor[],
): Promise<void> {
  const count = countListed(sizesOf(tensors));
  if (count > sliceElements && count <= listedMax) await inTurns(call, count, writeAhead(tensors));
}

/**
 * Writes an answer slice by slice, so others are answered meanwhile. Run it as a stage of the call: then the call keeps
 * its permit, so no more answers wait here than may be in flight.
 * @param count how many numbers the answer has
 * @param write yields how many it has written
 * @throws ScorelineError `client_closed` if the client is gone meanwhile
 */
export async function inTurns<T>(
  call: Pick<Call, 'hasDeparted'>,
  count: number,
  write: Generator<number, T>,
): Promise<T> {
  if (count <= sliceElements) return inOneGo(write);
  const writing = { call, left: count };
  underWay.add(writing);
  /** How many numbers may still be written in this turn. */
  let room = 0;
  try {
    for (;;) {
      if (room <= 0) {
        await turnOf(writing);
        room = sliceElements;
      }
      const { done, value } = write.next();
      if (done) return value;
      room -= value;
      writing.left -= value;
    }
  } finally {
    underWay.delete(writing);
  }
}

/** Writes an answer without a pause. */
export function inOneGo<T>(write: Generator<number, T>): T {
  for (;;) {
    const { done, value } = write.next();
    if (done) return value;
  }
}

/** An answer that is being written. */
interface Writing {
  readonly call: Pick<Call, 'hasDeparted'>;
  /** How many numbers are still to be written. */
  left: number;
}

const underWay = new Set<Writing>();

/**
 * Waits for a turn of the event loop in which the answer is the shortest. Side by side, a slice of each would come between
 * two turns of the others, and behind a long answer a short one would wait for seconds.
 */
async function turnOf(writing: Writing): Promise<void> {
  const isLater = (other: Writing) => other.left < writing.left;
  do {
    await setImmediate();
    if (writing.call.hasDeparted) throw clientClosed();
  } while ([...underWay].some(isLater));
}

function* writeAhead(tensors: readonly Tensor[]): Generator<number, void> {
  for (const { datatype, data } of tensors) {
    if (datatype === 'BYTES') continue;
    const lists: string[] = [];
    for (const slice of slicesOf(datatype, data)) {
      lists.push(toJson(datatype, slice));
      yield slice.byteLength / (elementBytes[datatype] as number);
    }
    listsAhead.set(data, lists.join());
  }
}

/** Cuts the data of a tensor of numbers into what is written at a time. */
function* slicesOf(datatype: Datatype, data: Uint8Array): Generator<Uint8Array> {
  const bytes = sliceElements * (elementBytes[datatype] as number);
  for (let at = 0; at < data.byteLength; at += bytes) yield data.subarray(at, at + bytes);
}

/**
 * Writes a tensor as JSON whose lists are nested as its shape says. Yields how many elements it has written.
 * @throws ScorelineError `tensor_invalid` if it has texts that are not UTF-8
 */
export function* writeNested({ datatype, shape, data }: Tensor): Generator<number, string> {
  /** How many elements a list has at each depth. */
  const lengths = shape.map((_, depth) => countElements(shape.slice(depth)));
  if (lengths.includes(0)) return JSON.stringify(emptyLists(shape));
  const isEdge = (element: number) => lengths.filter((length) => element % length === 0).length;
  const written: string[] = [];
  let at = 0;
  /** How many lists end before the next element, and begin with it. */
  let edges = lengths.length;
  for (const slice of datatype === 'BYTES' ? [data] : slicesOf(datatype, data)) {
    const elements = elementsOf(datatype, slice);
    for (const element of elements) {
      const begin = `${at > 0 ? ',' : ''}${'['.repeat(edges)}`;
      edges = isEdge(++at);
      written.push(begin, element, ']'.repeat(edges));
    }
    yield elements.length;
  }
  return written.join('');
}

function elementsOf(datatype: Datatype, data: Uint8Array): string[] {
  if (datatype === 'BYTES') return readStrings(data).map((text) => JSON.stringify(text));
  return toJson(datatype, data).split(',');
}

function emptyLists([size, ...inner]: readonly number[]): unknown[] {
  return size ? Array.from({ length: size }, () => emptyLists(inner)) : [];
}

/** Returns what `checkListed` takes. */
export function sizesOf(tensors: readonly Tensor[]) {
  return tensors.map(({ datatype, data }) => ({ datatype, bytes: data.byteLength }));
}

/** Writes the elements of a tensor as the contents of a JSON list. */
export function toJson(datatype: Datatype, data: Uint8Array): string {
  const ahead = listsAhead.get(data);
  if (ahead !== undefined) return ahead;
  if (datatype === 'BYTES')
    return readStrings(data)
      .map((text) => JSON.stringify(text))
      .join();
  const view = viewOf(datatype, data);
  if (datatype === 'BOOL') return Array.from(view as Uint8Array, (byte) => byte !== 0).join();
  if (!datatype.startsWith('FP')) return view.join();
  const floats = floatsOf(datatype, view);
  return floats.every(isPlain) ? floats.join() : Array.from(floats, writeFloat).join();
}

/** @throws ScorelineError `tensor_invalid` if one is not UTF-8, which JSON cannot hold */
function readStrings(data: Uint8Array): readonly string[] {
  const texts = decodeStrings(data);
  // The decoder writes U+FFFD for bytes that are not UTF-8, but a text may also contain it.
  const at = texts.findIndex((text) => text.includes('\uFFFD'));
  if (at < 0 || Buffer.compare(encodeStrings(texts), data) === 0) return texts;
  throw new ScorelineError(
    'tensor_invalid',
    `Expected outputs in UTF-8, since the answer is JSON; got other bytes, at index ${at} or later. Ask /v2 for the output with binary_data: true, or let the model answer with base64.`,
  );
}

/** Returns the numbers of a tensor: of whole ones as they are, of FP16 as floats. */
export function numbersOf(datatype: Exclude<Datatype, 'BYTES'>, data: Uint8Array): Numbers {
  const view = viewOf(datatype, data);
  return datatype.startsWith('FP') ? floatsOf(datatype, view) : view;
}

type View = InstanceType<(typeof numberArrays)[keyof typeof numberArrays]>;
/** What all arrays of numbers have in common. */
interface Numbers extends ArrayLike<number | bigint> {
  subarray(from: number, to: number): Numbers;
}

/** The bytes of replies may be unaligned, and are then copied. */
function viewOf(datatype: Exclude<Datatype, 'BYTES'>, data: Uint8Array): View {
  const type = numberArrays[datatype];
  const isAligned = data.byteOffset % type.BYTES_PER_ELEMENT === 0;
  const { buffer, byteOffset, byteLength } = isAligned ? data : Uint8Array.from(data);
  return new type(buffer as ArrayBuffer, byteOffset, byteLength / type.BYTES_PER_ELEMENT);
}

function floatsOf(datatype: Datatype, view: View): Float32Array | Float64Array {
  if (datatype === 'FP16') return Float32Array.from(view as Uint16Array, halfToNumber);
  return view as Float32Array | Float64Array;
}

/** Whether `String` writes the number as JSON. It would write -0 as 0. */
function isPlain(number: number): boolean {
  return Number.isFinite(number) && (number !== 0 || !Object.is(number, -0));
}

/** A minus before a whole number without a point would be lost in many languages, such as Python. */
function writeFloat(number: number): string {
  if (isPlain(number)) return String(number);
  return Object.is(number, -0) ? '-0.0' : `"${number}"`;
}
