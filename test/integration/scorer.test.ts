// Tests the scorer with small ONNX models: which items a bad input, or a bad output, fails.

import path from 'node:path';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Logger, makeLogger } from '../../shared/process/log.js';
import { isKnown, mapScores } from '../../shared/tensors/scores.js';
import {
  elementBytes,
  encodeStrings,
  type Tensor,
  toFloats,
} from '../../shared/tensors/tensors.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import { openScorer, type Scored } from '../../worker/batch/scorer.js';
import {
  bigints,
  elementTypes,
  floats,
  type GraphParts,
  integer,
  node,
  onnxModel,
  sequence,
  tensor,
  value,
} from '../onnx.js';
import { makeFolder, makeSampleModel } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const { FP32: float, BYTES: string, INT64: int64, BOOL: bool } = elementTypes;

/**
 * Opens a scorer of texts that are numbers. A text's five scores are its number times 1 to 5. Some
 * parts of the network and some keys of the manifest can be others.
 */
async function open(
  parts: Partial<GraphParts> = {},
  changes: Record<string, unknown> = {},
  openLog: Logger = log,
) {
  const bytes = onnxModel({
    nodes: [
      node('Cast', ['text'], ['number'], integer('to', float)),
      node('Mul', ['number', 'ones'], ['scores']),
    ],
    constants: [tensor('ones', float, [5], floats([1, 2, 3, 4, 5]))],
    inputs: [value('text', string, ['N', 1])],
    outputs: [value('scores', float, ['N', 5])],
    ...parts,
  });
  const folder = makeFolder({ 'model.onnx': bytes });
  const example = { input: '1', expected: { label: 'hare' } };
  const model = makeSampleModel({ example, batch: { max: 4 }, ...changes });
  const scorer = await openScorer({ ...model, file: path.join(folder, 'model.onnx') }, openLog);
  onTestFinished(() => scorer.close());
  return scorer;
}

const toNumber = node('Cast', ['text'], ['number'], integer('to', float));
const times = (weights: number[]) => ({
  constants: [tensor('ones', float, [weights.length], floats(weights))],
});
const withOutput = (keys: Record<string, unknown>) => ({
  output: { kind: 'classification', labels: 'labels.txt', ...keys },
});

const ask = (text: string, top: number | undefined = 1) => ({ inputs: textInputs(text), top });
const outcome = (scored: Scored) =>
  'error' in scored ? scored.error.code : mapScores(scored.outputs, (label) => label);

describe('a scorer', () => {
  test('ranks some items of a batch, and returns unchanged outputs for others', async () => {
    const scorer = await open();
    const two = [{ ...textInputs('')[0], shape: [2], data: encodeStrings(['2', '-3']) } as Tensor];
    const { results, computeMs } = await scorer.score([
      ask('7', 2),
      { inputs: two },
      { inputs: two, top: 1 },
      { inputs: textInputs('1'), outputs: ['scores'] },
    ]);
    expect(computeMs).toBeGreaterThan(0);
    const [ranked, raw, both, named] = results as [Scored, Scored, Scored, Scored];
    expect(outcome(ranked)).toEqual([4, 3]);
    expect(outcome(both)).toEqual([4, 0]);
    const numbers = (scored: Scored) =>
      'outputs' in scored ? scored.outputs.map((output) => [...toFloats(output)]) : [];
    expect(numbers(raw)).toEqual([[2, 4, 6, 8, 10, -3, -6, -9, -12, -15]]);
    expect(numbers(named)).toEqual([[1, 2, 3, 4, 5]]);
  });

  test('fails only the items that do not fit, throw, or score no number', async () => {
    const scorer = await open();
    const wrong: Tensor = {
      name: 'input',
      datatype: 'INT64',
      shape: [1],
      data: new Uint8Array(elementBytes.INT64 as number),
    };
    const { results } = await scorer.score([
      ask('1'),
      ask('nan'),
      { inputs: [wrong], top: 1 },
      ask('no number'),
      ask('2'),
    ]);
    expect(results.map(outcome)).toEqual([
      [4],
      'model_failed',
      'tensor_invalid',
      'model_failed',
      [4],
    ]);
  });

  test('scores nothing if no item fits', async () => {
    const scorer = await open();
    const { results, computeMs } = await scorer.score([{ inputs: [], top: 1 }]);
    expect(results.map(outcome)).toEqual(['tensor_invalid']);
    expect(computeMs).toBe(0);
  });
});

