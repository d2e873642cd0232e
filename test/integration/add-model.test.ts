// Tests `npm run models -- add` as a command, with real ONNX files.

import { execFile } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { readManifest } from '../../shared/manifest-file.js';
import { root } from '../harness.js';
import {
  elementTypes,
  externalTensor,
  field,
  floats,
  graph,
  integer,
  integers,
  node,
  onnxModel,
  tensor,
  value,
} from '../onnx.js';
import { makeFolder } from '../unit/sample-model.js';

const { FP32: float, INT64: long } = elementTypes;

/** A network whose scores are the means of the colours of a picture, below 0. */
const colours = onnxModel(
  graph({
    nodes: [
      node('GlobalAveragePool', ['picture'], ['means']),
      node('Flatten', ['means'], ['flat']),
      node('Neg', ['flat'], ['scores']),
    ],
    inputs: [value('picture', float, ['N', 3, 8, 6])],
    outputs: [value('scores', float, ['N', 3])],
  }),
);
const names = Buffer.concat([
  field(1, 'names'),
  field(2, `{0: 'red', 1: "green's", 2: 'dark blue'}`),
]);

interface Added {
  readonly code: number;
  readonly said: string;
  readonly folder: string;
}

/** Runs the command without a terminal, in a folder with these files and a folder of models. */
function add(files: Record<string, unknown>, ...parameters: string[]): Promise<Added> {
  return addIn(makeFolder({ 'models/.keep': '', ...files }), parameters);
}

function addIn(folder: string, parameters: readonly string[]): Promise<Added> {
  const program = path.join(root, 'dist/cli/models.js');
  const env = { ...process.env, MODELS_DIR: path.join(folder, 'models') };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, 'add', ...parameters],
      { cwd: folder, env },
      (error, stdout, stderr) =>
        resolve({ code: Number(error?.code ?? 0), said: `${stdout}${stderr}`, folder }),
    );
  });
}

