import type { z } from 'zod';

type Words = Readonly<Record<string, string>>;

const nouns: Words = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};
const units: Words = { string: 'characters', array: 'entries' };
const ranges: Words = {
  '>=': 'N or more',
  '>': 'more than N',
  '<=': 'at most N',
  '<': 'less than N',
};

/**
 * Returns what was expected, from the message of an issue. Zod puts a title before it, and often adds what was received,
 * which the reader sees anyway.
 */
export function messageOf(issue: Pick<z.core.$ZodIssue, 'message'>): string {
  const { message } = issue;
  // The issue of a record's key is inside of this one.
  const [ofKey] = isOfKey(issue) ? issue.issues : [];
  if (ofKey) return messageOf(ofKey);
  const [, kinds] = /^Invalid discriminator value\. Expected (.*)$/.exec(message) ?? [];
  if (kinds !== undefined)
    return `expected ${kinds.replaceAll("'", '"').replaceAll(' | ', ' or ')}`;
  const [, expected] = /^[A-Z][a-z ]+: expected (.*?)(?:, received [\w ]+)?$/.exec(message) ?? [];
  return expected === undefined ? message : `expected ${inWords(expected)}`;
}

/** Puts what Zod expects, such as `array to have >=1 items`, into words for people. */
function inWords(expected: string): string {
  const form = /^(\w+)(?: to (?:be|have) ([<>]=?)(\S+).*)?$/;
  const [, kind = '', sign = '', bound] = form.exec(expected) ?? [];
  const noun = nouns[kind];
  if (noun === undefined) return expected.replaceAll('"|"', '", "');
  if (bound === undefined) return noun;
  const range = ranges[sign]?.replace('N', bound);
  const unit = units[kind];
  return unit === undefined ? `${noun}, ${range}` : `${noun} of ${range} ${unit}`;
}

function isOfKey(issue: object): issue is z.core.$ZodIssueInvalidKey {
  return 'code' in issue && issue.code === 'invalid_key';
}