describe('a failure inside the model', () => {
  test('is logged once, with the reason of ONNX Runtime, which the caller does not see', async () => {
    const lines: string[] = [];
    const scorer = await open(
      {},
      {},
      pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) }),
    );
    const { results } = await scorer.score([ask('1'), ask('no number'), ask('2')]);
    expect(results[1]).toEqual({
      error: { code: 'model_failed', detail: 'The model failed on this input.' },
    });
    const [line, ...others] = lines.map((line) => JSON.parse(line));
    expect(others).toEqual([]);
    expect(line).toMatchObject({ level: 50, model: 'sample', msg: 'an item failed' });
    expect(line.err.message).toMatch(/The model failed on this input.: .*Cast/);
  });
});

describe('scores', () => {
  test.each(['FP16', 'FP64'] as const)('can be %s', async (datatype) => {
    const type = elementTypes[datatype];
    const scorer = await open({
      nodes: [
        toNumber,
        node('Mul', ['number', 'ones'], ['scores32']),
        node('Cast', ['scores32'], ['scores'], integer('to', type)),
      ],
      outputs: [value('scores', type, ['N', 5])],
    });
    const { results } = await scorer.score([ask('0.25', 5), ask('-0.5', 5)]);
    const scores = results.map((scored) =>
      'outputs' in scored ? mapScores(scored.outputs, (_, score) => score) : [],
    );
    expect(scores).toEqual([
      [1.25, 1, 0.75, 0.5, 0.25],
      [-0.5, -1, -1.5, -2, -2.5],
    ]);
  });

  test.each([
    ['above 1, with none', [1, 2, 3, 4, 5], 'none', 'from 1 to 5. If they are logits, set'],
    ['below 0, with none', [0.5, -2, 0.1, 0.1, 0.1], 'none', 'go from -2 to 0.5'],
    ['probabilities, with softmax', [0.1, 0.2, 0.4, 0.2, 0.1], 'softmax', 'with the sum 1. Set'],
  ])('that are %s, are warned of', async (_what, weights, activation, warning) => {
    const scorer = await open(times(weights), withOutput({ activation }));
    expect(scorer.warning).toMatch(/^sample: /);
    expect(scorer.warning).toContain(warning);
  });

  test('that are not finite are refused for the example, and warned of without one', async () => {
    const weights = [Number.NaN, 1, 1, 1, 1];
    await expect(open(times(weights))).rejects.toMatchObject({
      code: 'model_output_mismatch',
      message:
        'sample: expected the model to score one input. Its answer to the example has numbers that are not finite.',
    });
    const scorer = await open(times(weights), { example: undefined, description: '1' });
    expect(scorer.warning).toContain('expected scores that are finite numbers');
  });

  test.each([
    ['probabilities, with none', [0.1, 0.2, 0.4, 0.2, 0.1], 'none'],
    ['each from 0 to 1, with none', [1, 1, 0, 0.9, 1], 'none'],
    ['logits, with softmax', [-7, 12, 3, 0.5, 1], 'softmax'],
    ['small logits, with softmax', [0.9, 0.1, 0.2, 0.3, 0.4], 'softmax'],
  ])('that are %s, are not warned of', async (_what, weights, activation) => {
    const scorer = await open(times(weights), withOutput({ activation }));
    expect(scorer.warning).toBeUndefined();
  });
});

