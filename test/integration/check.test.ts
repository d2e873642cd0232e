// Tests `npm run models -- check NAME` with a small ONNX model.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { addHang } from '../breaking-network.js';
import { checkIn } from '../check-model.js';
import { runCommand } from '../command.js';
import { addEmbeddingModel } from '../embedding-model.js';
import { addCounter, counterName } from '../failures/counter.js';
import {
  bigints,
  elementTypes,
  floats,
  integer,
  integers,
  node,
  onnxModel,
  tensor,
  tensorAttribute,
  value,
} from '../onnx.js';
import { addTensorModel, declared } from '../tensor-model.js';
import { makeFolder } from '../unit/sample-model.js';

/** Checks the counter with some keys of its manifest replaced, and returns the lines. */
async function check(changes: Record<string, unknown>): Promise<string[]> {
  const directory = makeFolder({});
  addCounter(directory);
  const file = path.join(directory, counterName, 'model.yaml');
  const manifest = { ...JSON.parse(readFileSync(file, 'utf8')), ...changes };
  writeFileSync(path.join(directory, counterName, 'predict.py'), 'def predict(rows): ...');
  writeFileSync(path.join(directory, counterName, 'requirements.txt'), '');
  writeFileSync(file, JSON.stringify(manifest));
  return checkIn(directory, counterName);
}

/** Checks a model of its own. */
function checkTensors(added: Parameters<typeof addTensorModel>[1]): Promise<string[]> {
  const directory = makeFolder({});
  addTensorModel(directory, added);
  return checkIn(directory, added.name);
}

const exampleOf = (label: string, score?: number) => ({
  example: { input: '1', expected: { label, ...(score !== undefined && { score }) } },
});

test('the check of a model says what fits', async () => {
  expect(await check({})).toEqual([
    'counter@1',
    '  manifest   valid, 10 classes',
    expect.stringMatching(/^ {2}file {7}model.onnx: \d+ bytes, SHA-256 matches$/),
    '  shapes     inputs and outputs fit, at the smallest and the largest batch',
    '  network    not declared; for the Open Inference Protocol, add this line to the manifest:\nnetwork: { inputs: [{ name: "text", datatype: BYTES, shape: [N] }], outputs: [{ name: "output", datatype: FP32, shape: [N, 10] }] }',
    '  example    "digit 1" at 1, as expected',
  ]);
});

test('the check warns of an activation that does not fit', async () => {
  const output = { kind: 'classification', labels: 'labels.txt', activation: 'softmax' };
  const lines = await check({ output });
  expect(lines.find((line) => line.startsWith('  warning '))).toContain(
    'counter: output.activation: expected logits with "softmax"; the scores of a sample are probabilities already',
  );
});

test.each([1, 4])('the check looks at the neighbours of an input in a batch of %i', async (max) => {
  const network = {
    inputs: [declared('x', 'FP32', [-1, 3])],
    outputs: [declared('y', 'FP32', [-1, 3])],
  };
  // The mean of the whole batch is taken off, as a layer of batch normalisation does in training.
  const nodes = [
    node('ReduceMean', ['x'], ['mean'], integers('axes', [0])),
    node('Sub', ['x', 'mean'], ['y']),
  ];
  const checked = checkTensors({ name: 'mixing', nodes, network, changes: { batch: { max } } });
  if (max === 1) return void (await checked);
  await expect(checked).rejects.toThrow(
    'mixing: expected an answer that does not depend on the other inputs in the batch; beside another one, that to a sample differs by ',
  );
});

test.each([true, false])('the check looks at whole numbers (mixed: %s)', async (isMixing) => {
  const network = {
    inputs: [declared('x', 'INT64', [-1, 3])],
    outputs: [declared('y', 'INT64', [-1, 3])],
  };
  const nodes = isMixing
    ? [
        node('ReduceMin', ['x'], ['least'], integers('axes', [0])),
        node('Add', ['x', 'least'], ['y']),
      ]
    : [node('Identity', ['x'], ['y'])];
  const checked = checkTensors({ name: 'whole', nodes, network });
  if (!isMixing) return void (await checked);
  await expect(checked).rejects.toThrow('whole: expected an answer that does not depend on');
});

