// Programs that take JSON or files of any format, and answer with JSON: what comes in by each way is what the program gets,
// and what it returns is the answer.

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkModel } from '../../cli/models/check.js';
import { ScorelineClient } from '../../client/client.js';
import {
  ask,
  openRedis,
  post,
  readModel,
  root,
  type Service,
  startService,
  type TestRedis,
} from '../harness.js';
import { environmentOfTests, hasPython } from '../python.js';
import { makeFolder, writeFolder } from '../unit/sample-model.js';

const head = { version: 1, description: 'A test.', engine: 'python' };
const echo = `
import numpy as np

def predict(inputs):
    return [answer(value) for value in inputs]

def answer(value):
    if value == "bad":
        raise ValueError("expected something good")
    if type(value) is str and value.startswith("long "):
        return "x" * int(value[5:])
    if value == "nan":
        return float("nan")
    return {"got": value, "type": type(value).__name__, "half": np.float32(0.5), "row": np.arange(2)}
`;
const sizes = `
def predict(files):
    if any(file.startswith(b"bad") for file in files):
        raise ValueError("expected a good file")
    return [{"bytes": len(file), "sum": sum(file)} for file in files]
`;
const words = `
def predict(texts):
    return {"json": [text.split() for text in texts], "long": [[len(text) / 10, 1 - len(text) / 10] for text in texts]}
`;
const wide = `
def predict(rows):
    return [{"area": width * 2} for width in rows["width"]]
`;
const models = {
  echo: {
    ...{ input: { kind: 'json' }, output: { kind: 'json' } },
    example: {
      input: { a: [1.5] },
      expected: { json: { got: { a: [1.5] }, type: 'dict', half: 0.5, row: [0, 1] } },
    },
    samples: [[1, 'b'], 'text', null],
  },
  plain: {
    ...{ input: { kind: 'json' }, output: { kind: 'json' } },
    network: {
      inputs: [{ name: 'json', datatype: 'BYTES', shape: [-1] }],
      outputs: [{ name: 'json', datatype: 'BYTES', shape: [-1] }],
    },
  },
  sizes: {
    ...{ input: { kind: 'file' }, output: { kind: 'json' } },
    example: {
      input: 'predict.py',
      expected: { json: { bytes: sizes.length, sum: sum(Buffer.from(sizes)) } },
    },
  },
  words: {
    ...{ input: { kind: 'text' }, output: { kind: 'json' } },
    outputs: { long: { kind: 'classification', labels: 'labels.txt' } },
  },
  wide: {
    ...{
      input: { kind: 'table', columns: [{ name: 'width', datatype: 'number' }] },
      output: { kind: 'json' },
    },
    network: {
      inputs: [{ name: 'width', datatype: 'FP64', shape: [-1] }],
      outputs: [{ name: 'json', datatype: 'BYTES', shape: [-1] }],
    },
  },
};
const programs = { echo, plain: echo, sizes, words, wide };

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0);
}

function writeModels(): string {
  const directory = writeFolder(
    Object.fromEntries(
      Object.entries(models).flatMap(([name, manifest]) => [
        [`${name}/model.yaml`, { ...head, name, ...manifest }],
        [`${name}/predict.py`, programs[name as keyof typeof programs]],
        [`${name}/requirements.txt`, ''],
        [`${name}/labels.txt`, 'long\nshort'],
      ]),
    ),
  );
  for (const name of Object.keys(models)) {
    symlinkSync(environmentOfTests(), path.join(directory, name, '.venv'));
  }
  return directory;
}

