// Adds networks that take tokens, as Hugging Face's tools write them, with the files beside them.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readManifest } from '../../shared/manifest/file.js';
import { add, addIn, expectRefusal } from '../add-model.js';
import { bare, pooled, tokenizerRules } from '../embedding-model.js';
import { elementTypes, floats, integers, node, onnxModel, tensor, value } from '../onnx.js';
import { makeFolder } from '../unit/sample-model.js';

const { FP32: float, INT64: long } = elementTypes;
/** Answers with the largest of two numbers over all tokens, or of each token, and with the numbers of all tokens. */
function scoring(
  [first, ...others]: [name: string, shape: (number | string)[]][],
  { tokens = 'T', axis = 1 }: { tokens?: number | string; axis?: number } = {},
) {
  const inputs = ['input_ids', 'attention_mask', 'token_type_ids'];
  const numbers = Array.from({ length: 16 }, (_, at) => at - 8);
  const named = first ? [first, ...others] : others;
  return onnxModel({
    nodes: [
      node('Gather', ['numbers', 'input_ids'], ['each']),
      node('ReduceMax', ['each'], ['largest'], integers('axes', [axis])),
      node('Flatten', ['largest'], [String(first?.[0])]),
      ...others.map(([name]) => node('Identity', ['each'], [name])),
    ],
    constants: [tensor('numbers', float, [8, 2], floats(numbers))],
    inputs: inputs.map((name) => value(name, long, ['N', tokens])),
    outputs: named.map(([name, shape]) => value(name, float, shape)),
  });
}

const tokenizer = JSON.stringify(tokenizerRules);
const manifestOf = (folder: string, name: string) =>
  readManifest(path.join(folder, 'models', name));
const config = (content: object) => JSON.stringify(content);
const labels = { id2label: { 0: 'calm', 1: 'angry' } };