test('the check looks at places, which say where in its batch an input is', async () => {
  const network = {
    inputs: [declared('x', 'FP32', [-1, 1])],
    outputs: [declared('y', 'INT64', [-1, 2])],
  };
  const offset = tensor('', elementTypes.INT64, [2], bigints([500n, 500n]));
  const nodes = [
    node('Constant', [], ['offset'], tensorAttribute('value', offset)),
    node('Equal', ['x', 'x'], ['true']),
    node('NonZero', ['true'], ['columns']),
    node('Transpose', ['columns'], ['places']),
    node('Add', ['places', 'offset'], ['y']),
  ];
  await expect(checkTensors({ name: 'places', nodes, network })).rejects.toThrow(
    'beside another one, that to a sample differs by 100 %',
  );
});

test.each([true, false])(
  'the check looks at the padding of texts (masked: %s)',
  async (isMasked) => {
    const directory = makeFolder({});
    const output = { dimension: 2, pooling: 'none', normalise: false };
    addEmbeddingModel(directory, 'padded', { description: 'red', output }, { isMasked });
    const checked = checkIn(directory, 'padded');
    if (isMasked) return void (await checked);
    await expect(checked).rejects.toThrow('padded: expected an answer that does not depend on');
  },
);

/** Numbers of 8 bits, with one scale for the whole batch. */
const inOneScale = (from: string, to: string) => [
  node('DynamicQuantizeLinear', [from], ['small', 'scale', 'zero']),
  node('DequantizeLinear', ['small', 'scale', 'zero'], [to]),
];

test.each(['tensors', 'table'])('the check looks at the scale of %s', async (kind) => {
  const network = {
    inputs: [declared('x', 'FP32', [-1, 2])],
    outputs: [declared('y', 'FP32', [-1, 2])],
  };
  const columns = ['a', 'b'].map((name) => ({ name, datatype: 'number' }));
  const changes = kind === 'table' ? { input: { kind, columns }, output: { kind: 'tensors' } } : {};
  const checked = checkTensors({ name: 'small', nodes: inOneScale('x', 'y'), network, changes });
  await expect(checked).rejects.toThrow('that to a sample differs by 100 % of its largest number');
});

test('the check looks at the scale of texts, which many words make larger', async () => {
  const directory = makeFolder({});
  const network = onnxModel({
    nodes: [
      node('Cast', ['attention_mask'], ['mask'], integer('to', elementTypes.FP32)),
      node('MatMul', ['mask', 'ones'], ['words']),
      ...inOneScale('words', 'embedding'),
    ],
    constants: [tensor('ones', elementTypes.FP32, [100, 2], floats(new Array(200).fill(1)))],
    inputs: ['input_ids', 'attention_mask'].map((name) =>
      value(name, elementTypes.INT64, ['N', 100]),
    ),
    outputs: [value('embedding', elementTypes.FP32, ['N', 2])],
  });
  const changes = {
    description: 'red',
    input: { kind: 'text', tokensMax: 100 },
    output: { dimension: 2, pooling: 'none', normalise: false },
  };
  addEmbeddingModel(directory, 'words', changes, { network });
  // Three tokens, in steps of 100 / 255.
  await expect(checkIn(directory, 'words')).rejects.toThrow('that to a sample differs by 4.6 %');
});

test('the check looks at the score of each class', async () => {
  const network = {
    inputs: [declared('x', 'FP32', [-1, 300])],
    outputs: [declared('y', 'FP32', [-1, 300])],
  };
  const nodes = [
    node('ReduceMean', ['x'], ['mean'], integers('axes', [0])),
    node('Mul', ['x', 'mean'], ['y']),
  ];
  const columns = Array.from({ length: 300 }, (_, at) => ({ name: `c${at}`, datatype: 'number' }));
  const changes = { input: { kind: 'table', columns }, output: { kind: 'classification' } };
  await expect(checkTensors({ name: 'classes', nodes, network, changes })).rejects.toThrow(
    'beside another one, that to a sample differs by 50 % of its largest number',
  );
});

