// Tests the Open Inference Protocol through a real API, Redis and worker.

import { execFile } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageVersion } from '../../shared/version.js';
import { ask, post, root } from '../harness.js';
import { askGrpc, encodeInfer } from '../integration/grpc-client.js';
import { photograph, readEfficientNet, toPixels } from '../integration/photographs.js';
import { hasPython, requirements } from '../python.js';
import { type InferenceSite, openInferenceSite } from './inference-site.js';

let site: InferenceSite;
let url: string;

beforeAll(async () => {
  site = await openInferenceSite();
  url = site.service.url;
});

afterAll(() => site?.close());

const infer = (model: string, body: unknown, headers: Record<string, string> = {}) =>
  post(`${url}/v2/models/${model}/infer`, body, headers);

/** Sends JSON with bytes behind it, and returns the JSON and the bytes of the answer. */
async function inferBinary(model: string, json: unknown, ...binary: Uint8Array[]) {
  const head = Buffer.from(JSON.stringify(json));
  const response = await fetch(`${url}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'Inference-Header-Content-Length': String(head.length) },
    body: Buffer.concat([head, ...binary]),
  });
  const body = Buffer.from(await response.arrayBuffer());
  const length = Number(response.headers.get('inference-header-content-length') ?? body.length);
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    json: JSON.parse(body.toString('utf8', 0, length)),
    binary: body.subarray(length),
  };
}

const toBytes = ({ buffer }: Float32Array<ArrayBuffer>) => new Uint8Array(buffer);

const tensor = (name: string, datatype: string, shape: number[], data: unknown) => ({
  name,
  datatype,
  shape,
  data,
});

describe('a model of tensors', () => {
  const a = tensor('a', 'FP32', [2, 2], [1, 2, 3, 4]);
  const b = tensor(
    'b',
    'FP32',
    [2, 2],
    [
      [10, 20],
      [30, 40],
    ],
  );

  test('answers each output, by rows, with the id of the request', async () => {
    const { status, body, headers } = await infer('adder', { id: 'mine', inputs: [b, a] });
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(body).toEqual({
      model_name: 'adder',
      model_version: '1',
      id: 'mine',
      outputs: [
        { name: 'sum', datatype: 'FP32', shape: [2, 2], data: [11, 22, 33, 44] },
        { name: 'negated', datatype: 'FP32', shape: [2, 2], data: [-1, -2, -3, -4] },
      ],
    });
  });

  test('answers only the outputs asked for, in their order', async () => {
    const outputs = [{ name: 'negated' }, { name: 'sum' }];
    const { body } = await infer('adder/versions/1', { inputs: [a, b], outputs });
    expect(body.outputs.map(({ name }: { name: string }) => name)).toEqual(['negated', 'sum']);
    const one = await infer('adder', { inputs: [a, b], outputs: [{ name: 'sum' }] });
    expect(one.body.outputs).toHaveLength(1);
    expect(one.body).not.toHaveProperty('id');
  });

  test('gives many rows the answer that each gets alone', async () => {
    const rows = Array.from({ length: 100 }, (_, row) => [row, -row / 7]);
    const inputs = [
      tensor('a', 'FP32', [100, 2], rows),
      tensor('b', 'FP32', [100, 2], rows.toReversed()),
    ];
    const { body } = await infer('adder', { inputs, outputs: [{ name: 'sum' }] });
    const sums = rows.flatMap(([x = 0, y = 0], row) => [
      Math.fround(Math.fround(x) + Math.fround(99 - row)),
      Math.fround(Math.fround(y) + Math.fround(-(99 - row) / 7)),
    ]);
    expect(body.outputs).toEqual([{ name: 'sum', datatype: 'FP32', shape: [100, 2], data: sums }]);
  });

  test('says why its network refuses sizes that the manifest leaves open', async () => {
    const wide = tensor('b', 'FP32', [2, 3], [1, 2, 3, 4, 5, 6]);
    const { status, body } = await infer('adder', { inputs: [a, wide] });
    expect({ status, code: body.code }).toEqual({ status: 422, code: 'inputs_refused' });
    expect(body.error).toContain('running Add node');
  });

  test('without a batch dimension takes the tensor as it is', async () => {
    const inputs = [tensor('in', 'FP32', [3, 2], [1, 2, 3, 4, 5, 6])];
    const { body } = await infer('whole', { inputs });
    expect(body.outputs).toEqual([{ name: 'out', datatype: 'FP32', shape: [1, 1], data: [21] }]);
  });

  test('classifies an output', async () => {
    const outputs = [{ name: 'sum', parameters: { classification: 1 } }];
    const { body } = await infer('adder', { inputs: [a, b], outputs });
    expect(body.outputs).toEqual([
      { name: 'sum', datatype: 'BYTES', shape: [2, 1], data: ['22.000000:1', '44.000000:1'] },
    ]);
  });

  test('repeats the answer to a request with an Idempotency-Key, in another form too', async () => {
    const headers = { 'Idempotency-Key': 'adder-1' };
    const first = await infer('adder', { inputs: [a, b] }, headers);
    const second = await infer('adder', { id: 'again', inputs: [b, a] }, headers);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect(second.body).toEqual({ ...first.body, id: 'again' });
    const other = await infer('adder', { inputs: [{ ...a, data: [0, 0, 0, 0] }, b] }, headers);
    expect(other).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
  });

  test('repeats the answer by gRPC too, whichever way the first request came', async () => {
    const ask = (key: string, ...raw: Uint8Array[]) => {
      const inputs = [a, b].map(({ name, datatype, shape }) => ({ name, datatype, shape }));
      const fields = { model: 'adder', inputs, raw };
      const asked = { metadata: { 'idempotency-key': key } };
      return askGrpc(site.service.grpcPort, 'ModelInfer', encodeInfer(fields), asked);
    };
    const bytes = [Float32Array.of(1, 2, 3, 4), Float32Array.of(10, 20, 30, 40)].map(toBytes);
    const sums = Buffer.from(toBytes(Float32Array.of(11, 22, 33, 44)));
    const first = await ask('grpc-1', ...bytes);
    expect(first.bytes?.includes(sums)).toBe(true);
    expect(first.metadata).not.toHaveProperty('idempotency-replayed');
    const again = await ask('grpc-1', ...bytes);
    expect(again).toMatchObject({ code: 0, metadata: { 'idempotency-replayed': 'true' } });
    expect(again.bytes).toEqual(first.bytes);
    const byRest = await infer('adder', { inputs: [a, b] }, { 'Idempotency-Key': 'grpc-1' });
    expect(byRest.headers.get('idempotency-replayed')).toBe('true');
    expect(byRest.body.outputs[0].data).toEqual([11, 22, 33, 44]);
    const other = await ask('grpc-1', ...bytes.toReversed());
    expect(other).toMatchObject({
      code: status.FAILED_PRECONDITION,
      metadata: { 'error-code': 'idempotency_key_reused' },
    });
  });

  test('says by gRPC why its network refuses sizes that the manifest leaves open', async () => {
    const inputs = [a, { ...b, shape: [2, 3] }].map(({ name, datatype, shape }) => ({
      ...{ name, datatype, shape },
    }));
    const raw = [new Float32Array(4), new Float32Array(6)].map(toBytes);
    const message = encodeInfer({ model: 'adder', inputs, raw });
    const answer = await askGrpc(site.service.grpcPort, 'ModelInfer', message);
    expect(answer).toMatchObject({
      code: status.INVALID_ARGUMENT,
      metadata: { 'error-code': 'inputs_refused' },
    });
    expect(answer.details).toContain('running Add node');
  });
});

// Each datatype comes back in test/integration/conformance.test.ts.
test('tensors can be mixed, some in JSON and some in binary', async () => {
  const floats = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
  const inputs = [
    { name: 'b', datatype: 'FP32', shape: [3, 2], parameters: { binary_data_size: 24 } },
    tensor('a', 'FP32', [3, 2], [1, 1, 1, 1, 1, 1]),
  ];
  const outputs = [{ name: 'negated' }, { name: 'sum', parameters: { binary_data: true } }];
  const { json, binary } = await inferBinary('adder', { inputs, outputs }, floats);
  expect(json.outputs).toEqual([
    tensor('negated', 'FP32', [3, 2], [-1, -1, -1, -1, -1, -1]),
    { name: 'sum', datatype: 'FP32', shape: [3, 2], parameters: { binary_data_size: 24 } },
  ]);
  expect(binary).toEqual(Buffer.from(Float32Array.of(2, 3, 4, 5, 6, 7).buffer));
});

describe('the included models', () => {
  test('answer to texts as on their own route', async () => {
    const question = 'How do I make a real deep copy of an object?';
    const inputs = [tensor('text', 'BYTES', [2], [question, 'How do I sort an array?'])];
    const outputs = [{ name: 'probabilities', parameters: { classification: 2 } }];
    const { body } = await infer('faq-matcher', { inputs, outputs });
    const native = await post(`${url}/v1/models/faq-matcher/score`, { input: question });
    const [best] = native.body.predictions;
    const [given] = body.outputs[0].data[0].split(':');
    expect(body.outputs[0]).toMatchObject({ datatype: 'BYTES', shape: [2, 2] });
    expect(body.outputs[0].data[0]).toContain(`:${best.question}`);
    expect(Number(given)).toBeCloseTo(best.score, 5);
  });

  test('answer to pixels as on their own route', async () => {
    const { name: model, manifest } = readEfficientNet();
    const file = photograph('siamese-cat.jpg');
    const pixels = await toPixels(file, manifest.input);
    const { json, binary } = await inferBinary(
      model,
      {
        inputs: [
          {
            name: 'image',
            datatype: 'UINT8',
            shape: [1, 224, 224, 3],
            parameters: { binary_data_size: pixels.length },
          },
        ],
        parameters: { binary_data_output: true },
      },
      pixels,
    );
    expect(json.outputs).toMatchObject([{ name: 'probabilities', shape: [1, 1000] }]);
    const scores = new Float32Array(Uint8Array.from(binary).buffer);
    const native = await ask(`${url}/v1/models/${model}/score`, {
      method: 'POST',
      headers: { 'content-type': 'image/jpeg' },
      body: file,
    });
    const [best] = native.body.predictions;
    expect(Math.max(...scores)).toBeCloseTo(best.score, 5);
  });
});

describe('the description of service and models', () => {
  test('names the service and its extensions', async () => {
    const { body } = await ask(`${url}/v2`);
    expect(body).toEqual({
      name: 'scoreline',
      version: packageVersion(),
      extensions: [
        ...['binary_tensor_data', 'classification', 'parameters'],
        ...['model_configuration', 'model_repository', 'statistics'],
      ],
    });
  });

  test.each(['adder', 'adder/versions/1'])('says what %s takes and gives', async (name) => {
    const { body } = await ask(`${url}/v2/models/${name}`);
    const rows = { datatype: 'FP32', shape: [-1, -1] };
    expect(body).toEqual({
      name: 'adder',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: ['a', 'b'].map((input) => ({ name: input, ...rows })),
      outputs: ['sum', 'negated'].map((output) => ({ name: output, ...rows })),
    });
  });

  test('says how many rows a request may have, and what a row is', async () => {
    const { body } = await ask(`${url}/v2/models/adder/config`);
    expect(body).toMatchObject({
      name: 'adder',
      max_batch_size: 256,
      input: ['a', 'b'].map((name) => ({ name, data_type: 'TYPE_FP32', dims: [-1] })),
    });
    const whole = await ask(`${url}/v2/models/whole/versions/1/config`);
    expect(whole.body).toMatchObject({ max_batch_size: 0, input: [{ dims: [-1, -1] }] });
  });

  test('counts what was scored', async () => {
    const read = async () => (await ask(`${url}/v2/models/adder/stats`)).body.model_stats[0];
    const before = await read();
    const rows = tensor('a', 'FP32', [5, 1], [1, 2, 3, 4, 5]);
    await infer('adder', { inputs: [rows, { ...rows, name: 'b' }] });
    const after = await read();
    expect(after.inference_count - before.inference_count).toBe(5);
    expect(after.execution_count).toBeGreaterThan(before.execution_count);
    for (const part of ['success', 'queue', 'compute_input', 'compute_infer', 'compute_output']) {
      expect(after.inference_stats[part].count - before.inference_stats[part].count).toBe(1);
      expect(Number.isInteger(after.inference_stats[part].ns)).toBe(true);
    }
    const all = await ask(`${url}/v2/models/stats`);
    expect(all.body.model_stats).toHaveLength(site.models.length);
  });

  test('says which models are ready', async () => {
    const ready = await ask(`${url}/v2/models/adder/ready`);
    expect(ready).toMatchObject({ status: 200, body: { name: 'adder', ready: true } });
    for (const body of ['', '{}', '{"ready": true}']) {
      const index = await ask(`${url}/v2/repository/index`, { method: 'POST', body });
      expect(index.body).toContainEqual({
        name: 'adder',
        version: '1',
        state: 'READY',
        reason: '',
      });
      expect(index.body).toHaveLength(site.models.length);
    }
  });
});

test.each(['gzip', 'deflate', 'identity', 'gzip;q=0'])(
  'a long answer in JSON is compressed as the client accepts it: %s',
  async (accepted) => {
    const data = Array.from({ length: 400 }, (_, at) => at / 7);
    const init = (encoding: string) => ({
      method: 'POST',
      headers: { 'accept-encoding': encoding },
      body: JSON.stringify({ inputs: [tensor('in', 'FP64', [200, 2], data)] }),
    });
    const response = await fetch(`${url}/v2/models/echo-fp64/infer`, init(accepted));
    const isCompressed = accepted === 'gzip' || accepted === 'deflate';
    expect(response.headers.get('content-encoding')).toBe(isCompressed ? accepted : null);
    const { outputs } = (await response.json()) as { outputs: unknown[] };
    expect(outputs).toEqual([tensor('out', 'FP64', [200, 2], data)]);
  },
);

/** Runs a script of Python with the packages of a file, and expects that all of its checks pass. */
async function runChecks(packages: string, script: string, ...parameters: string[]): Promise<void> {
  const environment = { ...process.env, NO_PROXY: '127.0.0.1,localhost' };
  const file = path.join(root, 'test/end-to-end', script);
  const run = [path.join(root, 'dist/cli/python.js'), packages, file, ...parameters];
  const { stdout } = await promisify(execFile)(process.execPath, run, { env: environment });
  expect(stdout).toContain('all checks passed');
}

describe.skipIf(!hasPython)("NVIDIA's client for Triton (needs Python 3.11)", () => {
  const timeout = 600_000;

  test('works unchanged by REST', { timeout }, () =>
    runChecks(requirements, 'triton_client.py', new URL(url).host),
  );

  test('works unchanged by gRPC', { timeout }, () =>
    runChecks(requirements, 'triton_grpc_client.py', `127.0.0.1:${site.service.grpcPort}`),
  );
});

test.skipIf(!hasPython || process.env.KSERVE === undefined)(
  "KServe's client works unchanged (needs Python 3.11 and 0.5 GB; asked for by KSERVE=1)",
  { timeout: 600_000 },
  () =>
    runChecks(
      'test/kserve-requirements.txt',
      'kserve_client.py',
      url,
      `127.0.0.1:${site.service.grpcPort}`,
    ),
);
