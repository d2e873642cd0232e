// Passes JSON on with its numbers as they are written. JavaScript would round whole numbers beyond 2 ** 53, and write -0
// as 0.

import { randomUUID } from 'node:crypto';

/** A string, or a number. */
const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Stands before what is a number. No string of an answer begins so. */
const mark = `${randomUUID()} `;
const marked = new RegExp(`"${mark}([^"]*)"`, 'g');

/**
 * Parses JSON. Its numbers become strings that only `writeAsWritten` understands.
 * @throws SyntaxError
 */
export function parseAsWritten(text: string): unknown {
  const mend = (found: string) => (found.startsWith('"') ? found : `"${mark}${found}"`);
  // Without this, a number in a wrong place would become a string in it.
  JSON.parse(text);
  return JSON.parse(text.replace(token, mend));
}

/** Writes JSON with the numbers of values that `parseAsWritten` has made. */
export function writeAsWritten(value: unknown): string {
  return JSON.stringify(value).replace(marked, '$1');
}
