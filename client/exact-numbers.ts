// Reads the numbers of scores in JSON. JSON.parse rounds whole numbers beyond 2 ** 53 without a word.

import { isRounded, longNumber, parseExactly } from '../shared/exact-json.js';
import { answerUnexpected, type ScorelineError } from './errors.js';

/**
 * Parses JSON that has a score. Elements of INT64 and UINT64 that are no safe integers become strings of their digits, as
 * the service takes them.
 * @throws ScorelineError `answer_unexpected` if another number would be rounded; SyntaxError
 */
export function parseNumbers<T>(json: string): T {
  const value = JSON.parse(json);
  return longNumber.test(json) ? (mend(value, parseExactly(json)) as T) : value;
}

/**
 * @param value as JSON.parse leaves it
 * @param exact the same as parseExactly leaves it
 */
// biome-ignore lint/suspicious/noExplicitAny: the two have the same form, whatever it is.
function mend(value: any, exact: any, isLong = false): unknown {
  if (typeof value === 'number') {
    if (typeof exact !== 'string') return value;
    if (isLong) return Number.isSafeInteger(value) ? value : exact;
    if (isRounded(exact)) throw tooLong(exact);
    return value;
  }
  if (Array.isArray(value)) return value.map((each, at) => mend(each, exact[at], isLong));
  if (typeof value !== 'object' || value === null) return value;
  const isTensor = /^U?INT64$/.test(String(value.datatype));
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, mend(each, exact[name], isTensor)]),
  );
}

function tooLong(digits: string): ScorelineError {
  return answerUnexpected(
    `Expected whole numbers that a number of JavaScript can hold; got ${digits.slice(0, 60)}. Ask the model by infer, which answers with BigInt, or have a program write it as a text.`,
  );
}