describe('the output that says whether the model knows its input', () => {
  /** A network whose first output has this value as another type. */
  const knowing = (type: number, shape: (number | string)[], source = 'number') => ({
    nodes: [
      toNumber,
      node('Mul', ['number', 'ones'], ['scores']),
      node('Cast', [source], ['some'], integer('to', type)),
    ],
    outputs: [value('some', type, shape), value('scores', float, ['N', 5])],
  });
  const known = withOutput({ known: 'some' });

  test.each(['FP32', 'FP64', 'FP16', 'INT64', 'UINT8', 'BOOL'] as const)(
    'is read for each item, as %s',
    async (datatype) => {
      const scorer = await open(knowing(elementTypes[datatype], ['N', 1]), known);
      const { results } = await scorer.score([ask('7'), ask('0'), ask('-0'), ask('1', 5)]);
      expect(results.map(outcome)).toEqual([[4], [0], [0], [4, 3, 2, 1, 0]]);
      const replies = results.map((scored) => 'outputs' in scored && isKnown(scored.outputs));
      expect(replies).toEqual([true, false, false, true]);
      const lengths = results.map((scored) => 'outputs' in scored && scored.outputs.length);
      expect(lengths).toEqual([2, 3, 3, 2]);
    },
  );

  test('is not read if the manifest does not name it', async () => {
    const scorer = await open(knowing(elementTypes.INT64, ['N', 1]));
    const [scored] = (await scorer.score([ask('7')])).results as [Scored];
    expect('outputs' in scored && scored.outputs.length).toBe(2);
  });

  test.each([
    ['does not exist', knowing(float, ['N', 1]), { known: 'other' }],
    ['has several numbers for a row', knowing(float, ['N', 5], 'scores'), { known: 'some' }],
    ['has no numbers', knowing(string, ['N', 1]), { known: 'some' }],
  ])('is refused if it %s', async (_what, parts, keys) => {
    const opening = open(parts, withOutput(keys));
    await expect(opening).rejects.toMatchObject({
      code: 'model_file_wrong',
      message: expect.stringMatching(
        /^sample: output.known: expected an output of the network with one number for each row; got "(some|other)". The outputs: some: /,
      ),
    });
  });
});

test('several numbers in a row do not say whether an input is known, whatever the file declares', async () => {
  const parts = {
    nodes: [
      toNumber,
      node('Mul', ['number', 'ones'], ['scores']),
      // Its size is known after a run.
      node('Compress', ['scores', 'all'], ['some'], integer('axis', 1)),
    ],
    constants: [
      tensor('ones', float, [5], floats([1, 2, 3, 4, 5])),
      tensor('all', elementTypes.BOOL, [5], Buffer.of(1, 1, 1, 1, 1)),
    ],
    outputs: [value('some', float, ['N', 'K']), value('scores', float, ['N', 5])],
  };
  await expect(open(parts, withOutput({ known: 'some' }))).rejects.toMatchObject({
    code: 'model_output_mismatch',
    message: expect.stringContaining('since output.known names it; the model returned 5'),
  });
});

describe('a model without an example', () => {
  test('is warmed up with its description', async () => {
    const scorer = await open({}, { example: undefined, description: '1' });
    expect((await scorer.score([ask('2')])).results.map(outcome)).toEqual([[4]]);
  });
});

describe('a network that takes one input at a time', () => {
  const fixed = {
    inputs: [value('text', string, [1, 1])],
    outputs: [value('scores', float, [1, 5])],
  };
  const shaped = {
    nodes: [
      toNumber,
      node('Mul', ['number', 'ones'], ['any']),
      node('Reshape', ['any', 'shape'], ['scores']),
    ],
    constants: [
      tensor('ones', float, [5], floats([1, 2, 3, 4, 5])),
      tensor('shape', elementTypes.INT64, [2], bigints([1n, 5n])),
    ],
  };
  const reducing = {
    nodes: [
      toNumber,
      node('Mul', ['number', 'ones'], ['any']),
      node('ReduceMax', ['any'], ['most']),
      node('Mul', ['most', 'row'], ['scores']),
    ],
    constants: [
      tensor('ones', float, [5], floats([1, 2, 3, 4, 5])),
      tensor('row', float, [1, 5], floats([1, 2, 3, 4, 5])),
    ],
  };

  test.each([
    ['declares it', fixed],
    ['has it inside', shaped],
    ['answers only one', reducing],
  ])('is served with batch.max 1, if it %s', async (_what, parts) => {
    const scorer = await open(parts, { batch: { max: 1 } });
    expect((await scorer.score([ask('2')])).results.map(outcome)).toEqual([[4]]);
  });

  test.each([
    [
      'declares it',
      fixed,
      'a dynamic batch dimension, since batch.max is 4; got text: string[1,1]',
    ],
    ['has it inside', shaped, 'expected the model to score 4 inputs at once, as batch.max says.'],
    [
      'answers only one',
      reducing,
      'Expected 4 rows of scores, one for each input; the model returned 1.',
    ],
  ])('is refused with larger batches and the remedy, if it %s', async (_what, parts, reason) => {
    const opening = open(parts);
    await expect(opening).rejects.toThrow(/^sample: /);
    await expect(opening).rejects.toThrow(reason);
    await expect(opening).rejects.toThrow(/set batch: { max: 1 } in the manifest, or export/i);
  });

  test('is refused if it takes several only', async () => {
    const opening = open(
      { inputs: [value('text', string, [2, 1])], outputs: [value('scores', float, [2, 5])] },
      { batch: { max: 2 } },
    );
    await expect(opening).rejects.toThrow(
      'sample: expected a model with a dynamic batch dimension, since batch.max is 2; got text: string[2,1]. Export the model with a dynamic batch dimension.',
    );
  });
});

