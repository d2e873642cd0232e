// Tests `npm run models -- optimize` with ONNX Runtime's real tools, and a small network.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { optimizeModel } from '../../cli/models/optimize.js';
import { transform } from '../../cli/models/optimizing/tools.js';
import { addEmbeddingModel, tokenizerRules } from '../embedding-model.js';
import { root } from '../harness.js';
import { bigints, elementTypes, floats, integer, node, onnxModel, tensor, value } from '../onnx.js';
import { hasPython, requirements } from '../python.js';
import { makeFolder, sourceOf } from '../unit/sample-model.js';

const { FP32: float, INT64: long } = elementTypes;
const width = 32;

/** A network that says which third of a row is the largest. */
const network = onnxModel({
  nodes: [node('MatMul', ['row', 'weights'], ['logits']), node('Softmax', ['logits'], ['scores'])],
  constants: [
    tensor(
      'weights',
      float,
      [width, 3],
      floats(
        Array.from({ length: width * 3 }, (_, at) =>
          Math.floor(at / 3) % 3 === at % 3 ? 1 : -0.2,
        ),
      ),
    ),
  ],
  inputs: [value('row', float, ['N', width])],
  outputs: [value('scores', float, ['N', 3])],
});

const columns = Array.from({ length: width }, (_, at) => `c${at}`);
const rowOf = (best: number, at: number) =>
  Object.fromEntries(
    columns.map((name, column) => [name, column % 3 === best ? 1 + at / 10 : 0.1]),
  );
const labels = ['low', 'middle', 'high'];

function makeModel(): string {
  const manifest = {
    name: 'thirds',
    version: 1,
    description: 'Which third is the largest.',
    source: sourceOf('model.onnx', network),
    input: { kind: 'table', columns: columns.map((name) => ({ name, datatype: 'number' })) },
    output: { kind: 'classification', labels: '../shared.txt' },
    network: {
      inputs: [{ name: 'row', datatype: 'FP32', shape: ['N', width] }],
      outputs: [{ name: 'scores', datatype: 'FP32', shape: ['N', 3] }],
    },
    batch: { max: 4 },
    device: { type: 'cpu', threads: 1 },
    example: { input: rowOf(1, 0), expected: { label: 'middle', score: 0.999 } },
  };
  return makeFolder({
    'models/thirds/model.yaml': `# Ours.\n${JSON.stringify(manifest)}`,
    'models/thirds/model.onnx': network,
    'models/shared.txt': '0 low\n1 middle\n2 high\n',
    'inputs.ndjson': Array.from({ length: 12 }, (_, at) =>
      JSON.stringify({ input: rowOf(at % 3, at), label: labels[at % 3] }),
    ).join('\n'),
  });
}

async function optimize(folder: string, ...parameters: string[]) {
  const lines: string[] = [];
  const quick = ['--seconds', '0.01', '--json'];
  await optimizeModel([...parameters, ...quick], {
    directory: path.join(folder, 'models'),
    say: (line) => lines.push(line),
    packages: path.join(root, requirements),
  });
  return JSON.parse(lines[0] ?? '{}');
}

