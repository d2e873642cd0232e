// The files that Hugging Face's tools, sentence-transformers and timm write beside a network: how its texts become tokens,
// what its classes are called, how the vectors of its tokens become one, and how its pictures were prepared.

import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { coerceError, type ScorelineError } from '../../../shared/errors.js';
import { wrongFile } from '../../faults.js';
import { readImageProcessor } from './preparing/image-processor.js';
import type { Preparation } from './preparing/preparation.js';
import { readTimm } from './preparing/timm.js';

export interface Companions {
  /** The tokenizer.json, if there is one. */
  readonly tokenizer: string | undefined;
  /** The most tokens of a text that the network was made for, and the file that says so. */
  readonly tokensMax: { readonly tokens: number; readonly file: string } | undefined;
  readonly pooling: { readonly way: string; readonly file: string } | undefined;
  /** How the pictures of its training were prepared. */
  readonly preparation: Preparation | undefined;
  /** The names of the classes, in their order. */
  readonly labels: { readonly names: readonly string[]; readonly file: string } | undefined;
  /** Whether an input can have several of the classes. */
  readonly hasSeveralLabels: boolean;
}

type Content = Readonly<Record<string, unknown>>;

/** Networks that count positions from 2, so that fewer tokens fit than they have positions. */
const shiftedModels = /roberta|camembert|mpnet|longformer/;
const shift = 2;
/** Tokenizers of networks without a limit name a far larger number. */
const tokensMaxMax = 65_536;

/**
 * Looks beside a network: in its folder, and in the one around a folder `onnx`.
 * @param tokenizer the tokenizer.json that the user named
 * @throws ScorelineError `model_file_wrong` if a file is there that is no JSON
 */
export function readCompanions(network: string, tokenizer?: string): Companions {
  const own = statSync(network).isDirectory() ? network : path.dirname(network);
  const around = path.join(own, '..');
  const folders = path.basename(path.resolve(own)) === 'onnx' ? [own, around] : [own];
  const find = (name: string) =>
    folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
  const config = find('config.json');
  const found = tokenizer ?? find('tokenizer.json');
  const ofConfig = {
    ...readConfig(config),
    preparation: readPreparation(find('preprocessor_config.json'), config),
  };
  if (found === undefined) {
    return { ...ofConfig, tokenizer: undefined, tokensMax: undefined, pooling: undefined };
  }
  return {
    ...ofConfig,
    tokenizer: found,
    tokensMax: leastOf([
      readNumber(found, ['truncation', 'max_length']),
      readNumber(find('tokenizer_config.json'), ['model_max_length']),
      readNumber(find('sentence_bert_config.json'), ['max_seq_length']),
      readPositions(config),
    ]),
    pooling: readPooling(find('1_Pooling/config.json')),
  };
}

function readPreparation(processor: string | undefined, config: string | undefined) {
  const found =
    processor === undefined ? undefined : readImageProcessor(read(processor), processor);
  return found ?? (config === undefined ? undefined : readTimm(read(config), config));
}

function readConfig(file: string | undefined): Pick<Companions, 'labels' | 'hasSeveralLabels'> {
  const { id2label, label_names, problem_type: problem } = file === undefined ? {} : read(file);
  const entries = Object.entries((id2label ?? label_names ?? {}) as Content);
  const names = entries.toSorted(([one], [other]) => Number(one) - Number(other));
  const areInOrder = names.length > 0 && names.every(([index], at) => Number(index) === at);
  return {
    labels: areInOrder
      ? { names: names.map(([, name]) => String(name)), file: file as string }
      : undefined,
    hasSeveralLabels: problem === 'multi_label_classification',
  };
}

type Limit = Companions['tokensMax'];

function leastOf(limits: readonly Limit[]): Limit {
  const known = limits.filter((limit) => limit !== undefined);
  return known.toSorted((one, other) => one.tokens - other.tokens)[0];
}

function readNumber(file: string | undefined, keys: readonly string[]): Limit {
  if (file === undefined) return undefined;
  const value = keys.reduce<unknown>((inner, key) => (inner as Content | null)?.[key], read(file));
  return toLimit(value, file);
}

function readPositions(file: string | undefined): Limit {
  if (file === undefined) return undefined;
  const { max_position_embeddings: positions, model_type: type } = read(file);
  const isShifted = shiftedModels.test(String(type));
  return toLimit(isShifted ? Number(positions) - shift : positions, file);
}

function toLimit(value: unknown, file: string): Limit {
  const isLimit = Number.isInteger(value) && Number(value) > 0 && Number(value) <= tokensMaxMax;
  return isLimit ? { tokens: Number(value), file } : undefined;
}

function readPooling(file: string | undefined): Companions['pooling'] {
  if (file === undefined) return undefined;
  const modes = Object.entries(read(file)).filter(
    ([key, value]) => key.startsWith('pooling_mode_') && value === true,
  );
  const names = modes.map(([key]) => key.slice('pooling_mode_'.length));
  const way = { cls_token: 'cls', mean_tokens: 'mean' }[names.join()] ?? names.join(' and ');
  return { way, file };
}

function read(file: string): Content {
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof content === 'object' && content !== null) return content as Content;
  } catch (thrown) {
    throw wrong(file, coerceError(thrown).message);
  }
  throw wrong(file, 'it has no object');
}

function wrong(file: string, reason: string): ScorelineError {
  return wrongFile(
    `expected JSON in ${file}, as Hugging Face's tools write it beside a network; ${reason}. Mend it, or move the network elsewhere`,
  );
}
