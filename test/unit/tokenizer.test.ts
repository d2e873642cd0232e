// Tests the tokens of texts against those of Python's tokenizers, which test/cases/tokens.json has.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { openTokenizer, type TextTokenizer } from '../../worker/batch/network/tokenizer.js';
import { root } from '../harness.js';
import { makeFolder } from './sample-model.js';

const file = path.join(root, 'models/minilm/tokenizer.json');

interface Case {
  readonly text: string;
  readonly tokensMax: number;
  readonly ids: readonly number[];
}

const cases: readonly Case[] = JSON.parse(
  readFileSync(path.join(root, 'test/cases/tokens.json'), 'utf8'),
);

const encode = async (tokenizer: TextTokenizer | undefined, text: string) =>
  (await tokenizer?.encode([text]))?.[0];

/** Reading the vocabulary takes a third of a second. */
const tokenizers = new Map<number, TextTokenizer>();
for (const tokensMax of new Set(cases.map((entry) => entry.tokensMax))) {
  tokenizers.set(tokensMax, await openTokenizer(file, tokensMax));
}

test.each(cases.map((entry) => [entry.text.slice(0, 40), entry] as const))(
  'the tokens of %j are those of Python',
  async (_, { text, tokensMax, ids }) => {
    expect((await encode(tokenizers.get(tokensMax), text))?.ids).toEqual(ids);
  },
);

test('a text is cut in the middle of its tokens, and keeps the special ones', async () => {
  expect(await encode(await openTokenizer(file, 4), 'one two three four')).toEqual({
    ids: [101, 2028, 2048, 102],
    types: [0, 0, 0, 0],
  });
});

test('a tokenizer that says so cuts and pads at the left', async () => {
  const rules = JSON.parse(readFileSync(file, 'utf8'));
  rules.truncation = { ...rules.truncation, direction: 'Left' };
  rules.padding = { ...rules.padding, strategy: { Fixed: 9 }, direction: 'Left', pad_id: 7 };
  const tokenizer = await openTokenizer(write(JSON.stringify(rules)), 4);
  expect((await encode(tokenizer, 'one two three four'))?.ids).toEqual([101, 2093, 2176, 102]);
  expect((await encode(tokenizer, 'one'))?.ids).toEqual([101, 2028, 102]);
  expect(tokenizer.padding).toEqual({ id: 7, typeId: 0, isLeft: true });
});

test.each([
  ['no JSON', '{', 'cannot be read as JSON'],
  ['no rules', '{"version": "1.0"}', 'expected a tokenizer.json with the key "model"'],
  [
    'unknown rules',
    '{"model": {"type": "Markov"}}',
    'has rules that the tokenizer library does not',
  ],
])('a tokenizer.json with %s is refused', async (_, content, reason) => {
  await expect(openTokenizer(write(content), 8)).rejects.toThrow(reason);
});

test('too little room for a token is refused', async () => {
  await expect(openTokenizer(file, 2)).rejects.toThrow(
    'puts 2 special tokens around each text; input.tokensMax is 2',
  );
});

const words = ['<unk>', 'große', 'Übung', 'οδοσ'];
const wordLevel = {
  ...{ type: 'WordLevel', unk_token: '<unk>' },
  vocab: Object.fromEntries(words.map((word, id) => [word, id])),
};
const unigram = { type: 'Unigram', unk_id: 0, vocab: words.map((word, id) => [word, -id]) };

const rulesOf = (model: object, normalizer: object | null = null) => ({
  ...{ version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer, model },
  ...{ pre_tokenizer: { type: 'Whitespace' }, post_processor: null, decoder: null },
});

// The tokens are those of Python's tokenizers 0.21.4. Tokenizers that follow JavaScript's rules of texts make others.
test.each([
  ['letters of every alphabet are of one word', 'große Übung', rulesOf(wordLevel), [1, 2]],
  ['a Greek capital has one small letter', 'ΟΔΟΣ', rulesOf(wordLevel, { type: 'Lowercase' }), [3]],
  ['unknown words stay apart', 'what große who what', rulesOf(unigram), [0, 1, 0, 0]],
])('%s', async (_, text, rules, ids) => {
  const tokenizer = await openTokenizer(write(JSON.stringify(rules)), 8);
  expect((await encode(tokenizer, text))?.ids).toEqual(ids);
});

test('a text that the rules know no token for says so', async () => {
  const lacking = rulesOf({ ...wordLevel, unk_token: '<gone>' });
  const tokenizer = await openTokenizer(write(JSON.stringify(lacking)), 8);
  expect((await encode(tokenizer, 'große'))?.ids).toEqual([1]);
  await expect(tokenizer.encode(['große', 'two'])).rejects.toMatchObject({
    code: 'model_failed',
    cause: { message: expect.stringContaining('WordLevel error'), reader: 'caller' },
  });
});

function write(content: string): string {
  return path.join(makeFolder({ 'tokenizer.json': content }), 'tokenizer.json');
}
