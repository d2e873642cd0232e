import { expect, test } from 'vitest';
import { parseInferJson } from '../../api/inference/exact-json.js';
import { parseJson } from '../../api/parse-json.js';
import { ScorelineError } from '../../shared/errors.js';

/** Puts what is between commas into a list. */
const listOf = (entry: string, count: number) => `[${new Array(count).fill(entry).join()}]`;

function codeOf(text: string): string | undefined {
  try {
    parseJson(text);
    return undefined;
  } catch (error) {
    return error instanceof ScorelineError ? error.code : 'other';
  }
}

test.each([
  ['objects', listOf('{}', 500_000)],
  ['lists', listOf('[]', 500_000)],
  ['lists in lists', '['.repeat(500_001) + ']'.repeat(500_001)],
  ['fields', `{${Array.from({ length: 500_000 }, (_, at) => `"${at}":1`).join()}}`],
  ['texts', listOf('""', 2_000_002)],
  ['numbers', listOf('1', 2_000_002)],
  ['objects behind a text with quotes', `["\\"\\\\",${listOf('{}', 500_000)}]`],
  ['objects behind a text without an end', `[${listOf('{}', 500_001)},"`],
])('a text of too many %s is refused before it is parsed', (_what, text) => {
  expect(codeOf(text)).toBe('body_too_large');
});

test.each([
  ['numbers', listOf('0.25', 1_500_000)],
  ['objects', listOf('{}', 499_000)],
  ['a picture in base64', `{"input":"${'A+/='.repeat(1_000_000)}"}`],
  ['a text that looks like lists', `{"input":${JSON.stringify('[{"a\\":1},'.repeat(200_000))}}`],
  ['a text of quotes and backslashes', JSON.stringify('"\\'.repeat(1_000_000))],
])('a large text of %s is parsed as JSON', (_what, text) => {
  expect(parseJson(text)).toEqual(JSON.parse(text));
});

test('what is no JSON stays so', () => {
  expect(codeOf('{"a":')).toBe('other');
  expect(codeOf(`"${'\\'.repeat(2_000_001)}`)).toBe('other');
});

test('a tensor may have as many numbers as fit, in nested lists or not, and no such number of objects', () => {
  const request = (data: string) => `{"inputs":[{"data":${data}}]}`;
  for (const data of [listOf('0', 2_500_000), listOf('[1,2,3]', 600_000)]) {
    expect(parseInferJson(request(data))).toEqual(JSON.parse(request(data)));
  }
  expect(() => parseInferJson(request(listOf('{}', 600_000)))).toThrow(ScorelineError);
});
