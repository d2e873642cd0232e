// Models with every form of answer, from the picture to the JSON: channels last, several classes, one score for
// two classes, further answers, the outputs of the network themselves, and a fixed first dimension.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkIn } from '../check-model.js';
import { ask, openRedisForAll, post, root, type Service, startService } from '../harness.js';
import { integers, node } from '../onnx.js';
import { addTensorModel, declared } from '../tensor-model.js';
import { writeFolder } from '../unit/sample-model.js';

const width = 24;
const height = 16;
const file = readFileSync(path.join(root, 'test/preprocessing/small.png'));
const names = ['red', 'green', 'blue'];

const picture = { kind: 'image', width, height, tensor: 'float32-nhwc' };
const centred = { ...picture, mean: 0.5, std: 0.5 };
const labels = 'labels.txt';

/** The means of the channels as logits, three for each picture; and their mean. */
function addMeans(
  directory: string,
  name: string,
  changes: Record<string, unknown>,
  rows: number = -1,
): void {
  addTensorModel(directory, {
    name,
    nodes: [
      node('ReduceMean', ['pixels'], ['planes'], integers('axes', [1, 2])),
      node('Flatten', ['planes'], ['means']),
      node('ReduceMean', ['planes'], ['points'], integers('axes', [3])),
      node('Flatten', ['points'], ['brightness']),
    ],
    network: {
      inputs: [declared('pixels', 'FP32', [rows, height, width, 3])],
      outputs: [
        declared('means', 'FP32', [rows, 3]),
        declared('brightness', 'FP32', [rows, 1]),
        declared('planes', 'FP32', [rows, 1, 1, 3]),
      ],
    },
    changes,
  });
  writeFileSync(path.join(directory, name, labels), `${names.join('\n')}\n`);
  writeFileSync(path.join(directory, name, 'two.txt'), 'dark\nbright\n');
}

/** The places of what is bright: as many columns as there are, and a row for each dimension of the network's input. */
function addFinder(directory: string, name: string, rows: readonly number[]): void {
  addTensorModel(directory, {
    name,
    nodes: [node('Relu', ['pixels'], ['bright']), node('NonZero', ['bright'], ['places'])],
    network: {
      inputs: [declared('pixels', 'FP32', [...rows, height, width, 3])],
      outputs: [declared('places', 'INT64', [rows.length + 3, -1])],
    },
    changes: { input: { ...picture, scale: 1 }, output: { kind: 'tensors' }, batch: 'none' },
  });
}

const directory = writeFolder({});
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
/** What the networks compute of the picture. */
let means: number[];
const redis = await openRedisForAll();
let service: Service;

beforeAll(async () => {
  mkdirSync(directory, { recursive: true });
  const { channels } = await sharp(file).stats();
  means = channels.map(({ mean }) => mean / 127.5 - 1);
  const mean = (means[0] as number) * 0.9;
  addMeans(directory, 'keras', {
    input: centred,
    output: { kind: 'classification', activation: 'softmax' },
  });
  addMeans(directory, 'tags', {
    input: { ...centred, channels: 'bgr' },
    output: {
      kind: 'classification',
      labels,
      activation: 'sigmoid',
      // In the order of the labels, which for this network are those of blue, green and red.
      threshold: [0, 1, sigmoid(mean)],
    },
  });
  addMeans(directory, 'binary', {
    input: centred,
    output: {
      kind: 'classification',
      labels: 'two.txt',
      tensor: 'brightness',
      activation: 'sigmoid',
    },
  });
  addMeans(directory, 'heads', {
    input: centred,
    output: { kind: 'classification', labels, tensor: 'means', activation: 'softmax', top: 1 },
    outputs: {
      brightness: { kind: 'regression' },
      light: {
        kind: 'classification',
        labels: 'two.txt',
        tensor: 'brightness',
        activation: 'sigmoid',
      },
      planes: { kind: 'tensors' },
    },
  });
  addMeans(directory, 'number', {
    input: centred,
    output: { kind: 'regression', tensor: 'brightness' },
    outputs: { colours: { kind: 'tensors', tensor: 'means' } },
  });
  addMeans(directory, 'tensors', { input: centred, output: { kind: 'tensors' } });
  const single = { input: { ...picture, scale: 1 }, output: { kind: 'tensors' } };
  addMeans(directory, 'single', { ...single, batch: { max: 1 } }, 1);
  for (const [name, rows] of [
    ['found', [-1]],
    ['found-in-one', []],
  ] as const) {
    addFinder(directory, name, rows);
  }
  service = await startService({
    redisUrl: redis.url,
    models: 'keras,tags,binary,heads,number,tensors,single,found,found-in-one',
    environment: { MODELS_DIR: directory },
  });
});

