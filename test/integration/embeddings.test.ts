// Tests embeddings in the worker: tokens of texts, padding within a batch, pooling, and what a manifest must
// not say.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { checkModel } from '../../cli/models/check.js';
import { makeLogger } from '../../shared/process/log.js';
import { type Model, readModels } from '../../shared/registry/models.js';
import { toFloats } from '../../shared/tensors/tensors.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import { openScorer } from '../../worker/batch/scorer.js';
import { addEmbeddingModel, reshaped, shortened } from '../embedding-model.js';
import { readModel } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const half = Math.SQRT1_2;

function modelWith(changes: Record<string, unknown> = {}) {
  const directory = makeFolder({});
  addEmbeddingModel(directory, 'colours', changes);
  return readModel('colours', directory);
}

/** Embeds texts in one batch. */
async function embed(texts: readonly string[], changes: Record<string, unknown> = {}) {
  const scorer = await openScorer(modelWith(changes), log);
  onTestFinished(() => scorer.close());
  const { results } = await scorer.score(texts.map((text) => ({ inputs: textInputs(text) })));
  return results.map((result) => {
    if ('error' in result) return result.error.detail;
    const [embedding, ...others] = result.outputs;
    expect(others).toEqual([]);
    expect(embedding).toMatchObject({ name: 'embedding', datatype: 'FP32', shape: [1, 2] });
    return embedding && [...toFloats(embedding)].map((number) => Number(number.toFixed(4)));
  });
}

describe('an embedding', () => {
  test('is the mean over the tokens of the text, whatever is beside it in the batch', async () => {
    const rounded = Number(half.toFixed(4));
    expect(await embed(['red', 'Red BLUE', 'green green green', 'unheard-of'])).toEqual([
      [1, 0],
      [rounded, rounded],
      [-1, 0],
      [0, 0],
    ]);
  });

  test('is cut after the last token that fits, the special ones included', async () => {
    expect(await embed(['red red red red blue blue blue'])).toEqual([[1, 0]]);
  });

  test('keeps its length if the manifest says so', async () => {
    // Five tokens, two of them special: the mean counts them all.
    expect(await embed(['red red blue'], { output: { normalise: false } })).toEqual([[0.4, 0.2]]);
  });

  test('is the vector of the first token with pooling: cls', async () => {
    const output = { pooling: 'cls', normalise: false };
    expect(await embed(['red', 'blue blue'], { output })).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  test('is what the graph makes with pooling: none', async () => {
    expect(await embed(['red', 'slow slow'], { output: { pooling: 'none' } })).toEqual([
      [1, 0],
      [0, -1],
    ]);
  });

  test.each(['mean', 'cls', 'none'])(
    'of a text without a token is refused, alone and beside others: %s',
    async (pooling) => {
      const directory = makeFolder({});
      const output = { pooling };
      addEmbeddingModel(directory, 'colours', { output }, { hasSpecialTokens: false });
      const scorer = await openScorer(readModel('colours', directory), log);
      onTestFinished(() => scorer.close());
      const score = async (...texts: string[]) =>
        (await scorer.score(texts.map((text) => ({ inputs: textInputs(text) })))).results;
      const refused = {
        error: {
          code: 'inputs_refused',
          detail: expect.stringContaining('The tokenizer says: it makes no token of the text'),
        },
      };
      expect(await score(' ')).toEqual([refused]);
      const outputs = [{ name: 'embedding' }];
      expect(await score('red', ' ', 'blue')).toMatchObject([{ outputs }, refused, { outputs }]);
    },
  );

  test('is compared with the example by the check', async () => {
    const example = { input: 'red', expected: { embedding: [1, 0] } };
    const lines: string[] = [];
    await checkModel(modelWith({ example }), (line) => lines.push(line));
    expect(lines.join('\n')).toContain('example    [1.000, 0.000, …], as expected');
    const wrong = { input: 'red', expected: { embedding: [0.5] } };
    await expect(checkModel(modelWith({ example: wrong }), () => {})).rejects.toThrow(
      'colours: example: expected [0.5, …] ± 0.001; got [1.000, …]',
    );
  });
});

describe('a network that returns other sizes than it declares', () => {
  const each = 'a vector of 2 numbers for each';
  test.each([
    ['vectors of tokens', 'none', reshaped(['N', 2], [1n, -1n, 2n]), `${each} input in`],
    ['one vector', 'mean', reshaped(['N', 'T', 2], [1n, -1n]), `${each} token of each`],
    ['vectors of words', 'mean', reshaped(['N', 'T', 2], [1n, 2n, -1n, 2n]), `${each} token of`],
    ['half a vector', 'cls', reshaped(['N', 'T', 'D'], [1n, -1n, 1n]), `${each} token of each`],
    ['fewer vectors', 'mean', shortened, '4 vectors, one for each token'],
  ])('gives no embedding of %s, with pooling: %s', async (_, pooling, network, reason) => {
    const directory = makeFolder({});
    // With the special ones, it has four tokens.
    const changes = { description: 'Red blue', output: { pooling } };
    addEmbeddingModel(directory, 'colours', changes, { network });
    await expect(openScorer(readModel('colours', directory), log)).rejects.toMatchObject({
      code: 'model_output_mismatch',
      message: expect.stringContaining(reason),
    });
  });
});

describe('the longest text that a manifest lets through', () => {
  test.each([
    [4, 'tokens     a text of 4 fits'],
    [5, 'input.tokensMax: expected at most as many tokens as the network has positions for'],
  ])('is tried by the check: %s tokens of four', async (tokensMax, expected) => {
    const directory = makeFolder({});
    const changes = { description: 'Red.', input: { kind: 'text', tokensMax } };
    addEmbeddingModel(directory, 'colours', changes, { isPositioned: true });
    const [model] = readModels({ directory, filesNeeded: true });
    const lines: string[] = [];
    const checked = checkModel(model as Model, (line) => lines.push(line));
    await checked.catch((thrown: Error) => lines.push(thrown.message));
    expect(lines.join('\n')).toContain(expected);
  });
});

describe('a manifest', () => {
  test.each([
    ['a dimension that the network has not', { output: { dimension: 3 } }, 'float[N,tokens,3]'],
    [
      'an output that the network has not',
      { output: { tensor: 'x' } },
      'expected the output "x" of',
    ],
    [
      'more tokens than special ones leave',
      { input: { kind: 'text', tokensMax: 2 } },
      'puts 2 special tokens around each text',
    ],
  ])('with %s is refused when the model loads', async (_, changes, reason) => {
    await expect(openScorer(modelWith({ network: undefined, ...changes }), log)).rejects.toThrow(
      reason,
    );
  });

  test.each([
    ['a tokenizer without tokensMax', { input: { kind: 'text' } }, 'input.tokensMax'],
    [
      'an example without numbers',
      { example: { input: 'red', expected: {} } },
      'expected numbers if its output is an embedding',
    ],
    [
      'an example with more numbers than the dimension',
      { example: { input: 'red', expected: { embedding: [1, 0, 0] } } },
      'expected at most 2 numbers',
    ],
  ])('with %s is refused when it is read', (_, changes, reason) => {
    expect(() => modelWith(changes)).toThrow(reason);
  });

  test('whose tokenizer.json is another file is refused', async () => {
    const model = modelWith();
    const file = path.join(model.folder, 'tokenizer.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"red"', '"rad"'));
    await expect(checkModel(model, () => {})).rejects.toThrow(/tokenizer.json: expected \d+ bytes/);
  });
});