describe('npm run models -- add', () => {
  test('makes a model of pictures, with the labels of its metadata, and softmax for logits', async () => {
    const network = Buffer.concat([colours, field(14, names)]);
    const { code, said, folder } = await add({ 'colours.onnx': network }, 'colours.onnx');
    expect(said).toContain('colours: image, because its only input is a picture');
    expect(said).toContain('/v1/models/colours/score');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/colours'))).toMatchObject({
      source: { file: 'model.onnx', bytes: network.length },
      input: { kind: 'image', width: 6, height: 8, tensor: 'float32-nchw' },
      output: { kind: 'classification', activation: 'softmax' },
      batch: { max: 32 },
    });
    const labels = readFileSync(path.join(folder, 'models/colours/labels.txt'), 'utf8');
    expect(labels).toBe("0 red\n1 green's\n2 dark blue\n");
  });

  /** Means of the channels of a picture with the channels last, which an operator turns into the scores. */
  const channelsLast = (operator: string, others: { nodes: Buffer[]; outputs: Buffer[] }) =>
    onnxModel(
      graph({
        nodes: [
          node('ReduceMean', ['picture'], ['means'], integers('axes', [1, 2])),
          node('Flatten', ['means'], ['flat']),
          node(operator, ['flat'], ['scores']),
          ...others.nodes,
        ],
        inputs: [value('picture', float, ['N', 8, 6, 3])],
        outputs: [...others.outputs, value('scores', float, ['N', 3])],
      }),
    );

  test('makes a model of pictures with the channels last, and of several labels by probabilities', async () => {
    const network = channelsLast('Identity', { nodes: [], outputs: [] });
    const { code, said, folder } = await add({ 'tags.onnx': network }, 'tags.onnx');
    expect(said).toContain('so an input can have several labels: threshold is 0.5');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/tags'))).toMatchObject({
      input: { width: 6, height: 8, tensor: 'float32-nhwc', scale: 1 / 255 },
      output: { kind: 'classification', activation: 'none', threshold: 0.5 },
    });
  });

  test('makes further answers of the other outputs', async () => {
    const network = channelsLast('Neg', {
      nodes: [
        node('ReduceMean', ['picture'], ['point'], integers('axes', [1, 2, 3])),
        node('Flatten', ['point'], ['dense/light:0']),
      ],
      outputs: [value('means', float, ['N', 1, 1, 3]), value('dense/light:0', float, ['N', 1])],
    });
    const { code, folder } = await add({ 'model.onnx': network }, 'model.onnx', '--name', 'both');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/both'))).toMatchObject({
      output: { kind: 'regression', tensor: 'dense/light:0' },
      outputs: { means: { kind: 'tensors' }, scores: { kind: 'tensors' } },
    });
  });

  test('makes two labels of one score, and a sigmoid of a logit', async () => {
    const network = onnxModel(
      graph({
        nodes: [
          node('GlobalAveragePool', ['picture'], ['means']),
          node('Flatten', ['means'], ['flat']),
          node('Neg', ['flat'], ['score']),
        ],
        inputs: [value('picture', float, ['N', 1, 8, 6])],
        outputs: [value('score', float, ['N', 1])],
      }),
    );
    const files = { 'dark.onnx': network, 'two.txt': 'dark\nbright\n' };
    const { code, said, folder } = await add(files, 'dark.onnx', '--labels', 'two.txt');
    expect(said).toContain('activation is sigmoid');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/dark'))).toMatchObject({
      input: { channels: 'grey', tensor: 'float32-nchw', scale: 1 / 255 },
      output: { kind: 'classification', activation: 'sigmoid' },
    });
  });

  test('answers pictures with the tensors of a network that scores no classes', async () => {
    const network = onnxModel(
      graph({
        nodes: [node('Identity', ['picture'], ['mask'])],
        inputs: [value('picture', float, [1, 3, 8, 6])],
        outputs: [value('mask', float, [1, 3, 8, 6])],
      }),
    );
    const { code, said, folder } = await add({ 'mask.onnx': network }, 'mask.onnx');
    expect(said).toContain('no output is a row of scores, so it answers with its tensors');
    expect(said).toContain('of one, since the file fixes the first dimension');
    expect(code).toBe(0);
    const { input, output } = readManifest(path.join(folder, 'models/mask'));
    expect([input.kind, output.kind]).toEqual(['image', 'tensors']);
  });

  test('makes a model of texts, and numbers its classes if it has no labels', async () => {
    const folder = makeFolder({ 'models/.keep': '' });
    copyFileSync(
      path.join(root, 'models/faq-matcher/model.onnx'),
      path.join(folder, 'My FAQ.onnx'),
    );
    const { code, said } = await addIn(folder, ['My FAQ.onnx']);
    expect(code).toBe(0);
    expect(said).toContain('my-faq: text');
    expect(said).toContain('class 0 to class 146');
    const { input, output } = readManifest(path.join(folder, 'models/my-faq'));
    expect(input.kind).toBe('text');
    expect(output).toMatchObject({ kind: 'classification', activation: 'none' });
  });

  test('makes a table of columns, and counts classes that the file leaves open', async () => {
    const axis = integer('axis', 1);
    const network = onnxModel(
      graph({
        nodes: [node('Concat', ['age', 'weight'], ['scores'], axis)],
        inputs: [value('age', float, ['N', 1]), value('weight', float, ['N', 1])],
        outputs: [value('scores', float, ['N', 'C'])],
      }),
    );
    const files = { 'model.onnx': network, 'names.txt': 'young\nold\n' };
    const { code, said, folder } = await add(
      files,
      ...['model.onnx', '--name', 'people', '--labels', 'names.txt'],
    );
    expect(said).toContain('people: table, because each of its inputs is a column');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/people')).input).toMatchObject({
      columns: [
        { name: 'age', datatype: 'number' },
        { name: 'weight', datatype: 'number' },
      ],
    });
  });

  test('takes from the metadata what its exporter knew, unless --kind says otherwise', async () => {
    const input = {
      kind: 'table',
      columns: [{ name: 'age in years', datatype: 'number', missing: 'NaN' }],
    };
    const told = JSON.stringify({ input, output: { kind: 'regression' } });
    const row = onnxModel(
      graph({
        nodes: [node('Neg', ['row'], ['value'])],
        inputs: [value('row', float, ['N', 1])],
        outputs: [value('value', float, ['N', 1])],
      }),
    );
    const entry = Buffer.concat([field(1, 'scoreline'), field(2, told)]);
    const files = { 'ages.onnx': Buffer.concat([row, field(14, entry)]) };
    const { code, said, folder } = await add(files, 'ages.onnx');
    expect(said).toContain('ages: table, because its exporter says so');
    expect(code).toBe(0);
    const manifest = readManifest(path.join(folder, 'models/ages'));
    expect(manifest.input).toMatchObject(input);
    expect(manifest.output.kind).toBe('regression');
    const second = await addIn(folder, ['ages.onnx', '--name', 'tensors', '--kind', 'tensors']);
    expect(second.said).toContain('tensors: tensors, because as --kind says');
  });

  test('takes the scores of a forest, a little above 1, for probabilities', async () => {
    const network = onnxModel(
      graph({
        nodes: [
          node('Mul', ['row', 'zero'], ['nothing']),
          node('Add', ['nothing', 'scores'], ['out']),
        ],
        constants: [
          tensor('zero', float, [1], floats([0])),
          tensor('scores', float, [2], floats([1.0000001, 0])),
        ],
        inputs: [value('row', float, ['N', 2])],
        outputs: [value('out', float, ['N', 2])],
      }),
    );
    const { said, folder } = await add({ 'f.onnx': network }, 'f.onnx', '--kind', 'table');
    expect(said).not.toContain('softmax');
    expect(readManifest(path.join(folder, 'models/f')).output).toMatchObject({
      activation: 'none',
    });
  });

  test('serves other networks by their tensors, with external data, one by one if they must', async () => {
    const network = onnxModel(
      graph({
        nodes: [node('Add', ['x', 'weights'], ['y'])],
        constants: [externalTensor('weights', float, [1, 4], { location: 'weights.bin' })],
        inputs: [value('x', float, [1, 4])],
        outputs: [value('y', float, [1, 4])],
      }),
    );
    const files = { 'adder.onnx': network, 'weights.bin': floats([1, 2, 3, 4]) };
    const { code, said, folder } = await add(files, 'adder.onnx');
    expect(said).toContain('adder: tensors');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/adder'))).toMatchObject({
      source: { externalData: [{ file: 'weights.bin', bytes: 16 }] },
      input: { kind: 'tensors' },
      network: { inputs: [{ name: 'x', shape: [1, 4] }] },
      batch: { max: 1 },
    });
  });

  const whole = value('x', long, ['N']);
  const copy = onnxModel(
    graph({
      nodes: [node('Identity', ['x'], ['y'])],
      inputs: [whole],
      outputs: [value('y', long, ['N'])],
    }),
  );
  const two = { 'm/colours.onnx': colours, 'm/labels.txt': 'a\nb\n' };
  const wrong: [
    what: string,
    files: Record<string, unknown>,
    parameters: string[],
    says: string,
  ][] = [
    ['no file', {}, ['none.onnx'], 'there is no none.onnx'],
    ['no file named', {}, [], 'Usage: npm run models -- add FILE'],
    [
      'a flag that does not exist',
      two,
      ['m/colours.onnx', '--lables', 'x'],
      "Unknown option '--lables'",
    ],
    ['a pickle', { 'a.pkl': '(dp0' }, ['a.pkl'], 'npm run models -- add a.pkl --export'],
    ['a SavedModel', { 'a/saved_model.pb': 'x' }, ['a'], 'a SavedModel of TensorFlow'],
    ['a file of no format', { 'a.pt': 'hello' }, ['a.pt'], 'no format known here'],
    [
      'an exporter that does not run',
      { 'a.pkl': '(dp0' },
      ['a.pkl', '--export', '--python', 'no-such-python'],
      'expected to run no-such-python',
    ],
    [
      'an exporter that fails',
      { 'a.pkl': '(dp0' },
      ['a.pkl', '--export', '--python', 'false'],
      'it failed, as said above. It needs the packages in exporters/scikit-learn.txt',
    ],
    [
      'shapes of a file that knows them',
      { 'a.txt': 'tree\nversion=v4\n' },
      ['a.txt', '--export', '--shape', '3'],
      '--shape: expected a file of PyTorch',
    ],
    [
      'sections of a manifest that are none',
      {
        'a.onnx': Buffer.concat([
          colours,
          field(14, Buffer.concat([field(1, 'scoreline'), field(2, '[]')])),
        ]),
      },
      ['a.onnx'],
      'expected sections of a manifest in the metadata "scoreline"',
    ],
    [
      'no ONNX',
      { 'a.onnx': 'hello, I am a text' },
      ['a.onnx'],
      'expected an ONNX file; a.onnx cannot be read',
    ],
    [
      'a kind that does not exist',
      two,
      ['m/colours.onnx', '--kind', 'video'],
      'expected one of text, image',
    ],
    [
      'a kind that does not fit',
      { 'copy.onnx': copy },
      ['copy.onnx', '--kind', 'image'],
      'Serve it with --kind tensors',
    ],
    [
      'a kind without scores',
      { 'copy.onnx': copy },
      ['copy.onnx', '--kind', 'table'],
      'expected an output of floats',
    ],
    [
      'too few labels',
      two,
      ['m/colours.onnx', '--labels', 'm/labels.txt'],
      'expected 3 labels, one for each score of the network; got 2',
    ],
    [
      'no labels',
      two,
      ['m/colours.onnx', '--labels', 'none.txt'],
      'none.txt, which cannot be read (ENOENT)',
    ],
    [
      'a name that is none',
      two,
      ['m/colours.onnx', '--name', '_'],
      '--name: expected lower-case letters',
    ],
  ];
  test.each(wrong)('refuses %s, and leaves nothing behind', async (_, files, parameters, says) => {
    const { code, said, folder } = await add(files, ...parameters);
    expect(said).toContain(says);
    expect(said).not.toContain('    at ');
    expect(code).toBe(1);
    expect(readdirSync(path.join(folder, 'models'))).toEqual(['.keep']);
  });

  test('refuses a name that is taken, and changes nothing', async () => {
    const first = await add({ 'colours.onnx': colours }, 'colours.onnx');
    const before = readFileSync(path.join(first.folder, 'models/colours/model.yaml'), 'utf8');
    const { code, said } = await addIn(first.folder, ['colours.onnx', '--kind', 'tensors']);
    expect(said).toContain('is there already. Choose another: --name NAME');
    expect(code).toBe(1);
    const after = readFileSync(path.join(first.folder, 'models/colours/model.yaml'), 'utf8');
    expect(after).toBe(before);
  });
});
