// Tests the routes of the Open Inference Protocol at the HTTP edge: the form of errors, the bounds of
// the binary extension, deadlines, and the rules for callers, which are those of every route that scores.

import { describe, expect, test } from 'vitest';
import type { Access } from '../../api/access/access.js';
import type { Caller } from '../../api/access/caller.js';
import type { Submission } from '../../api/queue/dispatcher.js';
import { ScorelineError } from '../../shared/errors.js';
import { type Datatype, encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { rowsOfItem } from '../../shared/wire/item-id.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import { ask, post } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { openScene, openToAnyone, textModel } from './http-scene.js';

const shape = [-1, 2];
const manifest = {
  name: 'tensors',
  input: { kind: 'tensors' },
  output: { kind: 'tensors' },
  example: undefined,
  network: {
    inputs: [{ name: 'in', datatype: 'FP32', shape }],
    outputs: [{ name: 'out', datatype: 'FP32', shape }],
  },
};
const model = makeSampleModel(manifest);
const input = { name: 'in', datatype: 'FP32', shape: [1, 2], data: [1, 2] };
const path = '/v2/models/tensors/infer';

function output(datatype: Datatype, data: Uint8Array, sizes = [1, 2]): Tensor {
  return { name: 'out', datatype, shape: sizes, data };
}

const reply = (id: string, ...outputs: Tensor[]): ScoredReply => ({
  id,
  outputs,
  timing: { queueMs: 0, batchMs: 0, computeMs: 0, batchSize: 1 },
});

const rows = (count: number) => ({
  inputs: [{ ...input, shape: [count, 2], data: new Array(2 * count).fill(0) }],
});

const toLabel = (text: string, id: number) => ({ text, id });

/** Answers each item with its input. */
const submit = ({ items }: Submission) =>
  items.map(async ({ id, inputs }) => reply(id, { ...(inputs[0] as Tensor), name: 'out' }));

const open = (options: Parameters<typeof openScene>[0] = {}) =>
  openScene({ models: [model, textModel], submit, ...options });

test.each([
  ['one item', 1, 1_000_000],
  ['many items', 250, 4000],
])('others are answered while a million numbers of %s are written', async (_, count, width) => {
  const batch = { max: 4, waitMs: 0 };
  const long = Float32Array.from({ length: width * batch.max }, (_, at) => Math.sqrt(at));
  const answered: string[] = [];
  let other: Promise<unknown> | undefined;
  const scene = await open({
    models: [makeSampleModel({ ...manifest, batch })],
    submit: ({ items }) => {
      other = ask(`${scene.url}/livez`).finally(() => answered.push('other'));
      return items.map(async ({ id }) => {
        const numbers = long.slice(0, width * rowsOfItem(id));
        return reply(id, output('FP32', new Uint8Array(numbers.buffer), [rowsOfItem(id), width]));
      });
    },
  });
  // Others are answered while it is compressed anyway.
  const headers = { 'Accept-Encoding': 'identity' };
  const body = JSON.stringify(rows(count));
  const answer = await fetch(`${scene.url}${path}`, { method: 'POST', headers, body });
  answered.push('long');
  expect(await answer.json()).toMatchObject({ outputs: [{ shape: [count, width] }] });
  await other;
  expect(answered).toEqual(['other', 'long']);
});

describe('an error on a route of the protocol', () => {
  test.each([
    ['GET', '/v2/models/none', 'model_not_found', 404],
    ['GET', '/v2/models/tensors/versions/7/ready', 'model_not_found', 404],
    ['POST', '/v2/models/none/infer', 'model_not_found', 404],
    ['GET', path, 'method_not_allowed', 405],
    ['POST', '/v2/models/tensors', 'method_not_allowed', 405],
    ['GET', '/v2/somewhere', 'not_found', 404],
    ['GET', '/v2/models/text', 'network_undeclared', 404],
    ['GET', '/v1/models/none', 'model_not_found', 404],
    ['GET', '/v1/models/none/metadata', 'model_not_found', 404],
    ['GET', '/v1/models/tensors/versions/7', 'model_not_found', 404],
    ['GET', '/v1/models/text/metadata', 'network_undeclared', 404],
    ['POST', '/v1/models/tensors/versions/1/metadata', 'method_not_allowed', 405],
    ['GET', '/v1/models/tensors:predict', 'method_not_allowed', 405],
    ['POST', '/v1/models/none:predict', 'model_not_found', 404],
    ['POST', '/v1/models/tensors/versions/7:predict', 'model_not_found', 404],
    ['POST', '/v1/models/tensors:predict', 'invalid_json', 400],
    ['POST', '/v1/models/tensors:predict?deadlineMs=soon', 'deadline_invalid', 400],
    ['POST', path, 'input_missing', 400],
    ['POST', `${path}?deadlineMs=soon`, 'deadline_invalid', 400],
    ['POST', `${path}?deadlineMs=1000&deadlineMs=9000`, 'deadline_invalid', 400],
    ['POST', `${path}?priority=soon&priority=bulk`, 'parameter_invalid', 400],
    ['POST', `${path}?async=no&async=true`, 'preference_invalid', 400],
    ['POST', `${path}?version=2`, 'parameter_invalid', 400],
    ['POST', '/v1/models/tensors:predict?model=text', 'parameter_invalid', 400],
  ])('has its form: %s %s', async (method, address, code, status) => {
    const scene = await open();
    const answer = await ask(`${scene.url}${address}`, { method });
    expect(answer).toMatchObject({ status, body: { code, status } });
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.body.error).toMatch(/\.$/);
  });

  test('names the addresses of V1 that are there', async () => {
    const scene = await open();
    for (const verb of ['classify', 'explain']) {
      const answer = await post(`${scene.url}/v1/models/tensors:${verb}`, { instances: [1] });
      expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } });
      expect(answer.body.error).toContain('only POST /v1/models/{model}:predict is served');
    }
  });

  test.each([
    'systemsharedmemory/status',
    'cudasharedmemory/region/a/register',
    'trace/setting',
    'logging',
    'models/tensors/trace/setting',
    'models/tensors/generate',
    'models/tensors/versions/1/generate_stream',
  ])("says that an extension of Triton's is not there: %s", async (address) => {
    const scene = await open();
    const answer = await post(`${scene.url}/v2/${address}`, {});
    expect(answer).toMatchObject({ status: 404, body: { code: 'not_found' } });
    expect(answer.body.error).toContain(`POST /v2/${address}. Triton's shared memory, tracing`);
  });

  test('is a problem document elsewhere', async () => {
    const scene = await open();
    const answer = await post(`${scene.url}/v1/models/tensors/score`, { input: 'x' });
    expect(answer).toMatchObject({ status: 400, body: { code: 'input_invalid' } });
    expect(answer.body.detail).toContain('Send them to POST /v2/models/tensors/infer');
    expect(await post(`${scene.url}/score?model=tensors`, { input: 'x' })).toMatchObject({
      status: 400,
      body: { code: 'input_invalid' },
    });
  });

  test('is that of the worker, and does not fail other rows silently', async () => {
    const error = new ScorelineError('tensor_invalid', 'Expected this; got that.');
    const scene = await open({
      submit: ({ items }) =>
        items.map(({ id }, at) => (at === 1 ? Promise.reject(error) : Promise.resolve(reply(id)))),
    });
    const answer = await post(scene.url + path, rows(model.manifest.batch.max + 1));
    expect(answer).toMatchObject({ status: 400, body: { error: 'Expected this; got that.' } });
  });

  test('says so if rows have outputs of different shapes', async () => {
    const scene = await open({
      submit: ({ items }) =>
        items.map(async ({ id }, at) => reply(id, output('INT8', new Uint8Array(at), [1, at]))),
    });
    const answer = await post(scene.url + path, rows(model.manifest.batch.max + 1));
    expect(answer).toMatchObject({ status: 500, body: { code: 'model_output_mismatch' } });
    expect(scene.logged.splice(0)).toHaveLength(1);
  });
});

