// The TypeScript client against a real API, Redis and worker.

import { openAsBlob } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';
import {
  type ClassPrediction,
  type Inference,
  type NumberPrediction,
  type Score,
  ScorelineClient,
} from '../../client/client.js';
import { type Datatype, datatypes } from '../../shared/tensors/tensors.js';
import { ask, root } from '../harness.js';
import { photograph } from '../integration/photographs.js';
import { listenOnFreePort } from '../peer.js';
import { type InferenceSite, openInferenceSite } from './inference-site.js';

let site: InferenceSite;
let url: string;
let client: ScorelineClient;

beforeAll(async () => {
  site = await openInferenceSite();
  url = site.service.url;
  client = new ScorelineClient({ url });
});

afterAll(() => site?.close());

const question = 'copy an object';
const cat = 'siamese-cat.jpg';
const house = { rooms: 4, area: 120, year: 1990 };

describe('score', () => {
  test('answers to a text, with as many classes as asked for', async () => {
    const score = await client.score('faq-matcher', question, { top: 2, version: '1' });
    expect(score).toMatchObject({ model: 'faq-matcher', version: '1', known: true });
    expect(score.predictions).toHaveLength(2);
    expect(score.timing.batchSize).toBe(1);
  });

  test('answers to the bytes of a picture, in every form in which a platform has them', async () => {
    const bytes = photograph(cat);
    const blob = await openAsBlob(path.join(root, 'test/photographs', cat));
    const forms = [
      bytes,
      new Uint8Array(bytes),
      new Uint8Array(bytes).buffer,
      new DataView(new Uint8Array(bytes).buffer),
      sharedCopy(bytes),
      // Of another realm, as in a sandbox of tests.
      runInNewContext('Uint8Array.from(bytes).buffer', { bytes }),
      blob,
      new Blob([blob], { type: 'image/jpeg' }),
      new Blob([blob], { type: 'application/x-anything' }),
    ];
    for (const form of forms) {
      const { predictions } = await client.score<ClassPrediction>('efficientnet-lite0', form, {
        top: 1,
      });
      expect(predictions).toMatchObject([{ label: 'Siamese cat, Siamese', id: 'n02123597' }]);
    }
  });

  test('answers to a row of a table', async () => {
    const { models } = await client.models();
    const input = models.find(({ name }) => name === 'breast-cancer')?.input;
    if (input?.kind !== 'table') throw new Error('Expected a table.');
    const row = Object.fromEntries(input.columns.map(({ name }, at) => [name, at]));
    const { predictions } = await client.score<ClassPrediction>('breast-cancer', row);
    expect(predictions.map(({ label }) => label).toSorted()).toEqual(['benign', 'malignant']);
  });

  test('fails with the problem of the service', async () => {
    await expect(client.score('faq-matcher', question, { top: 0 })).rejects.toMatchObject({
      name: 'ScorelineError',
      code: 'parameter_invalid',
      status: 400,
      message: expect.stringContaining('Expected "top"'),
      problem: { type: 'urn:scoreline:error:parameter_invalid' },
      requestId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    const unknown = client.score('nobody', question, { requestId: 'mine' });
    await expect(unknown).rejects.toMatchObject({ code: 'model_not_found', requestId: 'mine' });
  });

  test('that is sent again when the answer was lost is scored once', async () => {
    const before = await countRows('houses');
    const relay = await openRelay();
    const throughRelay = new ScorelineClient({ url: relay.url });
    const { predictions } = await throughRelay.score<NumberPrediction>('houses', house);
    expect(predictions).toEqual([{ value: expect.any(Number) }]);
    expect(relay.connections()).toBe(2);
    const after = await countRows('houses');
    expect(after).toEqual({ scored: before.scored + 1, repeated: before.repeated + 1 });
  });
});

describe('infer', () => {
  const samples: Record<Datatype, { data: ArrayBufferView | readonly unknown[]; out?: unknown }> = {
    BOOL: { data: [true, false] },
    UINT8: { data: Uint8Array.of(0, 255) },
    UINT16: { data: Uint16Array.of(0, 65535) },
    UINT32: { data: Uint32Array.of(0, 4294967295) },
    UINT64: { data: BigUint64Array.of(0n, 18446744073709551615n) },
    INT8: { data: Int8Array.of(-128, 127) },
    INT16: { data: Int16Array.of(-32768, 7) },
    INT32: { data: Int32Array.of(-2147483648, 7) },
    INT64: { data: BigInt64Array.of(-9223372036854775808n, 7n) },
    FP16: { data: Uint16Array.of(0xbe00, 0x7bff), out: Float32Array.of(-1.5, 65504) },
    FP32: { data: Float32Array.of(-1.5, Number.POSITIVE_INFINITY) },
    FP64: { data: Float64Array.of(0.1, Number.NaN) },
    BYTES: { data: ['äö😀', ''] },
  };

  test.each(datatypes)(
    'takes and answers typed arrays, at once and as a job: %s',
    async (datatype) => {
      const { data, out = data } = samples[datatype];
      const model = `echo-${datatype.toLowerCase()}`;
      // Only FP16 has to be named.
      const given = datatype === 'FP16' ? { datatype } : {};
      const request = {
        id: 'mine',
        inputs: [{ name: 'in', shape: [1, 2], data: data as never, ...given }],
      };
      const inference = await client.infer(model, request);
      const expected = { out: { name: 'out', datatype, shape: [1, 2], data: out } };
      expect(inference).toEqual({ model, version: '1', id: 'mine', outputs: expected });
      const { result } = await client.wait(await client.submitTensors(model, request));
      expect(result).toEqual(inference);
    },
  );

  test('takes other forms of data: views, bytes as booleans, plain numbers with their datatype', async () => {
    const view = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
    const cases = [
      ['echo-fp32', { data: view }, Float32Array.of(1, 2)],
      [
        'echo-fp32',
        { data: [1.5, Number.NaN], datatype: 'FP32' },
        Float32Array.of(1.5, Number.NaN),
      ],
      ['echo-fp16', { data: [0.5, 2], datatype: 'FP16' }, Float32Array.of(0.5, 2)],
      ['echo-bool', { data: Uint8Array.of(1, 0), datatype: 'BOOL' }, [true, false]],
      ['echo-uint8', { data: Uint8ClampedArray.of(1, 300) }, Uint8Array.of(1, 255)],
      ['echo-uint8', { data: Buffer.from([1, 2]) }, Uint8Array.of(1, 2)],
      ['echo-bytes', { data: [Buffer.from('äö😀'), new Uint8Array()] }, ['äö😀', '']],
    ] as const;
    for (const [model, tensor, expected] of cases) {
      const { outputs } = await client.infer(model, {
        inputs: [{ name: 'in', shape: [1, 2], ...tensor }],
      });
      expect(outputs.out?.data).toEqual(expected);
    }
  });

  test('answers the outputs that are asked for, also as classes', async () => {
    const inputs = ['a', 'b'].map((name) => ({ name, shape: [1, 2], data: Float32Array.of(1, 2) }));
    const { outputs } = await client.infer('adder', {
      inputs,
      outputs: ['negated', { name: 'sum', classification: 1 }],
    });
    expect(Object.keys(outputs)).toEqual(['negated', 'sum']);
    expect(outputs.sum?.data).toEqual(['4.000000:1']);
  });

  test('fails with the error of the protocol, as a problem', async () => {
    const inputs = [{ name: 'a', shape: [1, 3], data: Float32Array.of(1, 2) }];
    await expect(client.infer('adder', { inputs })).rejects.toMatchObject({
      code: 'tensor_invalid',
      status: 400,
      problem: { type: 'urn:scoreline:error:tensor_invalid', code: 'tensor_invalid' },
    });
  });
});

describe('a job', () => {
  test('is submitted, waited for, read, and listed', async () => {
    const submitted = await client.submit('faq-matcher', question, { top: 2, deadlineMs: 30_000 });
    const ended = await client.wait(submitted);
    expectTypeOf(ended.result).toEqualTypeOf<Score>();
    const byId = await client.wait(submitted.id);
    expectTypeOf(byId.result).toEqualTypeOf<Score | Inference>();
    expect(byId).toEqual(ended);
    const { predictions } = await client.score('faq-matcher', question, { top: 2 });
    expect(ended).toMatchObject({ id: submitted.id, state: 'succeeded', result: { predictions } });
    expect(await client.job(submitted.id)).toEqual(ended);
    const spent = Date.parse(ended.deadlineAt) - Date.parse(ended.submittedAt);
    expect(spent).toBeLessThanOrEqual(30_000);
  });

  test('is listed in pages', async () => {
    const ids: string[] = [];
    for (let sent = 0; sent < 3; sent++) {
      const { id } = await client.submit('houses', house);
      ids.unshift(id);
      await client.wait(id);
    }
    const first = await client.jobs({ model: 'houses', state: 'succeeded', limit: 2 });
    const second = await client.jobs({ model: 'houses', limit: 2, after: first.next });
    const listed = [...first.jobs, ...second.jobs].map(({ id }) => id);
    expect(listed).toEqual(ids);
    expect(second.next).toBeUndefined();
  });

  test('that has ended cannot be cancelled', async () => {
    const { id } = await client.wait(await client.submit('faq-matcher', question));
    await expect(client.cancel(id)).rejects.toMatchObject({ code: 'job_finished', status: 409 });
    await expect(client.job('nobody')).rejects.toMatchObject({ code: 'job_not_found' });
  });
});

/** Copies bytes into memory that threads share. */
function sharedCopy(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

/** Counts the rows of a model that were scored, and those whose result was kept from before. */
async function countRows(model: string): Promise<{ scored: number; repeated: number }> {
  const { body } = await ask(`${url}/v2/models/${model}/stats`);
  const [{ inference_count: scored, inference_stats: stats }] = body.model_stats;
  return { scored, repeated: stats.cache_hit.count };
}

/** A relay that drops the first connection when the answer comes. */
async function openRelay() {
  let connections = 0;
  const { port } = new URL(url);
  const relay = createServer((socket) => {
    const isFirst = ++connections === 1;
    const upstream = connect(Number(port), '127.0.0.1');
    for (const each of [socket, upstream]) each.on('error', () => {});
    socket.pipe(upstream);
    if (isFirst) upstream.once('data', () => void socket.destroy());
    else upstream.pipe(socket);
    socket.once('close', () => upstream.destroy());
  });
  return {
    url: `http://127.0.0.1:${await listenOnFreePort(relay)}`,
    connections: () => connections,
  };
}
