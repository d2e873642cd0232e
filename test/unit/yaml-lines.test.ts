import { describe, expect, test } from 'vitest';
import {
  findChangedKeys,
  findChangedValue,
  findLine,
  findPlaces,
} from '../../shared/files/yaml-lines.js';

const text = `# A comment
name: a
input:
  kind: text

  "charsMax": 100
labels: [one, two,
  three]
urls:
  - https://a
  - at: https://b
    sha256: c
more: {x: 1, y: {z: 2}}
anchor: &a
  deep: 1
same: *a
text: |
  two
  lines
last: 1
`;

describe('the line of a key', () => {
  test.each([
    [['name'], 2],
    [['input'], 3],
    [['input', 'kind'], 4],
    [['input', 'charsMax'], 6],
    [['labels', 1], 7],
    [['labels', 2], 8],
    [['urls', 0], 10],
    [['urls', 1, 'sha256'], 12],
    [['more', 'y', 'z'], 13],
    [['anchor', 'deep'], 15],
    [['same'], 16],
    [['last'], 20],
  ])('%j is %d', (keys, line) => expect(findLine(text, keys)).toBe(line));

  test('that is missing is that of what is around it', () => {
    expect(findLine(text, ['input', 'width'])).toBe(3);
    expect(findLine(text, ['urls', 1, 'bytes'])).toBe(11);
    expect(findLine(text, ['output', 'kind'])).toBeUndefined();
    expect(findLine('[]', [])).toBeUndefined();
  });
});

test.each([
  ['{1.10: 1, 010: 1, ~: 1}', [['1.10'], ['010'], ['~']]],
  ['a:\n  - 1.0: 1', [['a', 0, '1.0']]],
  ['{1: 1, 1.1: 1, true: 1, a b: 1.10, "1.10": 1, 2024-01-02: 1, !!str 2.0: 1}', []],
  ['? : 1', []],
  ['', []],
])('of %j, the keys that YAML reads as another text are %j', (yaml, keys) => {
  expect(findChangedKeys(findPlaces(yaml))).toEqual(keys);
});

test.each([
  ['{a: 010, b: 1}', ['a'], '010'],
  ['a: {b: 1.10}', ['a', 'b'], '1.10'],
  ['a: [1.0]', ['a', 0], '1.0'],
  ['{a: 10, b: 010}', ['a'], undefined],
  ['{a: "010"}', ['a'], undefined],
  ['{a: !!str 010}', ['a'], undefined],
  ['{b: 010}', ['a'], undefined],
])('of %j, YAML reads the value of %j as another text: %j', (yaml, keys, value) => {
  expect(findChangedValue(yaml, keys, findPlaces(yaml))).toBe(value);
});