describe('a model is refused', () => {
  test('if its scores are not a tensor, with advice', async () => {
    const opening = open({
      nodes: [
        node('Cast', ['text'], ['number'], integer('to', float)),
        node('SequenceConstruct', ['number'], ['map']),
        node('Cast', ['text'], ['label'], integer('to', int64)),
      ],
      constants: [],
      outputs: [value('label', int64, ['N', 1]), sequence('map', float)],
    });
    await expect(opening).rejects.toMatchObject({
      code: 'model_file_wrong',
      message: expect.stringContaining('zipmap: False'),
    });
  });

  test('if it declares another number of scores than there are labels', async () => {
    const opening = open({ ...times([1, 2, 3, 4]), outputs: [value('scores', float, ['N', 4])] });
    await expect(opening).rejects.toThrow(
      'sample: output.labels: expected a score for each of the 5 labels in labels.txt; got scores: float32[N,4], which has 4. Give labels.txt a label for each score, in the same order.',
    );
  });

  test('if it returns another number of scores than there are labels', async () => {
    const chosen = Buffer.from([1, 1, 0, 1, 1]);
    const opening = open({
      nodes: [
        toNumber,
        node('Mul', ['number', 'ones'], ['all']),
        node('Compress', ['all', 'chosen'], ['scores'], integer('axis', 1)),
      ],
      constants: [...times([1, 2, 3, 4, 5]).constants, tensor('chosen', bool, [5], chosen)],
      outputs: [value('scores', float, ['N', 'C'])],
    });
    await expect(opening).rejects.toThrow(
      'sample: expected the model to score one input. Expected 5 scores for each input, one for each label; the model returned 4. Each score needs a label.',
    );
  });

  test('if ONNX Runtime cannot use its device', async () => {
    // There is no such device on Linux and macOS.
    const opening = open({}, { device: 'dml' });
    await expect(opening).rejects.toMatchObject({
      code: 'provider_unavailable',
      message: expect.stringMatching(/^sample: device: expected one that ONNX Runtime can use/),
    });
  });

  test('if it has no scores at all', async () => {
    const opening = open({
      nodes: [node('Cast', ['text'], ['label'], integer('to', int64))],
      constants: [],
      outputs: [value('label', int64, ['N', 1])],
    });
    await expect(opening).rejects.toThrow(
      'sample: output.tensor: expected an output of scores or numbers, float32, float64 or float16; got label: int64[N,1].',
    );
  });

  test('if it takes rows of numbers, and the manifest says texts', async () => {
    const opening = open({
      nodes: [node('Mul', ['text', 'ones'], ['scores'])],
      inputs: [value('text', float, ['N', 4])],
      ...times([1, 2, 3, 4]),
    });
    await expect(opening).rejects.toMatchObject({
      code: 'model_file_wrong',
      message:
        'sample: expected a model with one input of string[N] or string[N,1], since its input is a text; got text: float32[N,4]. Export the whole pipeline, from the texts on. Rows of numbers need input.kind: table.',
    });
  });
});
