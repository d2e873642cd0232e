// Parses JSON of clients. A value of two characters takes tens of bytes of memory, and parsing holds up everybody
// else, so a text may not have any number of values.

import { ScorelineError } from '../shared/errors.js';

/** How many lists, objects and fields a text may have together, and how many commas. */
interface Bounds {
  readonly parts: number;
  readonly commas: number;
}

/** Half a million empty objects take 33 MB. Numbers in a list take 8 bytes each. */
export const bodyBounds: Bounds = { parts: 500_000, commas: 2_000_000 };

const signs = { quote: 0x22, backslash: 0x5c, comma: 0x2c, colon: 0x3a, list: 0x5b, object: 0x7b };

/**
 * Parses JSON.
 * @throws ScorelineError `body_too_large` if it has too many values; SyntaxError
 */
export function parseJson(text: string, bounds = bodyBounds): unknown {
  // A shorter text cannot have as many.
  if (text.length > bounds.parts) checkParts(text, bounds);
  return JSON.parse(text);
}

/**
 * Parses JSON that a client sent.
 * @param expected the message if it is none
 * @throws ScorelineError `invalid_json`, and those of `parse`
 */
export function parseGiven(
  text: string,
  expected: string,
  parse: (text: string) => unknown = parseJson,
): unknown {
  try {
    return parse(text);
  } catch (cause) {
    if (cause instanceof ScorelineError) throw cause;
    throw new ScorelineError('invalid_json', expected, { cause });
  }
}

function checkParts(text: string, bounds: Bounds): void {
  let parts = 0;
  let commas = 0;
  const isBeyond = () => parts > bounds.parts || commas > bounds.commas;
  for (let at = 0; at < text.length && !isBeyond(); at++) {
    const sign = text.charCodeAt(at);
    if (sign === signs.quote) at = endOfString(text, at);
    else if (sign === signs.comma) commas++;
    else if (sign === signs.list || sign === signs.object || sign === signs.colon) parts++;
  }
  if (!isBeyond()) return;
  const most =
    parts > bounds.parts
      ? `${bounds.parts} lists, objects and fields together`
      : `${bounds.commas} commas`;
  throw new ScorelineError(
    'body_too_large',
    `Expected JSON of at most ${most}; got more. Send several requests, or numbers as binary tensors.`,
  );
}

/** Returns where a string ends that begins at a quote; the end of the text if it does not. */
export function endOfString(text: string, start: number): number {
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