describe('a body', () => {
  const json = JSON.stringify({ inputs: [input] });
  const send = async (headers: Record<string, string>, body: string | Uint8Array) => {
    const scene = await open();
    return ask(scene.url + path, { method: 'POST', headers, body });
  };

  test.each(['application/json', 'application/octet-stream', 'application/x-www-form-urlencoded'])(
    'may have any content type, such as %s',
    async (type) => {
      const answer = await send({ 'content-type': type }, json);
      expect(answer).toMatchObject({ status: 200, body: { outputs: [{ data: [1, 2] }] } });
    },
  );

  test('may say that all of it is JSON', async () => {
    const length = String(Buffer.byteLength(json));
    const answer = await send({ 'inference-header-content-length': length }, json);
    expect(answer).toMatchObject({ status: 200, body: { outputs: [{ data: [1, 2] }] } });
  });

  test.each([
    ['a JSON length beyond its end', String(json.length + 1), json, 'request_invalid'],
    ['a negative JSON length', '-1', json, 'request_invalid'],
    ['a JSON length that is no number', '0x10', json, 'request_invalid'],
    ['an endless JSON length', '9'.repeat(400), json, 'request_invalid'],
    ['a JSON length of 0', '0', json, 'input_missing'],
    ['JSON that is cut off', '10', json, 'invalid_json'],
    ['bytes that are not UTF-8', '2', Buffer.from([0xff, 0xfe]), 'input_invalid'],
    [
      'NaN',
      '',
      '{"inputs":[{"name":"in","datatype":"FP32","shape":[1,2],"data":[NaN,1]}]}',
      'invalid_json',
    ],
    [
      'Infinity',
      '',
      '{"inputs":[{"name":"in","datatype":"FP32","shape":[1,2],"data":[-Infinity,1]}]}',
      'invalid_json',
    ],
    [
      'nothing but depth',
      '',
      `{"inputs":[{"name":"in","datatype":"FP32","shape":[1,2],"data":${'['.repeat(50_000)}${']'.repeat(50_000)}}]}`,
      'tensor_invalid',
    ],
  ])('may not have %s', async (_what, length, body, code) => {
    const headers: Record<string, string> = length
      ? { 'inference-header-content-length': length }
      : {};
    const answer = await send(headers, body);
    expect(answer).toMatchObject({ status: 400, body: { code } });
    expect(answer.body.error).toMatch(/^(The .*)?Expected /);
  });

  test('may not be larger than the limit', async () => {
    const scene = await open({ configuration: { BODY_BYTES_MAX: 1024 } });
    const answer = await ask(scene.url + path, { method: 'POST', body: 'x'.repeat(2000) });
    expect(answer).toMatchObject({ status: 413, body: { code: 'body_too_large' } });
  });
});