afterAll(() => service?.close());

const score = (model: string, query = '') =>
  ask(`${service.url}/v1/models/${model}/score${query}`, {
    method: 'POST',
    headers: { 'content-type': 'image/png' },
    body: file,
  });

const near = (number: number) => expect.closeTo(number, 4);

describe('a picture is answered', () => {
  test('by a network with the channels last, whose classes have numbers for names', async () => {
    const { status, body } = await score('keras');
    expect(status).toBe(200);
    const exponentials = means.map(Math.exp);
    const sum = exponentials.reduce((a, b) => a + b);
    const best = [0, 1, 2].toSorted((a, b) => (means[b] as number) - (means[a] as number));
    expect(body.predictions).toEqual(
      best.map((id) => ({
        label: String(id),
        id,
        score: near((exponentials[id] as number) / sum),
      })),
    );
    expect(body.outputs).toBeUndefined();
  });

  test('with each class that has its threshold, by a network with blue first', async () => {
    const { body } = await score('tags');
    const [red, , blue] = means as [number, number, number];
    // Its classes are those of blue, green and red, whatever their names.
    expect(body.predictions).toEqual([
      ...[
        { label: 'red', id: 0, score: near(sigmoid(blue)) },
        { label: 'blue', id: 2, score: near(sigmoid(red)) },
      ]
        .filter(({ id }) => id === 0 || red >= red * 0.9)
        .toSorted((a, b) => ((a.id === 0 ? blue : red) < (b.id === 0 ? blue : red) ? 1 : -1)),
    ]);
    const { body: one } = await score('tags', '?top=1');
    expect(one.predictions).toEqual(body.predictions.slice(0, 1));
  });

  test('with two classes by a network with one score', async () => {
    const bright = sigmoid(
      (means[0] as number) / 3 + (means[1] as number) / 3 + (means[2] as number) / 3,
    );
    const { body } = await score('binary');
    expect(body.predictions).toEqual(
      [
        { label: 'dark', id: 0, score: near(1 - bright) },
        { label: 'bright', id: 1, score: near(bright) },
      ].toSorted((a) => (a.id === (bright > 0.5 ? 1 : 0) ? -1 : 1)),
    );
  });

  test('with further answers, alone and in a list', async () => {
    const { body } = await score('heads');
    const brightness = means.reduce((a, b) => a + b) / 3;
    expect(body.predictions).toHaveLength(1);
    expect(body.outputs).toEqual({
      brightness: [{ value: near(brightness) }],
      light: expect.arrayContaining([{ label: 'bright', id: 1, score: near(sigmoid(brightness)) }]),
      planes: [{ name: 'planes', datatype: 'FP32', shape: [1, 1, 3], data: means.map(near) }],
    });
    const one = { picture: file.toString('base64') };
    const { body: list } = await post(`${service.url}/v1/models/heads/score`, {
      inputs: [one, one],
    });
    expect(list.results.map(({ outputs }: { outputs: unknown }) => outputs)).toEqual([
      body.outputs,
      body.outputs,
    ]);
    const { body: reference } = await post(`${service.url}/score?model=heads`, { input: one });
    expect(Object.keys(reference.result[0])).toEqual(['picture']);
  });

  test('with a number, and the numbers of another output', async () => {
    const { body } = await score('number');
    const brightness = means.reduce((a, b) => a + b) / 3;
    expect(body.predictions).toEqual([{ value: near(brightness) }]);
    expect(body.outputs.colours).toMatchObject([{ name: 'means', data: means.map(near) }]);
    const { status, body: refused } = await score('number', '?top=2');
    expect([status, refused.code]).toEqual([400, 'parameter_invalid']);
    const reference = await post(`${service.url}/score?model=number`, {
      input: { picture: file.toString('base64') },
    });
    expect(reference.body.result[0]).toEqual({ picture: near(brightness) });
  });

  test('with the outputs of the network, also one by one where it takes no more', async () => {
    const { body } = await score('tensors');
    expect(
      body.predictions.map(({ name, shape }: Record<string, unknown>) => [name, shape]),
    ).toEqual([
      ['means', [3]],
      ['brightness', [1]],
      ['planes', [1, 1, 3]],
    ]);
    expect(body.predictions[0].data).toEqual(means.map(near));
    const answers = await Promise.all([score('single'), score('single'), score('single')]);
    for (const answer of answers) {
      expect(answer.body.predictions[0].data).toEqual(
        means.map((mean) => near(127.5 * (mean + 1))),
      );
      expect(answer.body.timing.batchSize).toBe(1);
    }
  });

  test.each([
    ['found', [1]],
    ['found-in-one', []],
  ])('with as many places as %s finds in it, the same by either way', async (model, rows) => {
    const [{ body: first }, { body: second }] = await Promise.all([score(model), score(model)]);
    expect(first.predictions).toEqual(second.predictions);
    const packed = await fetch(`${service.url}/v1/models/${model}/score`, {
      method: 'POST',
      headers: { 'content-type': 'image/png', 'accept-encoding': 'gzip' },
      body: file,
    });
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect(await packed.json()).toMatchObject({ predictions: first.predictions });
    const [{ name, shape, data }] = first.predictions;
    const count = data.length / (rows.length + 3);
    expect([name, shape]).toEqual(['places', [rows.length + 3, count]]);
    expect(count).toBeGreaterThan(0);
    const reference = await post(`${service.url}/score?model=${model}`, {
      input: { picture: file.toString('base64') },
    });
    expect(reference.body.result[0]).toEqual({ picture: first.predictions });
    const pixels = new Array(3 * width * height).fill(-1).fill(1, 0, 2);
    const { body: asked } = await post(`${service.url}/v2/models/${model}/infer`, {
      inputs: [
        { name: 'pixels', datatype: 'FP32', shape: [...rows, height, width, 3], data: pixels },
      ],
    });
    expect(asked.outputs).toMatchObject([{ name: 'places', shape: [rows.length + 3, 2] }]);
  });
});

