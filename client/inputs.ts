// What a caller scores, as the body of a request.

import { misuse } from './errors.js';
import type { Asked } from './exchange.js';

/** A row of a table: a value for each column. `null` is a missing value. */
export type Row = Readonly<Record<string, string | number | boolean | null>>;

/** The bytes of a file, such as a picture. A `File` is a Blob. */
export type Bytes = Blob | ArrayBuffer | ArrayBufferView;

/** JSON, for a program that takes it. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json };

/** One input: a text, the bytes of a picture or another file, a row of a table, or JSON. */
export type Input = Bytes | Row | Json;

/** Returns the body of a request with one input, and its type. */
export function bodyOf(input: Input): Required<Pick<Asked, 'body' | 'headers'>> {
  if (input instanceof Blob) return raw(input, input.type);
  if (isBuffer(input)) return raw(toBytes(new Uint8Array(input)), '');
  if (ArrayBuffer.isView(input)) {
    return raw(toBytes(new Uint8Array(input.buffer, input.byteOffset, input.byteLength)), '');
  }
  if (!isJson(input)) {
    throw misuse('one input: a text, the bytes of a file, a row of a table, or JSON', input);
  }
  const body = JSON.stringify({ input }, refuseOthers);
  return { body, headers: { 'Content-Type': 'application/json' } };
}

/** The service finds out the format of a picture itself, so any other type that a platform guesses is left out. */
function raw(body: Blob | Uint8Array, type: string): ReturnType<typeof bodyOf> {
  const isKnown = /^(image\/|text\/plain\b)/.test(type);
  return { body, headers: { 'Content-Type': isKnown ? type : 'application/octet-stream' } };
}

/** fetch refuses memory that threads share, so such bytes are copied. */
function toBytes(bytes: Uint8Array): Uint8Array {
  return isBuffer(bytes.buffer) ? bytes : bytes.slice();
}

// By their tags, because those of another window or of a test's sandbox are of other classes.

function isBuffer(value: unknown): value is ArrayBuffer {
  return Object.prototype.toString.call(value) === '[object ArrayBuffer]';
}

/** A Map or a Promise would be JSON without any columns, and a typed array an object with its places as keys. */
function isJson(value: unknown): boolean {
  const kind = Object.prototype.toString.call(value).slice('[object '.length, -1);
  return ['String', 'Number', 'Boolean', 'Null', 'Array', 'Object'].includes(kind);
}

/** JSON has no other values, and what JSON.stringify makes of them means something else. It leaves undefined out. */
function refuseOthers(name: string, value: unknown): unknown {
  const quoted = JSON.stringify(name);
  if (typeof value === 'bigint') {
    throw misuse(`${quoted} to be a number, or the text of one`, value);
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw misuse(`${quoted} to be a finite number, or null if it is missing`, value);
  }
  if (value !== undefined && !isJson(value)) {
    throw misuse(`${quoted} to be JSON, such as an array, which Array.from makes`, value);
  }
  return value;
}