describe('V1 of KServe and TensorFlow Serving', () => {
  const instances = Array.from({ length: 10 }, (_, at) => [at, 0.5]);

  test.each(['tensors:predict', 'tensors%3Apredict', 'tensors/versions/1:predict'])(
    'has its rows scored: %s',
    async (address) => {
      const seen: number[] = [];
      const scene = await open({
        models: [makeSampleModel({ ...manifest, batch: { max: 4 } })],
        submit: (submission) => {
          seen.push(...submission.items.map(({ id }) => rowsOfItem(id)));
          return submit(submission);
        },
      });
      // Without a Content-Type of JSON, as in the examples of these servers.
      const body = JSON.stringify({ instances });
      const answer = await ask(`${scene.url}/v1/models/${address}`, { method: 'POST', body });
      expect(answer).toMatchObject({ status: 200, body: { predictions: instances } });
      expect(answer.headers.get('server-timing')).toMatch(/^queue;dur=/);
      expect(seen).toEqual([4, 4, 2]);
    },
  );

  test('gives each instance to a model without a network, and answers as that does', async () => {
    const { url } = await openScene();
    const address = `${url}/v1/models/text:predict`;
    const { predictions } = (await post(`${url}/v1/models/text/score`, { input: 'one' })).body;
    expect(await post(address, { instances: ['one', 'two'] })).toMatchObject({
      status: 200,
      body: { predictions: [predictions, predictions] },
    });
    const { body, status } = await post(address, { inputs: ['one'] });
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'input_invalid' });
    expect(body.error).toContain('Expected "instances", a list of inputs');
    expect(await post(address, { instances: ['one', 7] })).toMatchObject({
      status: 400,
      body: { code: 'input_invalid' },
    });
  });

  test.each(['tensors', 'tensors/versions/1'])(
    'is told the state of a model, in the words of each: %s',
    async (address) => {
      const scene = await open();
      const { status, body } = await ask(`${scene.url}/v1/models/${address}`);
      expect(status).toBe(200);
      expect(body).toEqual({
        name: 'tensors',
        ready: true,
        model_version_status: [
          { version: '1', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } },
        ],
      });
    },
  );

  test('is told the state of the version that answers before those of others', async () => {
    const newer = makeSampleModel({ ...manifest, version: '2' });
    const scene = await open({ models: [newer, model] });
    const versionsAt = async (address: string) => {
      const { body } = await ask(`${scene.url}/v1/models/${address}`);
      return body.model_version_status.map(({ version }: { version: string }) => version);
    };
    expect(await versionsAt('tensors')).toEqual(['2', '1']);
    expect(await versionsAt('tensors/versions/1')).toEqual(['1']);
  });

  test('is told the signature of a network', async () => {
    const scene = await open();
    const { status, body } = await ask(`${scene.url}/v1/models/tensors/metadata`);
    expect(status).toBe(200);
    const { serving_default } = body.metadata.signature_def.signature_def;
    const sizes = [
      { size: '-1', name: '' },
      { size: '2', name: '' },
    ];
    const tensor_shape = { dim: sizes, unknown_rank: false };
    expect(serving_default.inputs).toEqual({
      in: { dtype: 'DT_FLOAT', tensor_shape, name: 'in' },
    });
    expect(serving_default.method_name).toBe('tensorflow/serving/predict');
    expect(body.model_spec).toEqual({ name: 'tensors', signature_name: '', version: '1' });
    const { body: same } = await ask(`${scene.url}/v1/models/tensors/versions/1/metadata`);
    expect(same).toEqual(body);
  });

  test('is answered with the very type that these servers send', async () => {
    const { url } = await open();
    const method = 'POST';
    const body = JSON.stringify({ instances });
    const answers = [
      await ask(`${url}/v1/models/tensors`),
      await ask(`${url}/v1/models/tensors/metadata`),
      await ask(`${url}/v1/models/tensors:predict`, { method, body }),
    ];
    const types = answers.map(({ headers }) => headers.get('content-type'));
    expect(types).toEqual(answers.map(() => 'application/json'));
  });
});

