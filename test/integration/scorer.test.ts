// Tests the scorer with small ONNX models: which items a bad input, or a bad output, fails.

import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeLogger } from '../../shared/log.js';
import { mapScores } from '../../shared/scores.js';
import { elementBytes, encodeStrings, type Tensor, toFloats } from '../../shared/tensors.js';
import { textInputs } from '../../worker/batch/sample.js';
import { openScorer, type Scored } from '../../worker/batch/scorer.js';
import {
  elementTypes,
  floats,
  graph,
  integer,
  node,
  onnxModel,
  sequence,
  tensor,
  value,
} from '../onnx.js';
import { makeFolder, makeSampleModel } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const { FP32: float, BYTES: string, INT64: int64 } = elementTypes;

/** Opens a scorer of texts that are numbers. A text's five scores are its number times 1 to 5. */
async function open(parts: Partial<Parameters<typeof graph>[0]> = {}) {
  const bytes = onnxModel(
    graph({
      nodes: [
        node('Cast', ['text'], ['number'], integer('to', float)),
        node('Mul', ['number', 'ones'], ['scores']),
      ],
      constants: [tensor('ones', float, [5], floats([1, 2, 3, 4, 5]))],
      inputs: [value('text', string, ['N', 1])],
      outputs: [value('scores', float, ['N', 5])],
      ...parts,
    }),
  );
  const folder = makeFolder({ 'model.onnx': bytes });
  const example = { input: '1', expected: { label: 'hare' } };
  const model = makeSampleModel({ example, batch: { max: 4 } });
  const scorer = await openScorer({ ...model, file: path.join(folder, 'model.onnx') }, log);
  onTestFinished(() => scorer.close());
  return scorer;
}

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

  test('if it does not have a score for each label', async () => {
    const opening = open({
      constants: [tensor('ones', float, [4], floats([1, 2, 3, 4]))],
      outputs: [value('scores', float, ['N', 4])],
    });
    await expect(opening).rejects.toMatchObject({
      code: 'model_output_mismatch',
      message: 'Expected 1 × 5 scores from the model; got 1 × 4.',
    });
  });

  test('if its inputs do not match the manifest', async () => {
    const opening = open({
      nodes: [node('Mul', ['text', 'ones'], ['scores'])],
      inputs: [value('text', float, ['N', 1])],
    });
    await expect(opening).rejects.toMatchObject({
      code: 'model_file_wrong',
      message:
        "sample: expected a model with one input of string[N] or string[N,1], as the manifest's input says; got text: float32[N,1]",
    });
  });
});
