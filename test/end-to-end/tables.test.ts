// Tests tables over HTTP: the answers of the native route, of POST /score and of the Open Inference
// Protocol, and what a wrong row is told.

import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { scoresExampleOf } from '../../shared/manifest/example.js';
import { readManifest } from '../../shared/manifest/file.js';
import { ask, openRedisForAll, post, root, type Service, startService } from '../harness.js';
import { node } from '../onnx.js';
import { addTensorModel, declared } from '../tensor-model.js';
import { writeFolder } from '../unit/sample-model.js';

const directory = writeFolder({});
const tables = ['voyages', 'houses', 'orders'];
const models = ['breast-cancer', 'faq-matcher', ...tables];
const manifest = readManifest(path.join(root, 'models/breast-cancer'));
const { input } = manifest;
const cells = scoresExampleOf(manifest)?.input as Record<string, number>;
const voyage = { 'age (years)': 30, class: 2, harbour: 'Kiel', fare: 25.5 };
const house = { rooms: 4, area: 120, year: 1990 };

const redis = await openRedisForAll();
let service: Service;

beforeAll(async () => {
  for (const name of models) {
    const from = path.join(root, tables.includes(name) ? 'test/tables' : 'models', name);
    cpSync(from, path.join(directory, name), { recursive: true });
  }
  addTensorModel(directory, {
    name: 'growth',
    nodes: [node('Exp', ['x'], ['y'])],
    network: {
      inputs: [declared('x', 'FP32', [-1, 1])],
      outputs: [declared('y', 'FP32', [-1, 1])],
    },
    changes: {
      input: { kind: 'table', columns: [{ name: 'years', datatype: 'number' }] },
      output: { kind: 'regression' },
    },
  });
  service = await startService({
    redisUrl: redis.url,
    models: [...models, 'growth'].join(),
    environment: { MODELS_DIR: directory, SHUTDOWN_MS: '2000' },
  });
});

afterAll(async () => {
  await service?.close();
  rmSync(directory, { recursive: true, force: true });
});

const score = (model: string, body: unknown, headers = {}) =>
  post(`${service.url}/v1/models/${model}/score`, body, headers);