test.each([true, false])(
  'the check looks at further answers of a model without classes (mixed: %s)',
  async (isMixing) => {
    const network = {
      inputs: [declared('x', 'FP32', [-1, 3])],
      outputs: [declared('number', 'FP32', [-1, 1]), declared('y', 'FP32', [-1, 3])],
    };
    const nodes = [
      node('ReduceMax', ['x'], ['number'], integers('axes', [1])),
      node('ReduceMean', ['x'], ['mean'], integers('axes', [isMixing ? 0 : 1])),
      node('Mul', ['x', 'mean'], ['y']),
    ];
    const changes = {
      input: {
        kind: 'table',
        columns: ['a', 'b', 'c'].map((name) => ({ name, datatype: 'number' })),
      },
      output: { kind: 'regression', tensor: 'number' },
      outputs: { kind: { kind: 'classification', tensor: 'y' } },
    };
    const checked = checkTensors({ name: 'further', nodes, network, changes });
    if (!isMixing) return void (await checked);
    await expect(checked).rejects.toThrow('further: expected an answer that does not depend on');
  },
);

test('the check takes infinite numbers for equal', async () => {
  const network = {
    inputs: [declared('x', 'FP32', [-1, 3])],
    outputs: [declared('y', 'FP32', [-1, 3])],
  };
  // The logarithm of 0.
  const nodes = [node('Sub', ['x', 'x'], ['zero']), node('Log', ['zero'], ['y'])];
  await checkTensors({ name: 'infinite', nodes, network });
});

test('the check looks at neighbours that differ in their categories alone', async () => {
  const network = {
    inputs: [declared('kind', 'BYTES', [-1, 1])],
    outputs: [declared('y', 'FP32', [-1, 1])],
  };
  const nodes = [
    node('Cast', ['kind'], ['x'], integer('to', elementTypes.FP32)),
    node('ReduceMax', ['x'], ['most'], integers('axes', [0])),
    node('Sub', ['most', 'x'], ['y']),
  ];
  const columns = [{ name: 'kind', datatype: 'category', categories: ['1', '5'] }];
  const changes = { input: { kind: 'table', columns }, output: { kind: 'regression' } };
  await expect(checkTensors({ name: 'kinds', nodes, network, changes })).rejects.toThrow(
    'kinds: expected an answer that does not depend on',
  );
});

test('the check of a model without an example says so', async () => {
  const lines = await check({ example: undefined, description: '3' });
  expect(lines.at(-1)).toBe('  example    none in the manifest, so no answer was compared');
});

test.each([
  [exampleOf('digit 2'), 'counter: example: expected "digit 2"; got "digit 1" at 1'],
  [
    exampleOf('digit 1', 0.5),
    'counter: example: expected "digit 1" at 0.5 ± 0.001; got "digit 1" at 1',
  ],
  [
    exampleOf('one'),
    'counter: example: expected "one", which is not in labels.txt; got "digit 1" at 1',
  ],
])('the check fails if the answer is another than expected: %j', async (changes, message) => {
  await expect(check(changes)).rejects.toMatchObject({ code: 'model_file_wrong', message });
});

test('the check runs no network again that has not survived a run with ones', async () => {
  const directory = makeFolder({});
  addHang(directory, { runMsMax: 100, example: undefined });
  const lines = await checkIn(directory, 'model');
  expect(lines).toContain('  shapes     not tried, as the warning below says');
  expect(lines.at(-2)).toContain('it crashed or did not end');
});

test('the check ends with a run that does not', async () => {
  const directory = makeFolder({});
  const hanging = { name: 'in', shape: [1], data: [1] };
  addHang(directory, {
    runMsMax: 100,
    example: { inputs: [hanging], outputs: [{ ...hanging, name: 'out' }] },
  });
  const { code, err } = await runCommand('models', ['check'], { env: { MODELS_DIR: directory } });
  expect([code, err]).toEqual([
    null,
    expect.stringMatching(/^model: .*; a run takes longer than runMsMax, 100 ms\./),
  ]);
});

test('the check of a Python program of rows says which network to declare', async () => {
  const columns = [
    { name: 'rooms', datatype: 'number' },
    { name: 'city', datatype: 'category' },
  ];
  const input = { kind: 'table', columns };
  const program = { engine: 'python', source: undefined, example: undefined, input };
  await expect(check({ ...program, output: { kind: 'regression' } })).rejects.toThrow(
    'network: { inputs: [{ name: "rooms", datatype: FP64, shape: [-1] }, { name: "city", datatype: BYTES, shape: [-1] }], outputs: [{ name: "value", datatype: FP32, shape: [-1] }] }',
  );
});
