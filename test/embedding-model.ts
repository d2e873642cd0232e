// A network for tests that takes tokens as BERT does, and whose embeddings can be worked out by hand: each
// word has two numbers, and the special tokens have none.

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  bigints,
  elementTypes,
  floats,
  integer,
  integers,
  node,
  onnxModel,
  tensor,
  value,
} from './onnx.js';
import { sourceOf } from './unit/sample-model.js';

const { FP32: float, INT64: long } = elementTypes;

const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'red', 'blue', 'green', 'slow'];
/** Padding would spoil every mean that counts it. */
const vectors = [
  ...[100, 100], // [PAD]
  ...[0, 0], // [UNK]
  ...[0, 0], // [CLS]
  ...[0, 0], // [SEP]
  ...[1, 0], // red
  ...[0, 1], // blue
  ...[-1, 0], // green
  ...[0, -1], // slow
];

export const tokenizerRules = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [0, 1, 2, 3].map((id) => ({
    id,
    content: vocabulary[id],
    special: true,
    ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
  })),
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
    ],
    pair: [],
    special_tokens: {
      '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
      '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
    },
  },
  decoder: null,
  model: {
    type: 'WordPiece',
    vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
  },
};

/** Looks up the vectors of the tokens: `hidden`, float32 [N, tokens, 2]. */
const lookUp = node('Gather', ['vectors', 'input_ids'], ['hidden']);
const table = tensor('vectors', float, [vocabulary.length, 2], floats(vectors));
const one = tensor('one', long, [1], Buffer.from(new BigInt64Array([1n]).buffer));
const inputs = [value('input_ids', long, ['N', 'T']), value('attention_mask', long, ['N', 'T'])];

/** Answers with the vectors of all tokens. */
export const bare = onnxModel({
  nodes: [lookUp],
  constants: [table],
  inputs: [...inputs, value('token_type_ids', long, ['N', 'T'])],
  outputs: [value('hidden', float, ['N', 'T', 2])],
});

/** Has a vector for each of four positions, too. */
const positioned = onnxModel({
  nodes: [
    node('Gather', ['vectors', 'input_ids'], ['words']),
    node('Gather', ['places', 'position_ids'], ['at']),
    node('Add', ['words', 'at'], ['hidden']),
  ],
  constants: [table, tensor('places', float, [4, 2], floats(new Array<number>(8).fill(0)))],
  inputs: [value('input_ids', long, ['N', 'T']), value('position_ids', long, ['N', 'T'])],
  outputs: [value('hidden', float, ['N', 'T', 2])],
});

/** Answers with the mean of the vectors, of length 1, as models/minilm does. */
export const pooled = onnxModel(
  {
    nodes: [
      lookUp,
      node('Cast', ['attention_mask'], ['mask'], integer('to', float)),
      node('Unsqueeze', ['mask', 'one'], ['row']),
      node('MatMul', ['row', 'hidden'], ['sums']),
      node('Squeeze', ['sums', 'one'], ['sum']),
      node('LpNormalization', ['sum'], ['embedding'], integer('axis', 1)),
    ],
    constants: [table, one],
    inputs,
    outputs: [value('embedding', float, ['N', 2])],
  },
  17,
);

/**
 * Answers with the vectors of all tokens, reshaped; of which shape is known after a run.
 * @param declared the shape in the file
 */
export function reshaped(declared: (number | string)[], returned: bigint[]): Buffer {
  const { length } = returned;
  return onnxModel({
    nodes: [
      lookUp,
      node('Compress', ['sizes', 'all'], ['shape'], integer('axis', 0)),
      node('Reshape', ['hidden', 'shape'], ['reshaped']),
    ],
    constants: [
      table,
      tensor('sizes', long, [length], bigints(returned)),
      tensor('all', elementTypes.BOOL, [length], Buffer.alloc(length, 1)),
    ],
    inputs,
    outputs: [value('reshaped', float, declared)],
  });
}

/** Answers with the vectors of all tokens but the first. */
export const shortened = onnxModel({
  nodes: [lookUp, node('Slice', ['hidden', 'one', 'end', 'one'], ['shortened'])],
  constants: [table, one, tensor('end', long, [1], bigints([99n]))],
  inputs,
  outputs: [value('shortened', float, ['N', 'S', 2])],
});

/** Answers with the mean of the vectors of all tokens, those of the padding included. */
const unmasked = onnxModel(
  {
    nodes: [
      lookUp,
      node('ReduceMean', ['hidden'], ['mean'], integers('axes', [1])),
      node('Squeeze', ['mean', 'one'], ['embedding']),
    ],
    constants: [table, one],
    inputs: [value('input_ids', long, ['N', 'T'])],
    outputs: [value('embedding', float, ['N', 2])],
  },
  17,
);

/**
 * Adds a model that answers with embeddings to a folder of models.
 * @param changes to its manifest; with `pooling: 'none'` as output, its graph pools by itself
 * @param options.isPositioned whether it takes four tokens at most
 * @param options.isMasked whether a graph that pools leaves padding out
 * @param options.network another network
 * @param options.hasSpecialTokens whether its tokenizer puts tokens of its own around each text
 */
export function addEmbeddingModel(
  directory: string,
  name: string,
  changes: Record<string, unknown> = {},
  {
    isPositioned = false,
    isMasked = true,
    network: given,
    hasSpecialTokens = true,
  }: {
    isPositioned?: boolean;
    isMasked?: boolean;
    network?: Buffer;
    hasSpecialTokens?: boolean;
  } = {},
): void {
  const output = { kind: 'embedding', dimension: 2, ...(changes.output as object) };
  const isPooled = (output as { pooling?: string }).pooling === 'none';
  const unpooled = isPositioned ? positioned : bare;
  const pooling = isMasked ? pooled : unmasked;
  const network = given ?? (isPooled ? pooling : unpooled);
  const rules = Buffer.from(
    JSON.stringify(hasSpecialTokens ? tokenizerRules : { ...tokenizerRules, post_processor: null }),
  );
  const manifest = {
    name,
    version: 1,
    description: 'Embeds colours.',
    source: {
      ...sourceOf('model.onnx', network),
      tokenizer: sourceOf('tokenizer.json', rules),
    },
    input: { kind: 'text', tokensMax: 6 },
    network: {
      inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
      outputs: [{ name: 'embedding', datatype: 'FP32', shape: [-1, 2] }],
    },
    batch: { max: 4 },
    device: { type: 'cpu', threads: 1 },
    ...changes,
    output,
  };
  const folder = path.join(directory, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'model.onnx'), network);
  writeFileSync(path.join(folder, 'tokenizer.json'), rules);
  writeFileSync(path.join(folder, 'model.yaml'), JSON.stringify(manifest));
}
