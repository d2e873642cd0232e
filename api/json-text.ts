// Parts of JSON as their sender wrote them.

import { isJsonObject } from '../shared/json-object.js';
import { endOfString } from './parse-json.js';

/** A value as its sender wrote it. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The keys of lists of inputs: ours, and that of V1 of KServe. */
const lists: readonly string[] = ['inputs', 'instances'];

/**
 * Returns an object with the value of `input`, and each in the list `inputs` or `instances`, as it was written.
 * @param text valid JSON
 * @param value what it says; returned as it is if it is no object
 */
export function withInputsAsWritten(text: string, value: unknown): unknown {
  if (!isJsonObject(value)) return value;
  const written = { ...value };
  let key: string | undefined;
  for (const part of partsOf(text)) {
    if (key === undefined) {
      key = JSON.parse(part) as string;
      continue;
    }
    // Of a key that is there twice, the last value counts, as in JSON.parse.
    if (key === 'input') written.input = new JsonText(part);
    if (lists.includes(key) && Array.isArray(written[key])) {
      written[key] = Array.from(partsOf(part), (each) => new JsonText(each));
    }
    key = undefined;
  }
  return written;
}

const signs = { quote: 0x22, comma: 0x2c, colon: 0x3a };

/** Cuts the list or object that a text is into its elements, or into its keys and values in turn. */
function* partsOf(text: string): Generator<string> {
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const sign = text.charCodeAt(at);
    if (sign === signs.quote) at = endOfString(text, at);
    else if (isOpening(sign)) {
      if (depth++ === 0) start = at + 1;
    } else if (isClosing(sign)) {
      if (--depth === 0) yield* partIn(text, start, at);
    } else if (depth === 1 && (sign === signs.comma || sign === signs.colon)) {
      yield* partIn(text, start, at);
      start = at + 1;
    }
  }
}

/** An empty list has no part. */
function* partIn(text: string, start: number, end: number): Generator<string> {
  const part = text.slice(start, end).trim();
  if (part !== '') yield part;
}

function isOpening(sign: number): boolean {
  return sign === 0x5b || sign === 0x7b;
}

function isClosing(sign: number): boolean {
  return sign === 0x5d || sign === 0x7d;
}