describe('npm run models -- add, of a network that takes tokens', () => {
  test('finds the tokenizer beside it, and pools the vectors of its tokens', async () => {
    const files = {
      'm/bare.onnx': bare,
      'm/tokenizer.json': tokenizer,
      'm/tokenizer_config.json': config({ model_max_length: 1e30 }),
      'm/sentence_bert_config.json': config({ max_seq_length: 6 }),
      'm/config.json': config({ max_position_embeddings: 12 }),
      'm/1_Pooling/config.json': config({
        pooling_mode_cls_token: true,
        pooling_mode_mean_tokens: false,
      }),
    };
    const { code, said, folder } = await add(files, 'm/bare.onnx');
    expect(said).toContain('bare: text, because its inputs are the tokens of a text, input_ids');
    expect(said).toContain('at most 6 of a text, as m/sentence_bert_config.json says');
    expect(said).toContain('an embedding, since hidden has a vector for each token');
    expect(said).toContain('as m/1_Pooling/config.json says');
    expect(code).toBe(0);
    expect(manifestOf(folder, 'bare')).toMatchObject({
      source: { tokenizer: { file: 'tokenizer.json', bytes: tokenizer.length } },
      input: { kind: 'text', tokensMax: 6 },
      output: { kind: 'embedding', dimension: 2, pooling: 'cls', normalise: true },
      network: { inputs: [{ datatype: 'BYTES', shape: ['N'] }] },
    });
  });

  test('takes an output named embedding as it is, and the tokenizer of a flag', async () => {
    const files = { 'e.onnx': pooled, 'rules.json': tokenizer };
    const { code, said, folder } = await add(files, 'e.onnx', '--tokenizer', 'rules.json');
    expect(said).toContain('an embedding, since embedding is an embedding, as its name says');
    expect(said).toContain('at most 512 of a text, as BERT has them');
    expect(code).toBe(0);
    expect(manifestOf(folder, 'e').output).toMatchObject({ dimension: 2, pooling: 'none' });
  });

  test('names the output of an embedding if another would fit', async () => {
    const network = scoring([
      ['pooler_output', ['N', 2]],
      ['token_embeddings', ['N', 'T', 2]],
      ['last_hidden_state', ['N', 'T', 2]],
    ]);
    const files = { 'v.onnx': network, 'tokenizer.json': tokenizer };
    const { code, folder } = await add(files, 'v.onnx', '--set', 'output.tensor=last_hidden_state');
    expect(code).toBe(0);
    expect(manifestOf(folder, 'v').output).toMatchObject({
      ...{ kind: 'embedding', tensor: 'last_hidden_state', pooling: 'mean' },
    });
  });

  test('makes classes of logits, with the labels of config.json around the folder onnx', async () => {
    const files = {
      'm/onnx/model.onnx': scoring(
        [
          ['logits', ['N', 'C']],
          ['last_hidden_state', ['N', 'T', 2]],
        ],
        { tokens: 9 },
      ),
      'm/tokenizer.json': tokenizer,
      'm/config.json': config(labels),
    };
    const { code, said, folder } = await add(files, 'm/onnx/model.onnx', '--name', 'moods');
    expect(said).toContain('classes, since logits is a row of scores, as its name says');
    expect(said).toMatch(/labels +2, from m\/config.json/);
    expect(said).toContain('at most 9 of a text, as the network takes');
    expect(said).toContain('so activation is softmax');
    expect(code).toBe(0);
    expect(manifestOf(folder, 'moods')).toMatchObject({
      input: { tokensMax: 9 },
      output: { kind: 'classification', activation: 'softmax' },
    });
    const written = readFileSync(path.join(folder, 'models/moods/labels.txt'), 'utf8');
    expect(written).toBe('0 calm\n1 angry\n');
  });

  test('gives each label a chance if config.json says so, and labels of a flag come first', async () => {
    const files = {
      'moods.onnx': scoring([['logits', ['N', 2]]]),
      'tokenizer.json': tokenizer,
      'config.json': config({ ...labels, problem_type: 'multi_label_classification' }),
      'own.txt': 'soft\nloud\n',
    };
    const { code, said, folder } = await add(files, 'moods.onnx', '--labels', 'own.txt');
    expect(said).toContain('config.json says that an input can have several labels');
    expect(said).toMatch(/labels +2, from own.txt/);
    expect(code).toBe(0);
    expect(manifestOf(folder, 'moods').output).toMatchObject({
      activation: 'sigmoid',
      threshold: 0.5,
    });
  });

  test('serves tokens without a tokenizer, and the places of answers, by their tensors', async () => {
    const places: [string, string[]][] = [['start_logits', ['N', 'T']]];
    const alone = await add({ 'a.onnx': bare }, 'a.onnx');
    expect(alone.said).toContain(
      'there is no tokenizer.json beside it. To send texts: --tokenizer FILE',
    );
    expect(manifestOf(alone.folder, 'a').input.kind).toBe('tensors');
    const files = { 'qa.onnx': scoring(places, { axis: 2 }), 'tokenizer.json': tokenizer };
    const { said, folder } = await add(files, 'qa.onnx');
    expect(said).toContain(
      'qa: tensors, because it takes tokens, and no output is a row of scores',
    );
    expect(manifestOf(folder, 'qa').input.kind).toBe('tensors');
  });

  test('lets --set decide on the answer, the pooling and the tokens', async () => {
    const folder = makeFolder({ 'models/.keep': '', 'b.onnx': bare, 'tokenizer.json': tokenizer });
    const set = [
      '--set',
      'output.pooling=cls',
      '--set',
      'output.normalise=false',
      '--set',
      'input.tokensMax=4',
    ];
    const { code } = await addIn(folder, ['b.onnx', ...set]);
    expect(code).toBe(0);
    expect(manifestOf(folder, 'b')).toMatchObject({
      input: { tokensMax: 4 },
      output: { pooling: 'cls', normalise: false },
    });
  });

  const wrong: [command: string, says: string, files?: Record<string, unknown>][] = [
    ['m.onnx --tokenizer none.json', 'there is no none.json'],
    ['m.onnx --columns a', '--columns: expected a table', { 'tokenizer.json': tokenizer }],
    [
      'm.onnx --labels own.txt --set output.kind=embedding',
      '--labels: expected a network that answers with classes',
      { 'tokenizer.json': tokenizer, 'own.txt': 'a\nb\n' },
    ],
    ['m.onnx --kind text', 'expected the tokenizer.json of the network'],
    ['m.onnx', 'tokenizer.json has no rules', { 'tokenizer.json': '{}' }],
    ['m.onnx', 'expected JSON in tokenizer.json', { 'tokenizer.json': '{' }],
    [
      'm.onnx',
      '1_Pooling/config.json says max_tokens',
      {
        'tokenizer.json': tokenizer,
        '1_Pooling/config.json': config({ pooling_mode_max_tokens: true }),
      },
    ],
    ['m.onnx --set input.scale', '--set: expected a key of the manifest'],
    ['m.onnx --set name=x', '--set: expected a key of the manifest'],
    ['m.onnx --set output.poling=cls', 'output', { 'tokenizer.json': tokenizer }],
    [
      'm.onnx --set output.tensor=x',
      'expected one of hidden; got x',
      { 'tokenizer.json': tokenizer },
    ],
  ];
  test.each(wrong)(
    'refuses "%s", and leaves nothing behind: %s',
    async (command, says, files = {}) => {
      expectRefusal(await add({ 'm.onnx': bare, ...files }, ...command.split(' ')), says);
    },
  );
});
