// What a caller scores, as the body of a request.

import { misuse } from './errors.js';
import type { Asked } from './exchange.js';

/** A row of a table: a value for each column. `null` is a missing value. */
export type Row = Readonly<Record<string, string | number | boolean | null>>;

/** The bytes of a file, such as a picture. A `File` is a Blob. */
export type Bytes = Blob | ArrayBuffer | ArrayBufferView;

/** One input: a text, the bytes of a picture, or a row of a table. */
export type Input = string | Bytes | Row;

/** Returns the body of a request with one input, and its type. */
export function bodyOf(input: Input): Required<Pick<Asked, 'body' | 'headers'>> {
  if (input instanceof Blob) return raw(input, input.type);
  if (input instanceof ArrayBuffer || ArrayBuffer.isView(input)) return raw(input, '');
  const isRow = typeof input === 'object' && input !== null && !Array.isArray(input);
  if (typeof input !== 'string' && !isRow) {
    throw misuse('one input: a text, the bytes of a picture, or a row of a table', input);
  }
  const body = JSON.stringify({ input }, refuseNonFinite);
  return { body, headers: { 'Content-Type': 'application/json' } };
}

/** The service finds out the format of a picture itself, so any other type that a platform guesses is left out. */
function raw(body: Bytes, type: string): ReturnType<typeof bodyOf> {
  const isKnown = /^(image\/|text\/plain\b)/.test(type);
  return { body, headers: { 'Content-Type': isKnown ? type : 'application/octet-stream' } };
}

/** JSON has no such numbers, and `null` would mean something else. */
function refuseNonFinite(name: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  throw misuse(`${JSON.stringify(name)} to be a finite number, or null if it is missing`, value);
}
