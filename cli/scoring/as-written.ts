// Passes JSON on with its numbers, and the order of its keys, as they are written. JavaScript would round whole numbers
// beyond 2 ** 53, write -0 as 0, and move keys of digits to the front.

import { randomUUID } from 'node:crypto';

/**
 * A key of digits, the begin of another string, or a number. A pattern of a whole string would exhaust the stack on one
 * of some megabytes.
 */
const token = /"(\d{1,10})"(?=\s*:)|"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Stands before what is a number. No string of an answer begins so. */
const mark = `${randomUUID()} `;
/** Stands before a key of digits. */
const keyMark = `${randomUUID()} `;
const marked = new RegExp(`"${mark}([^"]*)"|${keyMark}`, 'g');

/**
 * Parses JSON. Its numbers, and its keys of digits, become strings that only `writeAsWritten` understands.
 * @throws SyntaxError
 */
export function parseAsWritten(text: string): unknown {
  // Without this, a number in a wrong place would become a string in it.
  JSON.parse(text);
  const pieces: string[] = [];
  let written = 0;
  token.lastIndex = 0;
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [number, key] = found;
    if (number === '"') token.lastIndex = endOfString(text, found.index);
    else {
      const string = key === undefined ? `"${mark}${number}"` : `"${keyMark}${key}"`;
      pieces.push(text.slice(written, found.index), string);
      written = token.lastIndex;
    }
  }
  pieces.push(text.slice(written));
  return JSON.parse(pieces.join(''));
}

/** @param start where its first quote stands */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return end + 1;
  }
}

/** Writes JSON with the numbers and keys of values that `parseAsWritten` has made. */
export function writeAsWritten(value: unknown): string {
  return JSON.stringify(value).replace(marked, '$1');
}
