// Makes tokens of texts, by the rules of a tokenizer.json. The library is the one behind Python's `tokenizers`, so a
// network gets the tokens it was trained with. It works on threads of its own. Workers without such a network do not load it.

import { readFileSync } from 'node:fs';
// biome-ignore lint/style/noRestrictedImports: this file is the door to the tokenizer.
import type { Tokenizer } from 'tokenizers';
import { coerceError, ScorelineError } from '../../../shared/errors.js';
import { RunFailure } from '../../engine/engine.js';

/** The tokens of one text: special ones included, padding not. */
export interface Tokens {
  readonly ids: readonly number[];
  /** The type of each token: which of two texts it belongs to, for networks that compare two. */
  readonly types: readonly number[];
}

export interface TextTokenizer {
  /**
   * Makes tokens of texts, at most `tokensMax` of each.
   * @throws ScorelineError `model_failed` if one of them has a part that the rules know no token for, or makes no token
   */
  encode(texts: readonly string[]): Promise<Tokens[]>;
  readonly tokensMax: number;
  /** What fills the rows of shorter texts, and where. */
  readonly padding: { readonly id: number; readonly typeId: number; readonly isLeft: boolean };
}

/** The tokenizer.json cannot be used. The message goes on after the name of the file. */
export class UnfitTokenizer extends Error {}

/** The parts of a tokenizer.json that are read here. */
interface Rules {
  readonly truncation?: { readonly direction?: string } | null;
  readonly padding?: {
    readonly direction?: string;
    readonly pad_id?: number;
    readonly pad_type_id?: number;
  } | null;
}

const padTokens = ['[PAD]', '<pad>', '<|pad|>', '<|endoftext|>'];

/** @throws UnfitTokenizer */
export async function openTokenizer(file: string, tokensMax: number): Promise<TextTokenizer> {
  const { padding, truncation } = readRules(file);
  const tokenizer = await makeTokenizer(file);
  tokenizer.disablePadding();
  tokenizer.disableTruncation();
  const special = await countSpecialTokens(tokenizer);
  if (special >= tokensMax) {
    throw new UnfitTokenizer(
      `puts ${special} special tokens around each text; input.tokensMax is ${tokensMax}. Raise it`,
    );
  }
  const isCutLeft = truncation?.direction === 'Left';
  tokenizer.setTruncation(tokensMax, { direction: isCutLeft ? 'left' : 'right' });
  return {
    tokensMax,
    padding: {
      id: padding?.pad_id ?? padIdOf(tokenizer),
      typeId: padding?.pad_type_id ?? 0,
      isLeft: padding?.direction === 'Left',
    },
    async encode(texts) {
      const encodings = await tokenizer.encodeBatch([...texts]).catch((thrown: unknown) => {
        throw refused(coerceError(thrown).message);
      });
      return encodings.map((encoding) => {
        const ids = encoding.getIds();
        // Its row would be padding alone, of which a network makes something.
        if (ids.length === 0) throw refused('it makes no token of the text');
        return { ids, types: encoding.getTypeIds() };
      });
    },
  };
}

function refused(reason: string): ScorelineError {
  const cause = new RunFailure(reason, { runtime: 'The tokenizer', reader: 'caller' });
  return new ScorelineError('model_failed', 'The model failed on this input.', { cause });
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

async function makeTokenizer(file: string): Promise<Tokenizer> {
  // biome-ignore lint/style/noRestrictedImports: this file is the door to the tokenizer.
  const library = await import('tokenizers');
  try {
    return library.Tokenizer.fromFile(file);
  } catch (thrown) {
    throw new UnfitTokenizer(
      `has rules that the tokenizer library does not know: ${coerceError(thrown).message}`,
    );
  }
}

/** Counts what the tokenizer puts around the tokens of a text. */
async function countSpecialTokens(tokenizer: Tokenizer): Promise<number> {
  const [all, bare] = await Promise.all(
    [true, false].map((addSpecialTokens) => tokenizer.encode('', null, { addSpecialTokens })),
  );
  return (all?.getLength() ?? 0) - (bare?.getLength() ?? 0);
}

/** Padding is masked, so its id matters only to networks that count positions by it. */
function padIdOf(tokenizer: Tokenizer): number {
  for (const token of padTokens) {
    const id = tokenizer.tokenToId(token);
    if (id !== null) return id;
  }
  return 0;
}