test('the list of models says what their answers are', async () => {
  const { body } = await ask(`${service.url}/v1/models`);
  const byName = Object.fromEntries(
    body.models.map((model: { name: string }) => [model.name, model]),
  );
  expect(byName.tags.output).toMatchObject({
    classes: 3,
    top: 3,
    activation: 'sigmoid',
    threshold: [0, 1, expect.any(Number)],
  });
  expect(byName.tags.input).toMatchObject({ channels: 'bgr', resize: 'stretch' });
  expect(byName.heads.output).toMatchObject({ classes: 3, top: 1 });
  expect(byName.heads.outputs).toEqual({
    brightness: { kind: 'regression', tensor: 'brightness' },
    light: { kind: 'classification', classes: 2, top: 2, activation: 'sigmoid' },
    planes: { kind: 'tensors', tensor: 'planes' },
  });
});

describe('the check of a model', () => {
  const check = (name: string) => checkIn(directory, name);

  test('says what a fixed first dimension costs', async () => {
    const lines = await check('single');
    expect(lines.find((line) => line.startsWith('  batch'))).toMatch(
      /of one, since the file fixes the first dimension\. A run took [\d.]+ ms here, so a worker scores at most [\d.]+ inputs a second/,
    );
    expect((await check('heads')).some((line) => line.startsWith('  batch'))).toBe(false);
  });

  test('names its further answers', async () => {
    expect((await check('heads'))[1]).toBe(
      '  manifest   valid, 3 classes; outputs: brightness, light, planes',
    );
  });

  test('refuses a further answer that the network lacks', async () => {
    addMeans(directory, 'wrong', {
      input: centred,
      output: { kind: 'tensors' },
      outputs: { age: { kind: 'regression' } },
    });
    await expect(check('wrong')).rejects.toMatchObject({
      code: 'model_file_wrong',
      message: expect.stringContaining(
        'wrong: outputs.age.tensor: expected an output of the network that is a tensor; got "age"',
      ),
    });
  });
});