test('large tensors must be binary, because parsing JSON holds up everyone else', async () => {
  const scene = await open({ configuration: { TENSOR_JSON_BYTES_MAX: 1024 } });
  const data = new Array(1000).fill(0);
  const inputs = [{ ...input, shape: [500, 2] }];
  const answer = await post(scene.url + path, { inputs: [{ ...inputs[0], data }] });
  expect(answer).toMatchObject({ status: 413, body: { code: 'body_too_large' } });
  expect(answer.body.error).toContain('as binary data behind the JSON');
  const binary = { ...input, shape: [100, 2], data: undefined };
  const json = JSON.stringify({
    inputs: [{ ...binary, parameters: { binary_data_size: 800 } }],
    outputs: [{ name: 'out', parameters: { binary_data: true } }],
  });
  const sent = await fetch(scene.url + path, {
    method: 'POST',
    headers: { 'inference-header-content-length': String(json.length) },
    body: Buffer.concat([Buffer.from(json), Buffer.alloc(800)]),
  });
  expect(sent.status).toBe(200);
});

describe('the parameters of a request', () => {
  test.each([
    [{ deadlineMs: 25_000 }, '', 25_000],
    [{ timeout: 12_500_000 }, '', 12_500],
    [{ timeout: 0 }, '', 30_000],
    [{ deadlineMs: 27_000, timeout: 26_000_000 }, '', 26_000],
    [{ deadlineMs: 27_000 }, '?deadlineMs=23000', 23_000],
    [{ deadlineMs: 1e9, sequence_id: 0, priority: 3 }, '', 30_000],
  ])('%j%s give a deadline', async (parameters, query, ms) => {
    const scene = await open();
    const before = Date.now();
    const answer = await post(scene.url + path + query, { inputs: [input], parameters });
    expect(answer.status).toBe(200);
    const [{ deadlineAt }] = scene.submissions as [Submission];
    expect(deadlineAt).toBeGreaterThan(before + ms - 100);
    expect(deadlineAt).toBeLessThan(Date.now() + ms + 100);
  });

  test.each([{ deadlineMs: -1 }, { timeout: 'soon' }, { timeout: -5 }, { timeout: 1.5 }])(
    '%j are refused',
    async (parameters) => {
      const scene = await open();
      const answer = await post(scene.url + path, { inputs: [input], parameters });
      expect(answer).toMatchObject({ status: 400, body: { code: 'deadline_invalid' } });
    },
  );
});

