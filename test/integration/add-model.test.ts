// Tests `npm run models -- add` as a command, with real ONNX files.

import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { modelIn } from '../../cli/models/copy.js';
import { readManifest } from '../../shared/manifest/file.js';
import { add, addByCommand, addIn, expectRefusal } from '../add-model.js';
import { root } from '../harness.js';
import {
  bigints,
  elementTypes,
  externalTensor,
  field,
  floats,
  integer,
  integers,
  node,
  onnxModel,
  sequence,
  tensor,
  value,
  withMetadata,
} from '../onnx.js';
import { makeFolder } from '../unit/sample-model.js';

const { FP32: float, INT64: long } = elementTypes;

/** A network whose scores are the means of the colours of a picture, below 0. */
const colours = onnxModel({
  nodes: [
    node('GlobalAveragePool', ['picture'], ['means']),
    node('Flatten', ['means'], ['flat']),
    node('Neg', ['flat'], ['scores']),
  ],
  inputs: [value('picture', float, ['N', 3, 8, 6])],
  outputs: [value('scores', float, ['N', 3])],
});
/** An index. */
const first = tensor('first', long, [], bigints([0n]));
const named = withMetadata(colours, 'names', `{0: 'red', 1: "green's", 2: 'dark blue'}`);

describe('npm run models -- add', () => {
  test('makes a model of pictures, with the labels of its metadata, and softmax for logits', async () => {
    const files = { 'models/.keep': '', 'colours.onnx': named };
    const { code, said, folder } = await addByCommand(makeFolder(files), ['colours.onnx']);
    expect(said).toContain('colours: image, because its only input is a picture');
    expect(said).toContain('/v1/models/colours/score');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/colours'))).toMatchObject({
      source: { file: 'model.onnx', bytes: named.length },
      input: { kind: 'image', width: 6, height: 8, tensor: 'float32-nchw' },
      output: { kind: 'classification', activation: 'softmax' },
      batch: { max: 32 },
    });
    const labels = readFileSync(path.join(folder, 'models/colours/labels.txt'), 'utf8');
    expect(labels).toBe("0 red\n1 green's\n2 dark blue\n");
  });

  /** Means of the channels of a picture with the channels last, which an operator turns into the scores. */
  const channelsLast = (operator: string, others: { nodes: Buffer[]; outputs: Buffer[] }) =>
    onnxModel({
      nodes: [
        node('ReduceMean', ['picture'], ['means'], integers('axes', [1, 2])),
        node('Flatten', ['means'], ['flat']),
        node(operator, ['flat'], ['scores']),
        ...others.nodes,
      ],
      inputs: [value('picture', float, ['N', 8, 6, 3])],
      outputs: [...others.outputs, value('scores', float, ['N', 3])],
    });

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
      output: { kind: 'classification', tensor: 'scores' },
      outputs: {
        means: { kind: 'tensors' },
        dense_light_0: { kind: 'regression', tensor: 'dense/light:0' },
      },
    });
  });

  test('declares as many dimensions as a run returns if the file does not say them', async () => {
    const network = onnxModel({
      nodes: [
        node('Compress', ['shape', 'all'], ['known later'], integer('axis', 0)),
        node('Reshape', ['row', 'known later'], ['out']),
      ],
      constants: [
        tensor('shape', long, [3], bigints([-1n, 2n, 1n])),
        tensor('all', elementTypes.BOOL, [3], Buffer.of(1, 1, 1)),
      ],
      inputs: [value('row', float, ['N', 2])],
      outputs: [value('out', float, [])],
    });
    const { said, folder } = await add({ 'm.onnx': network }, 'm.onnx', '--kind', 'tensors');
    expect(said).toContain('shapes     inputs and outputs fit');
    const { network: declared } = readManifest(path.join(folder, 'models/m'));
    expect(declared?.outputs).toMatchObject([{ name: 'out', shape: [-1, -1, -1] }]);
  });

  test.each<[string, string, (number | string)[], (number | string)[], ...string[]]>([
    ['a row', '3 classes', ['N', 3], ['N', 2], '--columns', 'a,b,c'],
    ['tensors', 'tensors', ['N', 3], ['N', 2], '--kind', 'tensors'],
    ['a picture', '3 classes', ['N', 3, 1, 1], ['N', 2]],
    ['a picture, or none,', '3 classes', ['N', 3, 1, 1], []],
  ])(
    'goes by a run if the file says other sizes of the answer to %s',
    async (_, answer, input, said, ...flags) => {
      const network = onnxModel({
        nodes: [
          node('Compress', ['shape', 'all'], ['known later'], integer('axis', 0)),
          node('Reshape', ['in', 'known later'], ['out']),
        ],
        constants: [
          tensor('shape', long, [2], bigints([-1n, 3n])),
          tensor('all', elementTypes.BOOL, [2], Buffer.of(1, 1)),
        ],
        inputs: [value('in', float, input)],
        outputs: [value('out', float, said)],
      });
      const added = await add({ 'm.onnx': network }, 'm.onnx', ...flags);
      expect(added.said).toContain('shapes     inputs and outputs fit');
      expect(added.said).toContain(`valid, ${answer}`);
      const { network: declared } = readManifest(path.join(added.folder, 'models/m'));
      expect(declared?.outputs).toMatchObject([{ shape: said.length > 0 ? ['N', -1] : [-1, -1] }]);
    },
  );

  test('makes two labels of one score, and a sigmoid of a logit', async () => {
    const network = onnxModel({
      nodes: [
        node('GlobalAveragePool', ['a\npicture'], ['means']),
        node('Flatten', ['means'], ['flat']),
        node('Neg', ['flat'], ['score']),
      ],
      inputs: [value('a\npicture', float, ['N', 1, 8, 6])],
      outputs: [value('score', float, ['N', 1])],
    });
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
    const network = onnxModel({
      nodes: [node('Identity', ['picture'], ['mask'])],
      inputs: [value('picture', float, [1, 3, 8, 6])],
      outputs: [value('mask', float, [1, 3, 8, 6])],
    });
    const { code, said, folder } = await add({ 'mask.onnx': network }, 'mask.onnx');
    expect(said).toContain('no output is a row of scores, so it answers with its tensors');
    expect(said).toContain('of one, since the file fixes the first dimension');
    expect(code).toBe(0);
    const { input, output } = readManifest(path.join(folder, 'models/mask'));
    expect([input.kind, output.kind]).toEqual(['image', 'tensors']);
  });

  test.each<[string, (number | string)[], string[], unknown]>([
    ['a batch', ['N', 3, 8, 6], [], 'none'],
    ['one picture', [3, 8, 6], [], 'none'],
    ['one picture of any size', [3, 'h', 'w'], ['input.width=6', 'input.height=8'], 'none'],
  ])('answers with the boxes that a detector finds in %s', async (_what, shape, set) => {
    const network = onnxModel({
      nodes: [
        node('NonZero', ['picture'], ['places']),
        node('Gather', ['places', 'corners'], ['edges'], integer('axis', 0)),
        node('Transpose', ['edges'], ['turned']),
        node('Cast', ['turned'], ['boxes'], integer('to', float)),
        node('Gather', ['boxes', 'first'], ['scores'], integer('axis', 1)),
      ],
      constants: [tensor('corners', long, [4], bigints([1n, 2n, 1n, 2n])), first],
      inputs: [value('picture', float, shape)],
      outputs: [value('boxes', float, ['n', 4]), value('scores', float, ['n'])],
    });
    const settings = set.flatMap((each) => ['--set', each]);
    const { code, said, folder } = await add({ 'd.onnx': network }, 'd.onnx', ...settings);
    expect(said).toContain(
      'boxes has the boxes in one picture, as many as it finds. So batch is none',
    );
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/d'))).toMatchObject({
      input: { kind: 'image', width: 6, height: 8, scale: 1 / 255 },
      output: { kind: 'tensors' },
      outputs: {},
      batch: { dimension: 'none' },
    });
  });

  /** A network that answers with numbers of each of the things that it looks at, all of which are those of a pixel. */
  const joined = (size: (number | string)[], answer: number[], key = 0) =>
    onnxModel({
      nodes: [
        node('ReduceMax', ['images'], ['most'], integers('axes', [1, 2, 3])),
        node('Reshape', ['most', 'one'], ['number']),
        node('Expand', ['number', 'answer'], ['output0']),
      ],
      constants: [
        tensor('one', long, [3], bigints([-1n, 1n, 1n])),
        tensor('answer', long, [3], bigints([1n, ...answer.map(BigInt)])),
      ],
      inputs: [value('images', float, ['batch', 3, ...size])],
      outputs: [value('output0', float, ['batch', ...(key ? ['a', 'b'] : answer)])],
    });
  /** As Ultralytics writes it. */
  const withYolo = (network: Buffer, entries: Record<string, string>) =>
    Object.entries({
      stride: '32',
      names: "{0: 'person', 1: 'bicycle', 2: 'car'}",
      ...entries,
    }).reduce((file, [key, text]) => withMetadata(file, key, text), network);

  test.each([[[84, 8400]], [[25200, 85]], [[300, 6]]])(
    'answers with boxes and scores in one output, %j',
    async (answer) => {
      const { said, folder } = await add({ 'd.onnx': joined([8, 6], answer) }, 'd.onnx');
      expect(said).toContain('output0 has the boxes in each picture, with their scores');
      expect(said).toContain('They become 0 to 1.');
      const { input, output } = readManifest(path.join(folder, 'models/d'));
      expect(input).toMatchObject({ kind: 'image', scale: 1 / 255, resize: 'stretch' });
      expect(output.kind).toBe('tensors');
    },
  );

  test('gives ImageNet pixels to a network that answers with its layers', async () => {
    const { folder } = await add({ 'd.onnx': joined([8, 6], [197, 768]) }, 'd.onnx');
    expect(readManifest(path.join(folder, 'models/d')).input).toMatchObject({
      mean: [0.485, 0.456, 0.406],
    });
  });

  test('says nothing of a processor of colours for grey pictures, which are not prepared so', async () => {
    const network = onnxModel({
      nodes: [node('GlobalMaxPool', ['x'], ['most']), node('Flatten', ['most'], ['scores'])],
      inputs: [value('x', float, ['N', 1, 8, 6])],
      outputs: [value('scores', float, ['N', 1])],
    });
    const processor = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], size: 8 };
    const files = { 'm.onnx': network, 'preprocessor_config.json': JSON.stringify(processor) };
    const { said, folder } = await add(files, 'm.onnx');
    expect(said).toContain('so they are grey. They become 0 to 1.');
    expect(readManifest(path.join(folder, 'models/m')).input).toMatchObject({
      ...{ channels: 'grey', scale: 1 / 255 },
    });
  });

  test('takes a network of Custom Vision: the pixels of its metadata, and the labels beside it', async () => {
    const network = onnxModel({
      nodes: [node('GlobalMaxPool', ['data'], ['most']), node('Flatten', ['most'], ['scores'])],
      inputs: [value('data', float, ['N', 3, 8, 6])],
      outputs: [value('scores', float, ['N', 3])],
    });
    const pairs: [string, string][] = [
      ['Image.BitmapPixelFormat', 'Bgr8'],
      ['Image.NominalPixelRange', 'NominalRange_0_255'],
    ];
    const files = {
      'vision/model.onnx': pairs.reduce(
        (file, [key, text]) => withMetadata(file, key, text),
        network,
      ),
      'vision/labels.txt': 'owl\ncat\ndog\n',
    };
    const { said, folder } = await add(files, 'vision');
    expect(said).toContain('3, so they are blue, green and red. They become numbers, as its me');
    expect(said).toContain('3, from vision/labels.txt');
    expect(readManifest(path.join(folder, 'models/vision')).input).toMatchObject({
      ...{ channels: 'bgr', scale: 1, resize: 'stretch' },
    });
  });

  test('takes a folder of transformers: pictures as its processor makes them, and its labels', async () => {
    const network = onnxModel({
      nodes: [
        node('GlobalMaxPool', ['pixel_values'], ['most']),
        node('Flatten', ['most'], ['logits']),
      ],
      inputs: [value('pixel_values', float, ['batch_size', 'num_channels', 'height', 'width'])],
      outputs: [value('logits', float, ['batch_size', 3])],
    });
    const processor = {
      ...{ image_processor_type: 'ViTImageProcessor', resample: 3, size: { height: 8, width: 6 } },
      ...{ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] },
    };
    const files = {
      'vit/model.onnx': network,
      'vit/preprocessor_config.json': JSON.stringify(processor),
      'vit/config.json': JSON.stringify({ id2label: { 0: 'owl', 1: 'cat', 2: 'dog' } }),
    };
    const { code, said, folder } = await add(files, 'vit');
    expect(said).toContain(
      'as transformers has pictures: red, green and blue. They become numbers, as vit/preprocessor',
    );
    expect(said).toContain('3, from vit/config.json');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/vit')).input).toMatchObject({
      ...{ width: 6, height: 8, interpolation: 'bicubic', tensor: 'float32-nchw' },
      ...{ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], resize: 'stretch' },
    });
  });

  const letterbox = { resize: 'letterbox', padding: 114, interpolation: 'bilinear' };
  test.each<[string, Record<string, string>, string[], object]>([
    ['any size', { task: 'detect', imgsz: '[8, 6]' }, [], letterbox],
    ['any size, as YOLOv5 does', {}, ['input.width=6', 'input.height=8'], letterbox],
    [
      'any size, stretched',
      { task: 'detect', imgsz: '[8, 6]', description: 'Ultralytics rtdetr-l model' },
      [],
      { resize: 'stretch', interpolation: 'bilinear', antialias: false },
    ],
    [
      'any size, stretched as --set says',
      { task: 'detect', imgsz: '[8, 6]' },
      ['input.resize=stretch', 'input.interpolation=bicubic'],
      { resize: 'stretch', interpolation: 'bicubic', antialias: true },
    ],
  ])('takes pictures of %s, as Ultralytics does', async (_what, metadata, set, expected) => {
    const network = withYolo(joined(['h', 'w'], [5, 20], 1), metadata);
    const settings = set.flatMap((each) => ['--set', each]);
    const { said, folder } = await add({ 'd.onnx': network }, 'd.onnx', ...settings);
    expect(said).toContain('output0 has the boxes in each picture, with their scores');
    expect(readManifest(path.join(folder, 'models/d')).input).toMatchObject({
      ...{ width: 6, height: 8, scale: 1 / 255 },
      ...expected,
    });
  });

  test.each([
    ['Ultralytics', { task: 'classify' }, { shorterSide: 8, scale: 1 / 255 }],
    ['YOLOv5', {}, { resize: 'stretch', mean: [0.485, 0.456, 0.406] }],
  ])('takes pictures of a classifier as %s does', async (_what, metadata, expected) => {
    const network = onnxModel({
      nodes: [node('GlobalMaxPool', ['images'], ['most']), node('Flatten', ['most'], ['output0'])],
      inputs: [value('images', float, ['batch', 3, 8, 8])],
      outputs: [value('output0', float, ['batch', 3])],
    });
    const { said, folder } = await add({ 'd.onnx': withYolo(network, metadata) }, 'd.onnx');
    expect(said).toContain('classes, since output0');
    const { input, output } = readManifest(path.join(folder, 'models/d'));
    expect(input).toMatchObject(expected);
    expect(output.kind).toBe('classification');
  });

  test('says what to do about a detector that finds one thing in noise, and none in a black picture', async () => {
    const network = onnxModel({
      nodes: [node('NonZero', ['picture'], ['columns']), node('Transpose', ['columns'], ['found'])],
      inputs: [value('picture', float, ['N', 1, 1, 2])],
      outputs: [value('found', long, ['N', 4])],
    });
    const refused = await add({ 'm.onnx': network }, 'm.onnx');
    expectRefusal(refused, 'batch: none');
    const { said } = await addIn(refused.folder, ['m.onnx', '--set', 'batch=none']);
    expect(said).toContain('shapes     inputs and outputs fit');
  });

  test('answers with four classes whose rows have another name than the pictures', async () => {
    const network = onnxModel({
      nodes: [
        node('NonZero', ['picture'], ['places']),
        node('Gather', ['places', 'corners'], ['edges'], integer('axis', 0)),
        node('Transpose', ['edges'], ['turned']),
        node('Cast', ['turned'], ['logits'], integer('to', float)),
        node('Gather', ['logits', 'first'], ['value'], integer('axis', 1)),
      ],
      constants: [tensor('corners', long, [4], bigints([1n, 2n, 1n, 2n])), first],
      inputs: [value('picture', float, ['unk__5', 3, 8, 6])],
      outputs: [value('logits', float, ['unk__6', 4]), value('value', float, ['unk__6'])],
    });
    const { said } = await add({ 'd.onnx': network }, 'd.onnx');
    expect(said).toContain('classes, since logits is a row of scores, as its name says');
  });

  test('answers with boxes and scores where each picture has as many', async () => {
    const network = onnxModel({
      nodes: [
        node('Reshape', ['picture', 'sizes'], ['boxes']),
        node('Gather', ['boxes', 'first'], ['scores'], integer('axis', 2)),
      ],
      constants: [tensor('sizes', long, [3], bigints([0n, 36n, 4n])), first],
      inputs: [value('picture', float, ['N', 3, 8, 6])],
      outputs: [value('boxes', float, ['N', 36, 4]), value('scores', float, ['N', 36])],
    });
    const { code, said, folder } = await add({ 'd.onnx': network }, 'd.onnx');
    expect(said).toContain('boxes has the boxes in each picture');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/d'))).toMatchObject({
      input: { scale: 1 / 255 },
      output: { kind: 'tensors' },
      outputs: {},
      batch: { max: 32 },
    });
  });

  test('asks how large the pictures are that a network takes in any size', async () => {
    const network = onnxModel({
      nodes: [node('Identity', ['picture'], ['mask'])],
      inputs: [value('picture', float, ['N', 3, 'h', 'w'])],
      outputs: [value('mask', float, ['N', 3, 'h', 'w'])],
    });
    const { said } = await add({ 'm.onnx': network }, 'm.onnx', '--kind', 'image');
    expect(said).toContain('Say it: --set input.width=640 --set input.height=640');
    const size = ['--set', 'input.width=6', '--set', 'input.height=8'];
    const { code, folder } = await add({ 'm.onnx': network }, 'm.onnx', ...size);
    expect(code).toBe(0);
    const { input } = readManifest(path.join(folder, 'models/m'));
    expect(input).toMatchObject({ kind: 'image', width: 6, height: 8 });
  });

  test('makes a model of texts, and numbers its classes if it has no labels', async () => {
    const folder = makeFolder({ 'models/.keep': '' });
    copyFileSync(
      path.join(root, 'models/faq-matcher/model.onnx'),
      path.join(folder, 'My FAQ.onnx'),
    );
    const { code, said } = await addIn(folder, ['My FAQ.onnx']);
    expect(code).toBe(0);
    expect(said).toContain('My-FAQ: text');
    expect(said).toContain('class 0 to class 146');
    const { input, output } = readManifest(path.join(folder, 'models/My-FAQ'));
    expect(input.kind).toBe('text');
    expect(output).toMatchObject({ kind: 'classification', activation: 'none' });
  });

  test('makes another version of a model that is there, whole or not at all', async () => {
    const network = onnxModel({
      nodes: [node('Identity', ['pixels'], ['scores'])],
      inputs: [value('pixels', float, ['N', 2])],
      outputs: [value('scores', float, ['N', 2])],
    });
    const files = { 'm.onnx': network, 'other.onnx': 'no network' };
    const { folder } = await add(files, 'm.onnx', '--kind', 'tensors');
    const again = (file: string, ...more: string[]) =>
      addIn(folder, [file, '--name', 'm', '--kind', 'tensors', ...more]);
    const home = path.join(folder, 'models/m');
    const before = readdirSync(home);

    expect((await again('m.onnx')).said).toContain('add a version to it with --version V');
    expect((await again('m.onnx', '--version', '1')).said).toContain('with a 1. Choose another');
    expect((await again('m.onnx', '--version', '../2')).said).toContain('expected letters, digits');
    expect((await again('other.onnx', '--version', '2')).code).toBe(1);
    expect(readdirSync(home)).toEqual(before);

    const { code, said } = await again('m.onnx', '--version', '2');
    expect(code).toBe(0);
    expect(said).toContain(path.join(home, '2/model.yaml'));
    expect(modelIn(path.dirname(home), 'm').version).toBe('2');
    expect((await again('m.onnx', '--version', '2')).said).toContain('with a 2. Choose another');
    expect(readdirSync(path.join(folder, 'models')).sort()).toEqual(['.keep', 'm']);
  });

  test('makes a table of columns, and counts classes that the file leaves open', async () => {
    const axis = integer('axis', 1);
    const network = onnxModel({
      nodes: [node('Concat', ['age', 'weight'], ['scores'], axis)],
      inputs: [value('age', float, ['N', 1]), value('weight', float, ['N', 1])],
      outputs: [value('scores', float, ['N', 'C'])],
    });
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
    const row = onnxModel({
      nodes: [node('Neg', ['row'], ['value'])],
      inputs: [value('row', float, ['N', 1])],
      outputs: [value('value', float, ['N', 1])],
    });
    const files = { 'ages.onnx': withMetadata(row, 'scoreline', told) };
    const { code, said, folder } = await add(files, 'ages.onnx');
    expect(said).toContain('ages: table, because its exporter says so');
    expect(code).toBe(0);
    const manifest = readManifest(path.join(folder, 'models/ages'));
    expect(manifest.input).toMatchObject(input);
    expect(manifest.output.kind).toBe('regression');
    expect(manifest.predict).toBe('value');
    const second = await addIn(folder, ['ages.onnx', '--name', 'tensors', '--kind', 'tensors']);
    expect(second.said).toContain('tensors: tensors, because as --kind says');
  });

  test('names the labels of a classifier for clients that expect what predict() returns', async () => {
    const told = {
      input: {
        kind: 'table',
        columns: [
          { name: 'a', datatype: 'number' },
          { name: 'b', datatype: 'number' },
        ],
      },
      output: { kind: 'classification' },
    };
    const classifier = onnxModel({
      nodes: [
        node('Softmax', ['row'], ['probabilities']),
        node('ArgMax', ['row'], ['label'], integer('axis', 1)),
      ],
      inputs: [value('row', float, ['N', 2])],
      outputs: [value('label', long, ['N', 1]), value('probabilities', float, ['N', 2])],
    });
    const file = withMetadata(classifier, 'scoreline', JSON.stringify(told));
    const { code, folder } = await add({ 'kinds.onnx': file }, 'kinds.onnx');
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/kinds')).predict).toBe('label');
  });

  describe('of a matrix whose columns its exporter has told', () => {
    const told = {
      input: {
        kind: 'table',
        columns: [
          { name: 'column 0', datatype: 'number', missing: 0 },
          { name: 'column 1', datatype: 'number' },
        ],
      },
      output: { kind: 'regression' },
      example: { input: { 'column 0': 2, 'column 1': 3 }, expected: { value: 5 } },
    };
    const sum = onnxModel({
      nodes: [node('ReduceSum', ['row', 'axis'], ['value'])],
      constants: [tensor('axis', long, [1], bigints([1n]))],
      inputs: [value('row', float, ['N', 2])],
      outputs: [value('value', float, ['N', 1])],
    });
    const files = { 'sum.onnx': withMetadata(sum, 'scoreline', JSON.stringify(told)) };

    test('has values as its predictions by V1, unlike a network of which no exporter says so', async () => {
      const { folder } = await add({ ...files, 'bare.onnx': sum }, 'sum.onnx');
      const set = ['--columns', 'a,b', '--set', 'output.kind=regression'];
      expect((await addIn(folder, ['bare.onnx', ...set])).code).toBe(0);
      const [told, bare] = ['sum', 'bare'].map((name) =>
        readManifest(path.join(folder, 'models', name)),
      );
      expect(bare?.output.kind).toBe('regression');
      // Keras' predict() returns rows of one number, as TensorFlow Serving does.
      expect([told?.predict, bare?.predict]).toEqual(['value', undefined]);
    });

    test('says that they can have other names', async () => {
      const { said, folder } = await add(files, 'sum.onnx');
      expect(said).toContain('2, as its exporter says. Others: --columns NAME,NAME,…');
      expect(readManifest(path.join(folder, 'models/sum'))).toMatchObject({
        example: told.example,
      });
    });

    test('gives them the names of --columns, in the example too', async () => {
      const { code, said, folder } = await add(files, 'sum.onnx', '--columns', 'paid,due');
      expect(said).toContain('columns    2, as --columns says');
      expect(said).toContain('5, as expected');
      expect(code).toBe(0);
      expect(readManifest(path.join(folder, 'models/sum'))).toMatchObject({
        input: { columns: [{ name: 'paid', missing: 0 }, { name: 'due' }] },
        example: { input: { paid: 2, due: 3 } },
      });
    });

    test.each([
      ['paid', '--columns: expected 2 names'],
      ['paid,due,late', '--columns: expected 2 names'],
      ['column 1,column 0', '--columns: expected the columns in their order in the file'],
    ])('refuses --columns %s, and says why', async (names, says) => {
      const { code, said } = await add(files, 'sum.onnx', '--columns', names);
      expect(said).toContain(says);
      expect(code).not.toBe(0);
    });
  });

  test('answers rows with several numbers, which are no scores of classes, if its exporter says so', async () => {
    const columns = ['a', 'b'].map((name) => ({ name, datatype: 'number' }));
    const input = { kind: 'table', columns };
    const told = JSON.stringify({ input, output: { kind: 'tensors' } });
    const row = onnxModel({
      nodes: [node('Neg', ['row'], ['variable'])],
      inputs: [value('row', float, ['N', 2])],
      outputs: [value('variable', float, ['N', 2])],
    });
    const files = { 'two.onnx': withMetadata(row, 'scoreline', told) };
    const { code, said, folder } = await add(files, 'two.onnx');
    expect(said).toContain('answer     all outputs of the network, as its exporter says');
    expect(code).toBe(0);
    const manifest = readManifest(path.join(folder, 'models/two'));
    expect(manifest).toMatchObject({ input, output: { kind: 'tensors' } });
  });

  test('takes the scores of a forest, a little above 1, for probabilities', async () => {
    const network = onnxModel({
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
    });
    const { said, folder } = await add({ 'f.onnx': network }, 'f.onnx', '--kind', 'table');
    expect(said).not.toContain('softmax');
    expect(readManifest(path.join(folder, 'models/f')).output).toMatchObject({
      activation: 'none',
    });
  });

  test('serves other networks by their tensors, with external data, one by one if they must', async () => {
    const network = onnxModel({
      nodes: [node('Add', ['x', 'weights'], ['y'])],
      constants: [externalTensor('weights', float, [1, 4], { location: 'weights.bin' })],
      inputs: [value('x', float, [1, 4])],
      outputs: [value('y', float, [1, 4])],
    });
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

  test('says which sizes of the inputs vary, and which of them are the same', async () => {
    const network = onnxModel({
      nodes: [node('Identity', ['ids'], ['same'])],
      inputs: [value('ids', long, ['N', 'length', '', 2])],
      outputs: [value('same', long, ['N', 'length', '', 2])],
    });
    const { said } = await add({ 'm.onnx': network }, 'm.onnx', '--kind', 'image');
    expect(said).toContain('ids: int64[N,length,-1,2]');
  });

  test('names a model of a repository of Triton by its folder', async () => {
    const { code, folder } = await add(
      { 'repository/Mean_colours/1/model.onnx': colours },
      'repository/Mean_colours/1/model.onnx',
    );
    expect(code).toBe(0);
    const { name } = readManifest(path.join(folder, 'models/Mean_colours'));
    expect(name).toBe('Mean_colours');
  });

  /** A matrix of two columns, whose numbers are the scores. */
  const matrix = (datatype: number, first: number | string = 'N') =>
    onnxModel({
      nodes: [node('Neg', ['row'], ['scores'])],
      inputs: [value('row', datatype, [first, 2])],
      outputs: [value('scores', datatype, [first, 2])],
    });

  test.each([
    ['float32', float],
    ['float64', elementTypes.FP64],
  ])(
    'takes the numbers of a matrix of %s for columns if --columns names them',
    async (_, datatype) => {
      const files = { 'm.onnx': matrix(datatype, 1) };
      const { code, said, folder } = await add(files, 'm.onnx', '--columns', 'age, "a');
      expect(said).toContain('m: table, because as --columns names its columns');
      expect(said).toContain('of one, since the file fixes the first dimension');
      expect(code).toBe(0);
      expect(readManifest(path.join(folder, 'models/m'))).toMatchObject({
        input: { columns: [{ name: 'age' }, { name: '"a' }] },
        batch: { max: 1 },
      });
    },
  );

  test('says how to name the columns of a matrix, which it serves by its tensors otherwise', async () => {
    const { said } = await add({ 'm.onnx': matrix(float) }, 'm.onnx');
    expect(said).toContain('m: tensors');
    expect(said).toContain('If their numbers are the columns of a table: --columns NAME,NAME,…');
  });

  test('says what to do about probabilities in maps, and serves the rest if it is told to', async () => {
    const labels = Buffer.concat([
      ...[field(1, 'classlabels_strings'), field(9, 'no'), field(9, 'yes'), field(20, 8)],
    ]);
    const map = field(5, Buffer.concat([field(1, 8), field(2, field(1, field(1, float)))]));
    const maps = Buffer.concat([field(1, 'maps'), field(2, field(4, field(1, map)))]);
    const zipMap = node('ZipMap', ['row'], ['maps'], labels);
    const network = onnxModel({
      nodes: [
        node('ArgMax', ['row'], ['label'], integer('axis', 1)),
        Buffer.concat([zipMap, field(7, 'ai.onnx.ml')]),
      ],
      inputs: [value('row', float, ['N', 2])],
      outputs: [value('label', long, ['N', 1]), maps],
    });
    const domain = field(8, Buffer.concat([field(1, 'ai.onnx.ml'), field(2, 3)]));
    const files = { 'models/.keep': '', 'm.onnx': Buffer.concat([network, domain]) };
    const folder = makeFolder(files);
    const refused = await addIn(folder, ['m.onnx']);
    expectRefusal(refused, 'Export the network with options={"zipmap": False}');
    const { code } = await addIn(folder, ['m.onnx', '--kind', 'tensors']);
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/m')).network).toMatchObject({
      outputs: [{ name: 'label' }],
    });
  });

  test("refuses CatBoost's own ONNX, whose answers can be other ones, unless they are wanted", async () => {
    const network = Buffer.concat([matrix(float), field(2, 'CatBoost')]);
    const folder = makeFolder({ 'models/.keep': '', 'm.onnx': network });
    for (const flags of [[], ['--columns', 'a,b'], ['--kind', 'table', '--columns', 'a,b']]) {
      const refused = await addIn(folder, ['m.onnx', ...flags]);
      expectRefusal(refused, 'expected the .cbm file of a model of CatBoost');
    }
    const { code } = await addIn(folder, ['m.onnx', '--kind', 'tensors']);
    expect(code).toBe(0);
  });

  test('serves bytes of pictures as they are, in half precision too, and lets --set decide', async () => {
    const pictures = (datatype: number) =>
      onnxModel({
        nodes: [
          node('Cast', ['picture'], ['floats'], integer('to', float)),
          node('GlobalAveragePool', ['floats'], ['means']),
          node('Flatten', ['means'], ['scores']),
        ],
        inputs: [value('picture', datatype, ['N', 3, 8, 6])],
        outputs: [value('scores', float, ['N', 3])],
      });
    const files = {
      'models/.keep': '',
      'bytes.onnx': pictures(elementTypes.UINT8),
      'half.onnx': pictures(elementTypes.FP16),
    };
    const folder = makeFolder(files);
    const bytes = await addIn(folder, ['bytes.onnx', '--set', 'input.resize=crop']);
    expect(bytes.said).toContain('uint8-nchw, since the first size of a picture is 3');
    expect(readManifest(path.join(folder, 'models/bytes')).input).toMatchObject({
      ...{ tensor: 'uint8-nchw', resize: 'crop' },
    });
    const set = ['input.scale=1', 'input.channels=bgr', 'output.activation=sigmoid', 'batch.max=4'];
    const half = await addIn(folder, ['half.onnx', ...set.flatMap((each) => ['--set', each])]);
    expect(half.code).toBe(0);
    expect(half.said).toContain('They become numbers as --set says');
    const mean = await addIn(folder, ['half.onnx', '--name', 'mean', '--set', 'input.mean=0']);
    expect(mean.said).toContain('They become numbers as --set says');
    for (const name of ['half', 'mean']) {
      const text = readFileSync(path.join(folder, 'models', name, 'model.yaml'), 'utf8');
      expect(text).not.toMatch(/# (Pixels|The means)/);
    }
    expect(readManifest(path.join(folder, 'models/half'))).toMatchObject({
      input: { tensor: 'float16-nchw', channels: 'bgr', scale: 1 },
      output: { activation: 'sigmoid' },
      batch: { max: 4 },
    });
  });

  test('says that a network scales the pixels itself if its exporter does', async () => {
    const picture = { kind: 'image', width: 6, height: 8, tensor: 'float32-nchw', scale: 1 };
    const told = JSON.stringify({ input: picture });
    const { code, folder } = await add(
      { 'k.onnx': withMetadata(colours, 'scoreline', told) },
      'k.onnx',
    );
    expect(code).toBe(0);
    const text = readFileSync(path.join(folder, 'models/k/model.yaml'), 'utf8');
    expect(text).toContain('# Pixels stay from 0 to 255, since the network scales them itself.');
    expect(text).not.toContain('Pixels become 0 to 1');
  });

  test('keeps commas, quotes and braces in what an exporter has told', async () => {
    const categories = ['a,b', 'c "d":e', '{f}', "g's"];
    const input = { kind: 'table', columns: [{ name: 'row', datatype: 'category', categories }] };
    const told = JSON.stringify({ input, output: { kind: 'regression' } });
    const network = onnxModel(
      {
        nodes: [
          node('Equal', ['row', 'row'], ['same']),
          node('Cast', ['same'], ['value'], integer('to', float)),
        ],
        inputs: [value('row', elementTypes.BYTES, ['N', 1])],
        outputs: [value('value', float, ['N', 1])],
      },
      19,
    );
    const { code, folder } = await add(
      { 'k.onnx': withMetadata(network, 'scoreline', told) },
      'k.onnx',
    );
    expect(code).toBe(0);
    expect(readManifest(path.join(folder, 'models/k')).input).toMatchObject(input);
  });

  const whole = value('x', long, ['N']);
  const copy = onnxModel({
    nodes: [node('Identity', ['x'], ['y'])],
    inputs: [whole],
    outputs: [value('y', long, ['N'])],
  });
  const lists = onnxModel({
    nodes: [node('SequenceConstruct', ['x'], ['a\nlist'])],
    inputs: [whole],
    outputs: [sequence('a\nlist', long)],
  });
  const keptIn = (location: string) =>
    onnxModel({
      nodes: [node('Add', ['x', 'w'], ['y'])],
      constants: [externalTensor('w', long, [1], { location })],
      inputs: [whole],
      outputs: [value('y', long, ['N'])],
    });
  const two = { 'm/colours.onnx': colours, 'm/labels.txt': 'a\nb\n' };
  const wrong: [command: string, says: string, files?: Record<string, unknown>][] = [
    ['none.onnx', 'there is no none.onnx'],
    ['', 'Usage: npm run models -- add FILE'],
    ['m/colours.onnx --lables x', "Unknown option '--lables'", two],
    ['a.pkl', 'npm run models -- add a.pkl --export', { 'a.pkl': '(dp0' }],
    ['a', 'a SavedModel of TensorFlow', { 'a/saved_model.pb': 'x' }],
    ['a.pt', 'no format known here', { 'a.pt': 'hello' }],
    [
      'a.pkl --export --python no-such-python',
      'expected to run no-such-python',
      { 'a.pkl': '(dp0' },
    ],
    [
      'a.pkl --export --python false',
      'it failed, as said above. It needs the packages in exporters/scikit-learn.txt',
      { 'a.pkl': '(dp0' },
    ],
    [
      'a.txt --export --shape 3',
      '--shape: expected a file of PyTorch',
      { 'a.txt': 'tree\nversion=v4\n' },
    ],
    [
      'a.onnx',
      'expected sections of a manifest in the metadata "scoreline"',
      {
        'a.onnx': withMetadata(colours, 'scoreline', '[]'),
      },
    ],
    [
      'm/colours.onnx --labels l.txt',
      'expected names of classes that differ by more than the blanks around them',
      { ...two, 'l.txt': 'late\n late\nsoon\n' },
    ],
    ['a.onnx', 'expected an ONNX file; a.onnx cannot be read', { 'a.onnx': 'hello, I am a text' }],
    ['m/colours.onnx --kind video', 'expected one of text, image', two],
    [
      'm.onnx --columns age,weight',
      'expected a network that takes strings, whole numbers, FP32 or FP64',
      { 'm.onnx': matrix(elementTypes.FP16) },
    ],
    ['m.onnx --columns age', '--columns: expected 2 names', { 'm.onnx': matrix(float) }],
    [
      'm/colours.onnx --tokenizer t.json',
      '--tokenizer: expected a network that takes tokens',
      { ...two, 't.json': '{}' },
    ],
    [
      'm.onnx --kind table',
      'expected a first dimension that varies, or is 1',
      { 'm.onnx': matrix(float, 4) },
    ],
    [
      'copy.onnx --labels own.txt',
      'and it answers with tensors. A Python program can name its classes',
      { 'copy.onnx': copy, 'own.txt': 'a\nb\n' },
    ],
    [
      'out.onnx',
      'keeps weights in "../w.bin"',
      { 'out.onnx': keptIn('../w.bin'), 'w.bin': '1234' },
    ],
    [
      'new.onnx',
      'The file is newer than this ONNX Runtime: export it with a lower opset',
      { 'new.onnx': onnxModel({ nodes: [], inputs: [whole], outputs: [whole] }, 99) },
    ],
    [
      'list.onnx',
      'expected at least one output that is a tensor; "a\\nlist" is a sequence or a map',
      { 'list.onnx': lists },
    ],
    ['copy.onnx --kind image', 'Serve it with --kind tensors', { 'copy.onnx': copy }],
    ['copy.onnx --kind table', 'expected an output of floats', { 'copy.onnx': copy }],
    [
      'm/colours.onnx --labels m/labels.txt',
      'expected 3 labels, one for each score of the network; got 2',
      two,
    ],
    [
      'm/colours.onnx --labels m/latin.txt',
      'm/latin.txt: line 1: expected text in UTF-8',
      { ...two, 'm/latin.txt': Buffer.from('gr\xfcn\nrot\n', 'latin1') },
    ],
    ['m/colours.onnx --labels none.txt', 'none.txt, which cannot be read (ENOENT)', two],
    ['m/colours.onnx --name _', '--name: expected letters, digits', two],
  ];
  test.each(wrong)(
    'refuses "%s", and leaves nothing behind: %s',
    async (command, says, files = {}) => {
      expectRefusal(await add(files, ...command.split(' ').filter(Boolean)), says);
    },
  );

  test('refuses a name that is taken, and changes nothing', async () => {
    const first = await add({ 'colours.onnx': colours }, 'colours.onnx');
    const before = readFileSync(path.join(first.folder, 'models/colours/model.yaml'), 'utf8');
    const { code, said } = await addByCommand(first.folder, ['colours.onnx', '--kind', 'tensors']);
    expect(said).toContain('is there already. Choose another with --name NAME');
    expect(code).toBe(1);
    const after = readFileSync(path.join(first.folder, 'models/colours/model.yaml'), 'utf8');
    expect(after).toBe(before);
  });
});
