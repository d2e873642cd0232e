// Tests the tokens of texts against those of Python's tokenizers, which test/cases/tokens.json has.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openTokenizer } from '../../worker/batch/tokenizer.js';
import { root } from '../harness.js';

const file = path.join(root, 'models/minilm/tokenizer.json');

interface Case {
  readonly text: string;
  readonly tokensMax: number;
  readonly ids: readonly number[];
}

const cases: readonly Case[] = JSON.parse(
  readFileSync(path.join(root, 'test/cases/tokens.json'), 'utf8'),
);

/** Reading the vocabulary takes a third of a second. */
const tokenizers = new Map(
  [...new Set(cases.map(({ tokensMax }) => tokensMax))].map((tokensMax) => [
    tokensMax,
    openTokenizer(file, tokensMax),
  ]),
);

test.each(cases.map((entry) => [entry.text.slice(0, 40), entry] as const))(
  'the tokens of %j are those of Python',
  (_, { text, tokensMax, ids }) => {
    expect(tokenizers.get(tokensMax)?.encode(text).ids).toEqual(ids);
  },
);

test('a text is cut in the middle of its tokens, and keeps the special ones', () => {
  const { ids, types } = openTokenizer(file, 4).encode('one two three four');
  expect(ids).toEqual([101, 2028, 2048, 102]);
  expect(types).toEqual([0, 0, 0, 0]);
});

test('a tokenizer that says so cuts and pads at the left', () => {
  const rules = JSON.parse(readFileSync(file, 'utf8'));
  rules.truncation = { ...rules.truncation, direction: 'Left' };
  rules.padding = { ...rules.padding, direction: 'Left', pad_id: 7 };
  const tokenizer = openTokenizer(write(JSON.stringify(rules)), 4);
  expect(tokenizer.encode('one two three four').ids).toEqual([101, 2093, 2176, 102]);
  expect(tokenizer.padding).toEqual({ id: 7, typeId: 0, isLeft: true });
});

test.each([
  ['no JSON', '{', 'cannot be read as JSON'],
  ['no rules', '{"version": "1.0"}', 'expected a tokenizer.json with the key "model"'],
  ['unknown rules', '{"model": {"type": "WordLevel"}}', 'has a model of the type WordLevel'],
])('a tokenizer.json with %s is refused', (_, content, reason) => {
  expect(() => openTokenizer(write(content), 8)).toThrow(reason);
});

test('too little room for a token is refused', () => {
  expect(() => openTokenizer(file, 2)).toThrow(
    'puts 2 special tokens around each text; input.tokensMax is 2',
  );
});

function write(content: string): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tokenizer-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const written = path.join(folder, 'tokenizer.json');
  writeFileSync(written, content);
  return written;
}