describe.skipIf(!hasPython)('optimize (needs Python 3.11)', () => {
  test('writes an int8 version beside the original, with its report', {
    timeout: 300_000,
  }, async () => {
    const folder = makeModel();
    const models = path.join(folder, 'models');
    const before = readFileSync(path.join(models, 'thirds/model.yaml'), 'utf8');
    const inputs = ['--inputs', path.join(folder, 'inputs.ndjson')];
    const report = await optimize(folder, 'thirds', '--method', 'int8', ...inputs);
    expect(report).toMatchObject({
      ...{ model: 'thirds', from: '1', compared: 6, calibrated: 6 },
      networks: [{ method: 'original', accuracy: { share: 1 } }, { comparison: { agreement: 1 } }],
      written: path.join(models, 'thirds/1-int8'),
    });
    expect(readdirSync(models).toSorted()).toEqual(['shared.txt', 'thirds']);
    expect(readFileSync(path.join(models, 'thirds/model.yaml'), 'utf8')).toBe(before);
    const text = readFileSync(path.join(models, 'thirds/1-int8/model.yaml'), 'utf8');
    expect(text).toContain('# Ours.');
    const file = readFileSync(path.join(models, 'thirds/1-int8/model.onnx'));
    const { score } = (load(text) as { example: { expected: { score: number } } }).example.expected;
    expect(score).toBeGreaterThan(0.9);
    expect(load(text)).toMatchObject({
      version: '1-int8',
      source: sourceOf('model.onnx', file),
      output: { labels: '../../shared.txt' },
    });
    expect(load(readFileSync(path.join(models, 'thirds/traffic.yaml'), 'utf8'))).toEqual({
      latest: '1',
    });
    const again = optimize(folder, 'thirds', '--method', 'int8', ...inputs);
    await expect(again).rejects.toThrow('expected a new version; there is a 1-int8 already');
  });

  test.each(['graph', 'int8'])(
    'takes the texts of a network of tokens, with %s',
    { timeout: 300_000 },
    async (method) => {
      const folder = makeFolder({
        'inputs.ndjson': ['red', 'blue slow', 'green red', 'slow']
          .map((input) => JSON.stringify({ input }))
          .join('\n'),
        'models/.keep': '',
      });
      addEmbeddingModel(path.join(folder, 'models'), 'words', { output: { pooling: 'none' } });
      const inputs = ['--inputs', path.join(folder, 'inputs.ndjson')];
      const report = await optimize(
        folder,
        'words',
        '--method',
        method,
        ...inputs,
        '--agreement',
        '0',
      );
      expect(report).toMatchObject({
        networks: [{ method: 'original' }, { method }],
        written: path.join(folder, `models/words/1-${method}`),
      });
      const written = readdirSync(path.join(folder, `models/words/1-${method}`));
      expect(written).toContain('tokenizer.json');
    },
  );

  test('refuses dynamic ranges by which texts change the answers of each other', {
    timeout: 300_000,
  }, async () => {
    // The number of the padding is 400 times that of [CLS], the answer. So beside a longer text there is no scale for it.
    const graph = onnxModel({
      nodes: [
        node('Cast', ['input_ids'], ['ids'], integer('to', float)),
        node('Pow', ['twentieth', 'ids'], ['powers']),
        node('Unsqueeze', ['powers', 'last'], ['words']),
        node('MatMul', ['words', 'weights'], ['hidden']),
        node('Gather', ['hidden', 'first'], ['embedding'], integer('axis', 1)),
      ],
      constants: [
        tensor('twentieth', float, [], floats([0.05])),
        tensor('last', long, [1], bigints([2n])),
        tensor('weights', float, [1, 2], floats([400, 200])),
        tensor('first', long, [], bigints([0n])),
      ],
      inputs: [value('input_ids', long, ['N', 'T'])],
      outputs: [value('embedding', float, ['N', 2])],
    });
    const models = path.join(makeFolder({ 'models/.keep': '' }), 'models');
    const rules = Buffer.from(JSON.stringify(tokenizerRules));
    addEmbeddingModel(models, 'words', {
      description: 'red',
      source: {
        ...sourceOf('model.onnx', graph),
        tokenizer: sourceOf('tokenizer.json', rules),
      },
      output: { pooling: 'none', normalise: false },
      example: { input: 'red', expected: { embedding: [1, 0.5] } },
    });
    writeFileSync(path.join(models, 'words/model.onnx'), graph);
    await expect(
      optimize(path.dirname(models), 'words', '--method', 'int8-dynamic'),
    ).rejects.toThrow('expected an answer that does not depend on the other inputs in the batch');
    expect(readdirSync(path.join(models, 'words'))).not.toContain('1-int8-dynamic');
  });

  test('writes nothing if the answers agree less than asked', { timeout: 300_000 }, async () => {
    const folder = makeModel();
    const models = path.join(folder, 'models');
    // Ranges from rows that say nothing of the others, so all of those look alike.
    const dull = Object.fromEntries(columns.map((name) => [name, 0.0001]));
    writeFileSync(path.join(folder, 'dull.ndjson'), `${JSON.stringify({ input: dull })}\n`);
    const places = [
      '--inputs',
      path.join(folder, 'inputs.ndjson'),
      '--calibration',
      path.join(folder, 'dull.ndjson'),
    ];
    await expect(
      optimize(folder, 'thirds', '--method', 'int8', '--ranges', 'minmax', ...places),
    ).rejects.toThrow(
      /thirds: expected an agreement of at least 0.99; got int8 0\.\d+. Nothing was written/,
    );
    expect(readdirSync(path.join(models, 'thirds')).toSorted()).toEqual([
      'model.onnx',
      'model.yaml',
    ]);
    expect(readdirSync(models).toSorted()).toEqual(['shared.txt', 'thirds']);
  });

  test.each([
    ['fp16', { weights: 4 }],
    ['int8-dynamic', { MatMulInteger: 1 }],
  ] as const)(
    'makes %s of a network that PyTorch has exported',
    { timeout: 300_000 },
    async (method, changed) => {
      const source = path.join(root, 'test/optimizing/exported.onnx');
      const target = path.join(makeFolder({}), 'model.onnx');
      const tuning = { ranges: 'minmax', reduceRange: false, keep: [] } as const;
      const packages = path.join(root, requirements);
      expect(
        await transform(method, { source, target, inputs: '' }, { ...tuning, packages }),
      ).toEqual({ changed });
    },
  );

  test('says which operators it cannot quantise', { timeout: 300_000 }, async () => {
    const folder = makeModel();
    const plain = path.join(folder, 'models/plain');
    mkdirSync(plain);
    const bytes = onnxModel({
      nodes: [node('Softmax', ['row'], ['scores'])],
      inputs: [value('row', float, ['N', 3])],
      outputs: [value('scores', float, ['N', 3])],
    });
    writeFileSync(path.join(plain, 'model.onnx'), bytes);
    writeFileSync(
      path.join(plain, 'model.yaml'),
      JSON.stringify({
        ...{ name: 'plain', version: 1, description: 'Nothing.' },
        source: sourceOf('model.onnx', bytes),
        ...{ input: { kind: 'tensors' }, output: { kind: 'tensors' } },
        network: {
          inputs: [{ name: 'row', datatype: 'FP32', shape: ['N', 3] }],
          outputs: [{ name: 'scores', datatype: 'FP32', shape: ['N', 3] }],
        },
      }),
    );
    const file = path.join(folder, 'rows.ndjson');
    writeFileSync(
      file,
      JSON.stringify({ inputs: [{ name: 'row', shape: [1, 3], data: [1, 2, 3] }] }),
    );
    await expect(optimize(folder, 'plain')).rejects.toThrow(
      'plain: expected inputs to calibrate and to compare with; its manifest has no example',
    );
    await expect(optimize(folder, 'plain', '--method', 'int8', '--inputs', file)).rejects.toThrow(
      'expected operators that can become int8, such as Conv, MatMul, Gemm. The network has Softmax',
    );
  });
});