describe('rows', () => {
  test('are items of as many rows as a run takes', async () => {
    const scene = await open();
    const { max } = model.manifest.batch;
    const { body } = await post(scene.url + path, rows(2 * max + 5));
    expect(body.outputs[0].shape).toEqual([2 * max + 5, 2]);
    const [{ items, top, outputs }] = scene.submissions as [Submission];
    expect(items.map(({ inputs }) => inputs[0]?.shape)).toEqual([
      [max, 2],
      [max, 2],
      [5, 2],
    ]);
    expect(items.map(({ id }) => rowsOfItem(id))).toEqual([max, max, 5]);
    expect({ top, outputs }).toEqual({ top: undefined, outputs: undefined });
  });

  test('are admitted together or not at all', async () => {
    const scene = await open({ configuration: { PERMITS_MAX: 8, ROWS_PER_REQUEST_MAX: 8 } });
    scene.unanswered.set(model.queue, 1_000_000);
    const answer = await post(scene.url + path, rows(8));
    expect(answer).toMatchObject({ status: 429, body: { code: 'overloaded' } });
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
  });

  test('may not be more than the service can ever admit', async () => {
    const scene = await open({ configuration: { PERMITS_MAX: 4 } });
    const answer = await post(scene.url + path, rows(5));
    expect(answer).toMatchObject({ status: 400, body: { code: 'too_many_inputs' } });
  });
});

describe('an output', () => {
  test('says in its head where the time of its slowest input went', async () => {
    const times = [1.25, 7.00049];
    const scene = await open({
      submit: ({ items }) =>
        items.map(async ({ id, inputs }, at) => ({
          ...reply(id, { ...(inputs[0] as Tensor), name: 'out' }),
          timing: { queueMs: times[at] ?? 0, batchMs: 0.5, computeMs: 3, batchSize: 8 - at },
        })),
    });
    const count = model.manifest.batch.max + 1;
    const { headers } = await post(scene.url + path, rows(count));
    expect(headers.get('server-timing')).toBe('queue;dur=7, batch;dur=0.5;desc=7, run;dur=3');
  });

  test('in JSON has its numbers exactly, and NaN in quotes', async () => {
    const floats = Float32Array.of(Number.NaN, -0);
    const scene = await open({
      submit: ({ items }) =>
        items.map(async ({ id }) => reply(id, output('FP32', new Uint8Array(floats.buffer)))),
    });
    const init = { method: 'POST', body: JSON.stringify({ inputs: [input] }) };
    const response = await fetch(scene.url + path, init);
    expect(await response.text()).toContain('"data":["NaN",-0.0]');
  });

  test('can be classified, NaN last, with the labels of the model', async () => {
    const labelled = makeSampleModel({
      name: 'labelled',
      network: {
        inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
        outputs: [{ name: 'out', datatype: 'FP32', shape: [-1, 5] }],
      },
    });
    const floats = Float32Array.of(0.1, Number.NaN, 0.5, 0.5, -1);
    const scene = await open({
      models: [labelled],
      submit: ({ items }) =>
        items.map(async ({ id }) =>
          reply(
            id,
            output('FP32', new Uint8Array(Float32Array.of(...floats, ...floats).buffer), [2, 5]),
          ),
        ),
    });
    const inputs = [{ name: 'text', datatype: 'BYTES', shape: [2], data: ['a', 'b'] }];
    const outputs = [{ name: 'out', parameters: { classification: 9 } }];
    const { body } = await post(`${scene.url}/v2/models/labelled/infer`, { inputs, outputs });
    const best = [
      '0.500000:2:owl',
      '0.500000:3:fox',
      '0.100000:0:cat',
      '-1.000000:4:hare',
      'NaN:1:dog',
    ];
    expect(body.outputs).toEqual([
      { name: 'out', datatype: 'BYTES', shape: [2, 5], data: [...best, ...best] },
    ]);
    const [{ items }] = scene.submissions as [Submission];
    expect(items.map(({ inputs }) => inputs[0]?.data)).toEqual([encodeStrings(['a', 'b'])]);
  });

  test('has the labels of the output that is classified, and none if it has none', async () => {
    const sizes = { known: 2, out: 5, colour: 2, light: 5 };
    const names = Object.keys(sizes) as (keyof typeof sizes)[];
    const head = { kind: 'classification', activation: 'none', tensor: 'colour' } as const;
    const several = {
      ...makeSampleModel({
        name: 'several',
        output: { kind: 'classification', labels: 'labels.txt', known: 'known' },
        network: {
          inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
          outputs: names.map((name) => ({ name, datatype: 'FP32', shape: [-1, sizes[name]] })),
        },
      }),
      heads: [{ name: 'shade', output: head, labels: ['red', 'blue'].map(toLabel) }],
    };
    const scores = (width: number) => Float32Array.from({ length: width }, (_, at) => at);
    const scene = await open({
      models: [several],
      submit: ({ items }) =>
        items.map(async ({ id }) => {
          const made = names.map((name) => {
            const data = new Uint8Array(scores(sizes[name]).buffer);
            return { ...output('FP32', data, [1, sizes[name]]), name };
          });
          return reply(id, ...made);
        }),
    });
    const inputs = [{ name: 'text', datatype: 'BYTES', shape: [1], data: ['a'] }];
    const outputs = names.map((name) => ({ name, parameters: { classification: 1 } }));
    const { body } = await post(`${scene.url}/v2/models/several/infer`, { inputs, outputs });
    expect(body.outputs.map(({ data }: { data: string[] }) => data[0])).toEqual([
      '1.000000:1',
      '4.000000:4:hare',
      '1.000000:1:blue',
      '4.000000:4',
    ]);
  });
});

