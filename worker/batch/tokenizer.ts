// Makes tokens of texts, by the rules of a tokenizer.json. The library does not truncate, so this does: what
// the special tokens around a text are is found out once, with a probe.

import { readFileSync } from 'node:fs';
// biome-ignore lint/style/noRestrictedImports: this file is the door to the tokenizer.
import { Tokenizer } from '@huggingface/tokenizers';
import { coerceError } from '../../shared/errors.js';

/** The tokens of one text: special ones included, padding not. */
export interface Tokens {
  readonly ids: readonly number[];
  /** The type of each token: which of two texts it belongs to, for networks that compare two. */
  readonly types: readonly number[];
}

export interface TextTokenizer {
  /** Makes tokens of a text, at most `tokensMax`. */
  encode(text: string): Tokens;
  readonly tokensMax: number;
  /** What fills the rows of shorter texts, and where. */
  readonly padding: { readonly id: number; readonly typeId: number; readonly isLeft: boolean };
}

/** The tokenizer.json cannot be used. The message goes on after the name of the file. */
export class UnfitTokenizer extends Error {}

/** What the library returns. Its own types are lost on the way through its package. */
interface Encoding {
  readonly ids: number[];
  readonly token_type_ids?: number[];
}

/** The parts of a tokenizer.json that are read here. */
interface Rules {
  readonly model: { readonly type?: string };
  readonly truncation?: { readonly direction?: string } | null;
  readonly padding?: {
    readonly direction?: string;
    readonly pad_id?: number;
    readonly pad_type_id?: number;
  } | null;
}

/** Of other models, the library would make tokens without ids. */
const modelTypes = ['WordPiece', 'BPE', 'Unigram'];
const padTokens = ['[PAD]', '<pad>', '<|pad|>', '<|endoftext|>'];
const probe = 'a b';

/** @throws UnfitTokenizer */
export function openTokenizer(file: string, tokensMax: number): TextTokenizer {
  const rules = readRules(file);
  const tokenizer = makeTokenizer(rules);
  const around = specialTokens(tokenizer);
  const room = tokensMax - around.before.ids.length - around.after.ids.length;
  if (room < 1) {
    throw new UnfitTokenizer(
      `puts ${tokensMax - room} special tokens around each text; input.tokensMax is ${tokensMax}. Raise it`,
    );
  }
  const isCutLeft = rules.truncation?.direction === 'Left';
  return {
    tokensMax,
    padding: {
      id: rules.padding?.pad_id ?? padIdOf(tokenizer),
      typeId: rules.padding?.pad_type_id ?? 0,
      isLeft: rules.padding?.direction === 'Left',
    },
    encode(text) {
      const encoding: Encoding = tokenizer.encode(text, { add_special_tokens: false });
      // Like the original, it leaves out what the vocabulary has no token for; but leaves a hole.
      const ids = encoding.ids.filter((id) => id !== undefined);
      const kept = isCutLeft ? ids.slice(-room) : ids.slice(0, room);
      return {
        ids: [...around.before.ids, ...kept, ...around.after.ids],
        types: [
          ...around.before.types,
          ...new Array<number>(kept.length).fill(around.type),
          ...around.after.types,
        ],
      };
    },
  };
}

function readRules(file: string): Rules {
  try {
    const rules: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof rules === 'object' && rules !== null && 'model' in rules) return rules as Rules;
  } catch (thrown) {
    throw new UnfitTokenizer(`cannot be read as JSON: ${coerceError(thrown).message}`);
  }
  throw new UnfitTokenizer('has no rules: expected a tokenizer.json with the key "model"');
}

function makeTokenizer(rules: Rules): Tokenizer {
  const { type } = rules.model;
  if (!modelTypes.includes(String(type))) {
    throw new UnfitTokenizer(
      `has a model of the type ${type}; expected one of ${modelTypes.join(', ')}`,
    );
  }
  try {
    return new Tokenizer(rules, {});
  } catch (thrown) {
    throw new UnfitTokenizer(
      `has rules that the tokenizer library does not know: ${coerceError(thrown).message}`,
    );
  }
}

/** Finds what the tokenizer puts before and after the tokens of a text. */
function specialTokens(tokenizer: Tokenizer): { before: Tokens; after: Tokens; type: number } {
  const { ids: bare }: Encoding = tokenizer.encode(probe, { add_special_tokens: false });
  const encoding: Encoding = tokenizer.encode(probe, { return_token_type_ids: true });
  const { ids, token_type_ids: types = ids.map(() => 0) } = encoding;
  const from = ids.findIndex((_, at) => bare.every((id, index) => ids[at + index] === id));
  if (bare.length === 0 || from < 0) {
    throw new UnfitTokenizer(`finds no tokens in the text ${JSON.stringify(probe)}`);
  }
  const to = from + bare.length;
  return {
    before: { ids: ids.slice(0, from), types: types.slice(0, from) },
    after: { ids: ids.slice(to), types: types.slice(to) },
    type: types[from] ?? 0,
  };
}

/** Padding is masked, so its id matters only to networks that count positions by it. */
function padIdOf(tokenizer: Tokenizer): number {
  for (const token of padTokens) {
    const id = tokenizer.token_to_id(token);
    if (id !== undefined) return id;
  }
  return 0;
}
