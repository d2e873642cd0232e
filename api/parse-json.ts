// Parses JSON of clients. A value of two characters takes tens of bytes of memory, and parsing holds up everybody
// else, so a text may not have any number of values.

import { ScorelineError } from '../shared/errors.js';

/** Half a million empty objects take 33 MB. */
const partsMax = 500_000;
/** Numbers in a list take less, 8 bytes each. */
const commasMax = 2_000_000;

const signs = { quote: 0x22, backslash: 0x5c, comma: 0x2c, colon: 0x3a, list: 0x5b, object: 0x7b };

/**
 * Parses JSON.
 * @throws ScorelineError `body_too_large` if it has too many values; SyntaxError
 */
export function parseJson(text: string): unknown {
  // A shorter text cannot have as many.
  if (text.length > partsMax) checkParts(text);
  return JSON.parse(text);
}

function checkParts(text: string): void {
  let parts = 0;
  let commas = 0;
  for (let at = 0; at < text.length && parts <= partsMax && commas <= commasMax; at++) {
    const sign = text.charCodeAt(at);
    if (sign === signs.quote) at = endOfString(text, at);
    else if (sign === signs.comma) commas++;
    else if (sign === signs.list || sign === signs.object || sign === signs.colon) parts++;
  }
  if (parts <= partsMax && commas <= commasMax) return;
  throw new ScorelineError(
    'body_too_large',
    `Expected JSON of at most ${partsMax} lists, objects and fields together, and at most ${commasMax} commas; got more. Send several requests, or numbers as binary tensors.`,
  );
}

/** Returns where a string ends that begins at a quote; the end of the text if it does not. */
function endOfString(text: string, start: number): number {
  let at = text.indexOf('"', start + 1);
  while (at >= 0 && isEscaped(text, at)) at = text.indexOf('"', at + 1);
  return at < 0 ? text.length : at;
}

/** Whether an odd number of backslashes is before a sign. */
function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === signs.backslash) first--;
  return (at - first) % 2 === 1;
}