describe.skipIf(!hasPython)('programs of JSON and files (needs Python 3.11)', () => {
  let directory: string;
  let redis: TestRedis;
  let service: Service;
  beforeAll(async () => {
    directory = writeModels();
    redis = await openRedis();
    const environment = { MODELS_DIR: directory };
    service = await startService({
      redisUrl: redis.url,
      models: Object.keys(models).join(),
      environment,
    });
  });
  afterAll(async () => {
    for (const child of [service?.api, ...(service?.workers ?? [])]) child?.kill('SIGKILL');
    await redis?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const addressOf = (model: string) => `${service.url}/v1/models/${model}/score`;
  const send = (model: string, contentType: string, body: string | Uint8Array | FormData) =>
    ask(addressOf(model), {
      method: 'POST',
      body: body as NonNullable<RequestInit['body']>,
      ...(contentType !== '' && { headers: { 'Content-Type': contentType } }),
    });
  const json = (body: string) => send('echo', 'application/json', body);
  /** Asks for the answer as it is written, which JSON.parse would round. */
  const written = async (body: string, contentType = 'application/json') => {
    const response = await fetch(addressOf('echo'), {
      method: 'POST',
      headers: { 'Content-Type': contentType },
      body,
    });
    return response.text();
  };
  const answerOf = (got: unknown, type: string) => ({
    predictions: [{ json: { got, type, half: 0.5, row: [0, 1] } }],
  });

  test.each([
    ['{"a": [1, {"b": null}]}', 'dict'],
    ['[true, "é"]', 'list'],
    ['"text"', 'str'],
    ['7', 'int'],
    ['7.5', 'float'],
    ['null', 'NoneType'],
    ['false', 'bool'],
  ])('the program gets %s, and answers with JSON', async (input, type) => {
    const { status, body } = await json(`{"input": ${input}}`);
    expect(status).toBe(200);
    expect(body).toMatchObject(answerOf(JSON.parse(input), type));
  });

  test('clients of V1 get what the program returns for each instance', async () => {
    const instances = '[{"a": 1.0}, [9007199254740993], "text"]';
    const response = await fetch(`${service.url}/v1/models/echo:predict`, {
      method: 'POST',
      body: `{"instances": ${instances}}`,
    });
    const rest = '"half": 0.5, "row": [0, 1]';
    expect((await response.text()).replaceAll(' ', '')).toBe(
      `{"predictions":[{"got":{"a":1.0},"type":"dict",${rest}},{"got":[9007199254740993],"type":"list",${rest}},{"got":"text","type":"str",${rest}}]}`.replaceAll(
        ' ',
        '',
      ),
    );
  });

  test('numbers arrive as they were written, by each way', async () => {
    const input = '[9007199254740993, 1.0, -0, 18446744073709551617]';
    const expected = '"got":[9007199254740993,1.0,0,18446744073709551617],"type":"list"';
    expect(await written(`{"deadlineMs": 60000, "input": ${input}}`)).toContain(expected);
    expect(await written(`{"inputs": [1, ${input}]}`)).toContain(expected);
    expect(await written(`{"input": ${input}}\n`, 'application/x-ndjson')).toContain(expected);
    const form = new FormData();
    form.append('input', input);
    form.append('deadlineMs', '60000');
    expect(JSON.stringify((await send('echo', '', form)).body)).toContain('"type":"list"');
    const reference = await ask(`${service.url}/score?model=echo`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{"input": 1.0}',
    });
    const result = [{ input: { got: 1, type: 'float' } }, expect.any(String)];
    expect(reference.body).toMatchObject({ result });
  });

  test('numbers and constants that JSON or a float cannot hold are refused', async () => {
    for (const input of ['1e400', '[-1E999]', '{"a": 1e309}']) {
      const { body } = await json(`{"input": ${input}}`);
      expect(body, input).toMatchObject({
        status: 422,
        detail: expect.stringContaining('a float can hold; got'),
      });
    }
    expect((await json('{"input": [1e308, 1e-400]}')).body).toMatchObject(
      answerOf([1e308, 0], 'list'),
    );
    const refused = await post(`${service.url}/v2/models/plain/infer`, {
      inputs: [{ name: 'json', datatype: 'BYTES', shape: [1], data: ['[NaN]'] }],
    });
    expect(refused.body).toMatchObject({
      code: 'inputs_refused',
      error: expect.stringContaining('null in place of NaN'),
    });
  });

  test('half of a surrogate pair comes back as its escape', async () => {
    const { status, body } = await json('{"input": {"\\ud800": "\\\\\\udfff é"}}');
    expect(status).toBe(200);
    expect(body).toMatchObject(answerOf({ '\ud800': '\\\udfff é' }, 'dict'));
  });

  test('an input at fault has an error of its own', async () => {
    const { body } = await json('{"inputs": ["good", "bad", "nan"]}');
    expect(body).toMatchObject({
      failed: 2,
      results: [
        answerOf('good', 'str'),
        { problem: { code: 'inputs_refused', detail: expect.stringContaining('something good') } },
        { problem: { code: 'model_failed' } },
      ],
    });
    const deep = await json(`{"input": ${'['.repeat(20_000)}${']'.repeat(20_000)}}`);
    expect(deep.body).toMatchObject({
      status: 422,
      detail: expect.stringContaining('less deeply'),
    });
  });

  test('an answer has a largest size, and a long one is compressed', async () => {
    const huge = await send('echo', 'application/json', `{"input": "long ${33_554_432}"}`);
    expect(huge).toMatchObject({ status: 422, body: { code: 'result_too_large' } });
    const asked = await fetch(addressOf('echo'), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Accept-Encoding': 'gzip' },
      body: '{"input": "long 10000"}',
    });
    expect(asked.headers.get('content-encoding')).toBe('gzip');
    expect(await asked.json()).toMatchObject({ predictions: [{ json: 'x'.repeat(10_000) }] });
  });

  test('what is no input of the kind is refused', async () => {
    const problems = await Promise.all([
      json('{"inputt": 1}'),
      json('{"input": NaN}'),
      json('{"input": 1, "top": 2}'),
      send('echo', 'text/plain', 'a'),
      send('sizes', 'application/json', '{"input": 5}'),
      send('sizes', 'application/json', '{"input": {"a": "YQ==", "b": "YQ=="}}'),
      send('sizes', 'application/json', '{"input": "%"}'),
      send('sizes', 'audio/wav', ''),
      send('sizes', 'audio/wav', 'bad'),
    ]);
    expect(problems.map(({ body }) => (body as { code: string }).code)).toEqual([
      ...['input_missing', 'invalid_json', 'parameter_invalid', 'unsupported_media_type'],
      ...['input_invalid', 'input_invalid', 'base64_invalid', 'input_missing', 'inputs_refused'],
    ]);
  });

  test('a file without a content type is refused with the types that there are', async () => {
    const { status, body } = await ask(addressOf('sizes'), {
      method: 'POST',
      body: new Uint8Array([1]),
    });
    expect(status).toBe(415);
    expect(body).toMatchObject({
      detail: expect.stringContaining('or that of the file; got none'),
    });
  });

  test('a file comes as a body of any type, in a form, and as base64', async () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => at % 256);
    const base64 = Buffer.from(bytes).toString('base64');
    const form = new FormData();
    form.append('file', new Blob([bytes]), 'a.bin');
    const answers = await Promise.all([
      send('sizes', 'audio/wav', bytes),
      send('sizes', 'application/pdf', bytes),
      send('sizes', 'application/x-www-form-urlencoded', bytes),
      send('sizes', '', form),
      post(addressOf('sizes'), { input: base64 }),
      post(addressOf('sizes'), { input: { name: `data:audio/wav;base64,${base64}` } }),
    ]);
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect(body).toMatchObject({ predictions: [{ json: { bytes: 70_000, sum: sum(bytes) } }] });
    }
  });

  test('other kinds of input and further answers go with JSON, too', async () => {
    const words = await post(addressOf('words'), { input: 'two words' });
    expect(words.body).toMatchObject({
      predictions: [{ json: ['two', 'words'] }],
      outputs: { long: [{ label: 'long', score: 0.9 }, { label: 'short' }] },
    });
    const wide = await post(addressOf('wide'), { input: { width: 3 } });
    expect(wide.body).toMatchObject({ predictions: [{ json: { area: 6 } }] });
    const tensors = await post(`${service.url}/v2/models/wide/infer`, {
      inputs: [{ name: 'width', datatype: 'FP64', shape: [2], data: [3, 4] }],
    });
    expect(tensors.body).toMatchObject({ outputs: [{ data: ['{"area":6.0}', '{"area":8.0}'] }] });
  });

  test('the client sends JSON and files, and tells the answers by their type', async () => {
    const client = new ScorelineClient({ url: service.url });
    const list = await client.score('echo', [1, { a: null }]);
    expect(list).toMatchObject(answerOf([1, { a: null }], 'list'));
    expect(await client.score('sizes', new Uint8Array(5))).toMatchObject({
      predictions: [{ json: { bytes: 5, sum: 0 } }],
    });
    await expect(client.score('echo', [Number.NaN])).rejects.toThrow('finite number');
    await expect(client.score('echo', new Map() as never)).rejects.toThrow('or JSON');
  });

  test('the list of models and the description say what they take', async () => {
    const { models: listed } = (await ask(`${service.url}/v1/models`)).body as {
      models: { name: string; input: unknown; output: unknown; examples: unknown[] }[];
    };
    const byName = new Map(listed.map((each) => [each.name, each]));
    expect(byName.get('echo')).toMatchObject({
      input: { kind: 'json' },
      output: { kind: 'json' },
      examples: [{ a: [1.5] }, [1, 'b'], 'text', null],
    });
    expect(byName.get('sizes')).toMatchObject({ input: { kind: 'file' }, examples: [] });
    await expect
      .poll(async () => (await ask(`${service.url}/openapi.json`)).body)
      .toMatchObject({
        paths: {
          '/v1/models/sizes/score': {
            post: { requestBody: { content: { 'application/octet-stream': {} } } },
          },
        },
      });
  });

  test('each reference of the description leads somewhere', async () => {
    const { body } = await ask(`${service.url}/openapi.json`);
    const references = [...JSON.stringify(body).matchAll(/"\$ref":"([^"]+)"/g)].map(([, to]) => to);
    expect(references.length).toBeGreaterThan(0);
    const isThere = (to: string | undefined) =>
      /^#(\/[\w.-]+)+$/.test(to ?? '') &&
      to
        ?.slice(2)
        .split('/')
        .reduce((at: unknown, key) => (at as Record<string, unknown> | undefined)?.[key], body);
    expect([...new Set(references)].filter((to) => !isThere(to))).toEqual([]);
  });

  test('npm run score sends the files of a folder, whatever they are called', async () => {
    const folder = makeFolder({ 'a.wav': 'ab', 'b.jpg': 'c', 'more/c': 'ÿ', 'd.wav': 'bad' });
    const command = [path.join(root, 'dist/cli/score.js'), 'sizes', folder, '--url', service.url];
    const { stdout, status } = spawnSync(process.execPath, command, { encoding: 'utf8' });
    expect(status).toBe(1);
    const answers = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const sizeOf = new Map(answers.map(({ id, predictions }) => [id, predictions?.[0].json.bytes]));
    expect(sizeOf).toEqual(
      new Map([
        ['a.wav', 2],
        ['b.jpg', 1],
        ['more/c', 2],
        ['d.wav', undefined],
      ]),
    );
  });

  test('check compares the answer to the example', async () => {
    for (const name of ['echo', 'sizes']) {
      const lines: string[] = [];
      await checkModel(readModel(name, directory), (line) => lines.push(line));
      expect(lines.at(-1)).toMatch(/^ {2}example {4}.*, as expected$/);
    }
    const file = path.join(directory, 'echo', 'model.yaml');
    const given = readFileSync(file, 'utf8');
    writeFileSync(file, given.replace('0.5', '0.6'));
    await expect(checkModel(readModel('echo', directory), () => {})).rejects.toThrow(
      /example: expected .*0.6/,
    );
  });
});