describe('a caller', () => {
  const caller: Caller = { id: 'c', name: 'carol', scopes: ['score'], models: ['text'] };
  const accessOf = (
    scopes: Caller['scopes'],
    models: readonly string[],
  ): Omit<Access, 'close'> => ({
    ...openToAnyone,
    identify: () => ({ ...caller, scopes, models }),
    limits: {
      admit: () => undefined,
      fieldsOf: () => ({ 'RateLimit-Policy': 'p', RateLimit: 'r' }),
    },
  });

  test('knows only its own models', async () => {
    const scene = await open({ access: accessOf(['score'], ['text']) });
    for (const address of [path, '/v2/models/tensors/versions/1/infer']) {
      const answer = await post(scene.url + address, { inputs: [input] });
      expect(answer).toMatchObject({ status: 404, body: { code: 'model_not_found' } });
    }
    expect((await ask(`${scene.url}/v2/models/tensors`)).status).toBe(404);
    expect((await post(`${scene.url}/v2/repository/index`, {})).body).toMatchObject([
      { name: 'text' },
    ]);
  });

  test('needs the scope to score', async () => {
    const scene = await open({ access: accessOf(['jobs'], ['tensors']) });
    const answer = await post(scene.url + path, { inputs: [input] });
    expect(answer).toMatchObject({ status: 403, body: { code: 'scope_missing' } });
  });
});

describe('readiness', () => {
  test('of a model waits for its first worker, unless it scales from zero', async () => {
    const patient = makeSampleModel({ name: 'patient', scaling: { min: 1 } });
    const scene = await open({ models: [patient, model], workers: 0 });
    expect(await ask(`${scene.url}/v2/models/patient/ready`)).toMatchObject({
      status: 503,
      body: { name: 'patient', ready: false },
    });
    expect((await ask(`${scene.url}/v2/models/tensors/ready`)).status).toBe(200);
    const index = `${scene.url}/v2/repository/index`;
    expect((await post(index, {})).body).toEqual([
      { name: 'patient', version: '1', state: 'UNAVAILABLE', reason: 'no worker yet' },
      { name: 'tensors', version: '1', state: 'READY', reason: '' },
    ]);
    expect((await post(index, { ready: true })).body).toMatchObject([{ name: 'tensors' }]);
    const told = await open({
      models: [patient, model],
      workers: 0,
      configuration: { SCALE_FROM_ZERO: ['patient'] },
    });
    expect((await ask(`${told.url}/v2/models/patient/ready`)).status).toBe(200);
    expect((await ask(`${told.url}/v2/models/tensors/ready`)).status).toBe(503);
    for (const body of ['{"ready":', '[', 'x'.repeat(9000)]) {
      expect((await ask(index, { method: 'POST', body })).body.code).toBe('request_invalid');
    }
  });

  test('lists a model that could not be read, without the reason', async () => {
    const error = new ScorelineError('manifest_invalid', '/secret/path');
    const scene = await open({ leftOut: [{ name: 'broken', error }] });
    const { body } = await post(`${scene.url}/v2/repository/index`, {});
    expect(body.at(-1)).toEqual({
      name: 'broken',
      state: 'UNAVAILABLE',
      reason: 'manifest_invalid',
    });
  });
});