describe('a row', () => {
  test('is answered with the classes and their probabilities', async () => {
    const { status, body } = await score('breast-cancer', { input: cells });
    expect(status).toBe(200);
    expect(body).toEqual({
      model: 'breast-cancer',
      version: '1',
      id: expect.any(String),
      predictions: [
        { label: 'benign', score: expect.closeTo(0.8826, 3), id: '1' },
        { label: 'malignant', score: expect.closeTo(0.1174, 3), id: '0' },
      ],
      timing: expect.any(Object),
    });
    const top = await score('breast-cancer', { input: cells, top: 1 });
    expect(top.body.predictions).toEqual(body.predictions.slice(0, 1));
  });

  test('is answered with a number by a regression, which has no top', async () => {
    const { status, body } = await score('houses', { input: house });
    expect(status).toBe(200);
    expect(body.predictions).toEqual([{ value: expect.any(Number) }]);
    const answer = await score('houses', { input: house, top: 1 });
    expect(answer).toMatchObject({ status: 400, body: { code: 'parameter_invalid' } });
    expect(answer.body.detail).toBe(
      'Expected no "top", since houses answers with one number; got 1.',
    );
  });

  test('is answered by the raw inputs of the network as by its columns', async () => {
    const names = input.kind === 'table' ? input.columns.map(({ name }) => name) : [];
    const data = names.map((name) => cells[name]);
    const infer = (rows: number) =>
      post(`${service.url}/v2/models/breast-cancer/infer`, {
        inputs: [
          {
            name: 'row',
            datatype: 'FP32',
            shape: [rows, 30],
            data: Array.from({ length: rows }, () => data),
          },
        ],
        outputs: [{ name: 'label' }, { name: 'probabilities', parameters: { classification: 1 } }],
      });
    const { body } = await infer(2);
    expect(body.outputs[0]).toMatchObject({ shape: [2], data: [1, 1] });
    const native = await score('breast-cancer', { input: cells, top: 1 });
    const [{ score: best }] = native.body.predictions;
    for (const found of body.outputs[1].data) {
      expect(found).toMatch(/^0\.88\d+:1:benign$/);
      expect(Number.parseFloat(found)).toBeCloseTo(best, 5);
    }
    expect(await infer(257)).toMatchObject({ status: 400, body: { code: 'too_many_inputs' } });
  });

  test('is answered by POST /score if the address names the model, and only then', async () => {
    const named = await post(`${service.url}/score?model=breast-cancer`, { input: cells });
    expect(named.body.result[0].row).toEqual([
      ['1 benign', expect.closeTo(0.8826, 3)],
      ['0 malignant', expect.closeTo(0.1174, 3)],
    ]);
    const number = await post(`${service.url}/score?model=houses`, { input: house });
    expect(number.body.result[0]).toEqual({ row: expect.any(Number) });
    const unnamed = await post(`${service.url}/score`, { input: cells });
    expect(unnamed).toMatchObject({ status: 400, body: { code: 'input_invalid' } });
    expect(unnamed.body.detail).toContain('name the model: /score?model=NAME');
  });

  test('with an Idempotency-Key is the same row in any order of its columns', async () => {
    const headers = { 'idempotency-key': '"5c4f5a5e-2b43-4a2e-9d39-f1ce5e0c9a01"' };
    const first = await score('voyages', { input: voyage }, headers);
    const turned = Object.fromEntries(Object.entries(voyage).reverse());
    const again = await score('voyages', { input: turned }, headers);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.body).toEqual(first.body);
    const other = await score('voyages', { input: { ...voyage, class: 3 } }, headers);
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
  });

  test('with an Idempotency-Key is another row if a number is infinite or a cell is deep', async () => {
    const headers = { 'idempotency-key': '"5c4f5a5e-2b43-4a2e-9d39-f1ce5e0c9a02"' };
    const missing = { ...voyage, 'age (years)': null };
    expect((await score('voyages', { input: missing }, headers)).status).toBe(200);
    for (const cell of ['1e400', '-1e400', `${'['.repeat(5000)}${']'.repeat(5000)}`]) {
      const text = JSON.stringify({ input: missing }).replace('null', cell);
      const options = (key: object) => ({
        method: 'POST',
        headers: { 'content-type': 'application/json', ...key },
        body: text,
      });
      const url = `${service.url}/v1/models/voyages/score`;
      expect(await ask(url, options(headers))).toMatchObject({
        status: 422,
        body: { code: 'idempotency_key_reused' },
      });
      const key = { 'idempotency-key': `"other-${cell.slice(0, 9)}"` };
      for (const fresh of [{}, key, { prefer: 'respond-async' }]) {
        const { status, body } = await ask(url, options(fresh));
        expect([status, body.code]).toEqual([400, 'input_invalid']);
      }
    }
  });

  test('with a column twice has the last value, as JSON parsers read it', async () => {
    const text = JSON.stringify({ input: voyage }).replace('{"age', '{"fare":1,"age');
    const twice = await ask(`${service.url}/v1/models/voyages/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: text,
    });
    expect(twice.body.predictions).toEqual(
      (await score('voyages', { input: voyage })).body.predictions,
    );
  });
});

test('the list of models names the columns', async () => {
  const { body } = await ask(`${service.url}/v1/models`);
  const found = body.models.find(({ name }: { name: string }) => name === 'voyages');
  expect(found.input.columns).toEqual([
    { name: 'age (years)', datatype: 'number', missing: 'NaN' },
    { name: 'class', datatype: 'number', categories: [1, 2, 3] },
    { name: 'harbour', datatype: 'category', categories: ['Brest', 'Cork', 'Kiel'], missing: '' },
    { name: 'fare', datatype: 'number' },
  ]);
  const output = { kind: 'classification', classes: 2, top: 2, activation: 'none' };
  expect(found.output).toEqual(output);
  const houses = body.models.find(({ name }: { name: string }) => name === 'houses');
  expect(houses.output).toEqual({ kind: 'regression', tensor: 'variable' });
});

describe('a wrong row is refused, and the error says what to do', () => {
  // The service still answers after each of them.
  afterEach(async () => {
    expect(await score('voyages', { input: voyage })).toMatchObject({ status: 200 });
  });

  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(voyage).filter(([name]) => !names.includes(name)));

  /** What is said of some rows of voyages, which are not valid. */
  const invalid: Record<string, unknown> = {
    'Expected only columns of voyages, which GET /v1/models lists; got "age". Correct the name, or leave the value out.':
      { ...voyage, age: 3 },
    'got "Fare". No value came for "fare". Correct the name': { ...without('fare'), Fare: 3 },
    'got "constructor"': { ...voyage, constructor: 1 },
    'Expected the column "fare" to be a number up to ±3.4e38; got "25.5". Write it without quotes.':
      { ...voyage, fare: '25.5' },
    'Expected the column "fare" to be a number up to ±3.4e38; got "cheap".': {
      ...voyage,
      fare: 'cheap',
    },
    'got "NaN". Send null for a missing value.': { ...voyage, 'age (years)': 'NaN' },
    'got "nan". The model takes no missing values in this column.': { ...voyage, fare: 'nan' },
    '; got true.': { ...voyage, harbour: true },
    'Expected the column "fare" to be a number up to ±3.4e38; got 1e+39.': {
      ...voyage,
      fare: 1e39,
    },
    'Expected the column "class" to be a whole number from -9007199254740991 to 9007199254740991; got 1.5.':
      { ...voyage, class: 1.5 },
    'to be a whole number from -9007199254740991 to 9007199254740991; got 9007199254740992.': {
      ...voyage,
      class: 2 ** 53,
    },
    'Expected the column "harbour" to be one of the 3 categories that the model knows, "Brest", "Cork", "Kiel"; got "Oslo".':
      { ...voyage, harbour: 'Oslo' },
    'Expected the column "class" to be one of the 3 categories that the model knows, 1, 2, 3; got 4.':
      { ...voyage, class: 4 },
    'Expected the column "harbour" to be a text; got 1. Write it in quotes.': {
      ...voyage,
      harbour: 1,
    },
    'a text without NUL': { ...voyage, harbour: 'Ki\0el' },
    '; got a list.': { ...voyage, fare: [1] },
    '; got an object.': { ...voyage, harbour: { a: 1 } },
    'for each column, as in': null,
  };
  const order = { weight: 1, pieces: 1, country: 'DE', carrier: 'road' };

  test.each<readonly [model: string, code: string, detail: string, input: unknown]>([
    ...Object.entries(invalid).map(
      ([detail, row]) => ['voyages', 'input_invalid', detail, row] as const,
    ),
    [
      'voyages',
      'input_missing',
      'Expected a value for each column, since voyages takes no missing values here; got none for "class", "fare".',
      without('class', 'fare'),
    ],
    ['voyages', 'input_missing', 'got none for "fare".', { ...voyage, fare: null }],
    [
      'breast-cancer',
      'input_missing',
      'got none for "mean texture", "mean perimeter", "mean area", "mean smoothness", "mean compactness", "mean concavity", "mean concave points", "mean symmetry", "mean fractal dimension", "radius error" and 19 more.',
      { 'mean radius': 17.99 },
    ],
    [
      'voyages',
      'input_missing',
      'Expected a value for each column of voyages, which GET /v1/models lists; got an empty object.',
      {},
    ],
    [
      'orders',
      'input_invalid',
      'Expected the column "country" to be a text without half of a pair of surrogates',
      { ...order, country: '\ud800' },
    ],
    [
      'orders',
      'text_too_long',
      'Expected at most 20000 characters in the column "country"; got 20001. Shorten it.',
      { ...order, country: 'D'.repeat(20_001) },
    ],
    [
      'voyages',
      'too_many_inputs',
      'The model voyages takes a row of a table. Expected one row in a request, an object with a value for each column; got a list of 2. Send several rows as {"inputs": [{…}, {…}]}.',
      [voyage, voyage],
    ],
    ['breast-cancer', 'too_many_inputs', 'got a list of 30.', Object.values(cells)],
    [
      'breast-cancer',
      'input_invalid',
      'The model breast-cancer takes a row of a table. Expected "input" to be an object with a value for each column, as in {"input": {"mean radius": …, "mean texture": …, …}}; got "copy an object".',
      'copy an object',
    ],
    [
      'breast-cancer',
      'input_invalid',
      'Expected only columns of breast-cancer, which GET /v1/models lists; got "cat". No value came for "mean radius"',
      { cat: 'aGVsbG8=' },
    ],
  ])('by %s: %s, %s', async (model, code, detail, input) => {
    const { status, body } = await score(model, { input });
    expect([status, body.code]).toEqual([400, code]);
    expect(body.detail).toContain(detail);
  });

  // The time that it took grew with the square of the length.
  test('a long text of blanks for a number', { timeout: 30_000 }, async () => {
    const row = { ...voyage, fare: `${' '.repeat(500_000)}x` };
    const { status, body } = await score('voyages', { input: row });
    expect([status, body.code]).toEqual([400, 'input_invalid']);
  });

  test('a number that is infinite, and __proto__', async () => {
    for (const [text, detail] of [
      ['"fare": 1e400', 'up to ±3.4e38; got Infinity.'],
      ['"fare": 1, "__proto__": {"class": 1}', 'got "__proto__".'],
    ]) {
      const row = JSON.stringify(without('fare')).replace('}', `, ${text}}`);
      const { status, body } = await ask(`${service.url}/v1/models/voyages/score`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: `{"input": ${row}}`,
      });
      expect([status, body.code]).toEqual([400, 'input_invalid']);
      expect(body.detail).toContain(detail);
    }
  });

  test.each([
    [
      'text/plain',
      'The model voyages takes a row of a table. Expected the content type application/json; got text/plain.',
    ],
    [
      'image/jpeg',
      'The model voyages takes a row of a table. Expected the content type application/json; got image/jpeg.',
    ],
    ['application/octet-stream', 'Expected a row of a table as JSON, as in {"input": {'],
    ['text/csv', 'got text/csv'],
  ])('a raw body of the type %s', async (type, detail) => {
    const { status, body } = await ask(`${service.url}/v1/models/voyages/score`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: 'fare\n3',
    });
    expect([status, body.code]).toEqual([415, 'unsupported_media_type']);
    expect(body.detail).toContain(detail);
  });

  test('a form with a file, and one with a row as text', async () => {
    const file = new FormData();
    file.set('file', new Blob(['fare\n3']), 'rows.csv');
    const field = new FormData();
    field.set('input', JSON.stringify(voyage));
    for (const [form, status, code] of [
      [file, 415, 'unsupported_media_type'],
      [field, 400, 'input_invalid'],
    ] as const) {
      const answer = await ask(`${service.url}/v1/models/voyages/score`, {
        method: 'POST',
        body: form,
      });
      expect([answer.status, answer.body.code]).toEqual([status, code]);
    }
  });

  test('a row sent to a model of texts', async () => {
    const { status, body } = await score('faq-matcher', { input: voyage });
    expect([status, body.code]).toEqual([400, 'input_invalid']);
    expect(body.detail).toContain('The model faq-matcher takes a text.');
  });

  test('numbers with which the network cannot compute', async () => {
    const huge = Object.fromEntries(Object.keys(cells).map((name) => [name, 3e38]));
    const { status, body } = await score('breast-cancer', { input: huge });
    expect([status, body.code]).toEqual([422, 'inputs_refused']);
    expect(body.detail).toContain('computes finite scores');
  });

  test('a row whose number is not finite fails alone, in a list and in lines', async () => {
    const inputs = [{ years: 0 }, { years: 1000 }, { years: 1 }];
    const list = await score('growth', { inputs });
    expect(list).toMatchObject({ status: 200, body: { failed: 1 } });
    const stream = await fetch(`${service.url}/v1/models/growth/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: inputs.map((input) => JSON.stringify({ input })).join('\n'),
    });
    const lines = (await stream.text()).trim().split('\n');
    for (const results of [list.body.results, lines.map((line) => JSON.parse(line))]) {
      const found = results.toSorted(
        (a: { index: number }, b: { index: number }) => a.index - b.index,
      );
      expect(found).toMatchObject([
        { index: 0, predictions: [{ value: 1 }] },
        { index: 1, problem: { code: 'inputs_refused', status: 422 } },
        { index: 2, predictions: [{ value: 2.7182817 }] },
      ]);
    }
  });

  test('a category that the network refuses fails that row alone', async () => {
    const order = { weight: 1, pieces: 1, country: 'PL', carrier: 'road' };
    const [unknown, ...known] = await Promise.all([
      score('orders', { input: { ...order, country: 'IT' } }),
      ...Array.from({ length: 5 }, () => score('orders', { input: order })),
    ]);
    expect(unknown).toMatchObject({ status: 422, body: { code: 'inputs_refused' } });
    expect(unknown.body.detail).toContain('Unknown Category');
    for (const answer of known) expect(answer.status).toBe(200);
  });
});
