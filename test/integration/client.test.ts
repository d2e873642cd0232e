// The TypeScript client against a server that answers as each test says: late, wrongly, or not at all.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { openAsBlob } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { inspect, promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { openCall } from '../../client/call.js';
import { type ClientOptions, ScorelineClient, ScorelineError } from '../../client/client.js';
import { makeExchange } from '../../client/exchange.js';
import { openLimit, sleep } from '../../client/limit.js';
import { inPieces, separators } from '../event-pieces.js';
import { root, waitUntil } from '../harness.js';
import {
  type Answer,
  cutOff,
  events,
  hangUp,
  json,
  nothing,
  openPeer as openServer,
  problem,
  stop,
} from '../peer.js';

const run = promisify(execFile);
const key = 'scl_ogfBMf6UI0_secretsecretsecretsecretsecretsecre';
const score = {
  model: 'm',
  version: '1',
  id: 'x',
  predictions: [{ label: 'a', score: 1 }],
  timing: { queueMs: 0, batchMs: 0, computeMs: 0, batchSize: 1 },
};
const job = {
  id: 'j',
  state: 'queued',
  model: 'm',
  version: '1',
  submittedAt: '2026-01-01T00:00:00Z',
  deadlineAt: '2026-01-01T01:00:00Z',
};

/** Starts a server, and opens clients of it. */
async function openPeer(...answers: Answer[]) {
  const peer = await openServer(...answers);
  const { url } = peer;
  const open = (options: Partial<ClientOptions> = {}) => new ScorelineClient({ url, ...options });
  return { ...peer, open };
}

/** An end that looks like one that was meant. */
const damaged: Answer = (response) => {
  response
    .writeHead(200, { 'Content-Type': 'application/json' })
    .end('{"model":"m","predictions":[');
};

async function failureOf(promise: Promise<unknown>): Promise<ScorelineError> {
  const thrown = await promise.then(
    () => undefined,
    (error) => error,
  );
  expect(thrown).toBeInstanceOf(ScorelineError);
  return thrown;
}

test('takes null for an option that is unset', async () => {
  const peer = await openPeer(json(score));
  const unset = {
    ...{ idempotencyKey: null, top: null, version: null, deadlineMs: null, priority: null },
    ...{ retries: null, requestId: null, timeoutMs: null, signal: null },
  };
  const client = peer.open({ timeoutMs: null, retries: null } as object);
  for (const _ of [1, 2]) await client.score('m', 'text', unset as object);
  const [first, second] = peer.keys();
  expect(first).toMatch(/^[0-9a-f]{32}$/);
  expect(second).not.toBe(first);
  expect(peer.requests[0]?.url).toBe('/v1/models/m/score');
});

test.each([
  ['FP32', [0, 0, 0, 0]],
  ['BYTES', [9, 0, 0, 0, 97, 98, 99, 100]],
])('takes no tensor of %s whose bytes are missing', async (datatype, bytes) => {
  const size = datatype === 'BYTES' ? bytes.length : 8;
  const output = { name: 'o', datatype, shape: [1], parameters: { binary_data_size: size } };
  const head = JSON.stringify({ model_name: 'm', model_version: '1', outputs: [output] });
  const peer = await openPeer((response) => {
    response.setHeader('Inference-Header-Content-Length', head.length);
    response.end(Buffer.concat([Buffer.from(head), Buffer.from(bytes)]));
  });
  const error = await failureOf(peer.open({ retries: 1 }).infer('m', { inputs: [] }));
  expect(error.code).toBe('answer_unexpected');
  expect(peer.requests).toHaveLength(2);
});

describe('texts of an output', () => {
  const answer = (...bytes: number[]): Answer => {
    const output = { name: 'o', datatype: 'BYTES', shape: [1] };
    const parameters = { binary_data_size: bytes.length + 4 };
    const outputs = [{ ...output, parameters }];
    const head = JSON.stringify({ model_name: 'm', model_version: '1', outputs });
    return (response) => {
      response.setHeader('Inference-Header-Content-Length', head.length);
      response.end(Buffer.from([...Buffer.from(head), bytes.length, 0, 0, 0, ...bytes]));
    };
  };

  test('are an error if they are not UTF-8', async () => {
    const peer = await openPeer(answer(0x61, 0xff));
    const error = await failureOf(peer.open().infer('m', { inputs: [] }));
    expect(error).toMatchObject({ code: 'answer_unexpected' });
    expect(error.message).toContain('UTF-8 in the output "o"');
    expect(peer.requests).toHaveLength(1);
  });

  test('keep their byte order mark', async () => {
    const peer = await openPeer(answer(0xef, 0xbb, 0xbf, 0x61));
    const { outputs } = await peer.open().infer('m', { inputs: [] });
    expect(outputs.o?.data).toEqual(['\ufeffa']);
  });
});

describe('an answer that is not that of the contract', () => {
  const accepted = { id: 'j', state: 'queued' };
  test.each<[what: string, Answer, ask: (client: ScorelineClient) => Promise<unknown>]>([
    ['{}', json({}), (client) => client.score('m', 'text')],
    ['null', json(null as never), (client) => client.score('m', 'text')],
    ['a list', json([] as never), (client) => client.score('m', 'text')],
    ['a job', json(accepted, 202), (client) => client.score('m', 'text')],
    ['HTML', (response) => response.end('<html>'), (client) => client.score('m', 'text')],
    ['a score, for tensors', json(score), (client) => client.infer('m', { inputs: [] })],
    ['a score, for a job', json(score), (client) => client.submit('m', 'text')],
    ['a score, to wait for', json(score), (client) => client.wait('j')],
    ['a score, for a list', json(score), (client) => client.jobs()],
    ['a score, for the models', json(score), (client) => client.models()],
    ['no predictions', json({ ...score, predictions: null }), (client) => client.score('m', 'a')],
    ['a text for a list', json({ jobs: 'none' }), (client) => client.jobs()],
    ['no result', json({ ...job, state: 'succeeded' }), (client) => client.wait('j')],
    ['no problem', json({ ...job, state: 'failed' }), (client) => client.job('j')],
    ['another state', json({ ...job, state: 'lost' }), (client) => client.wait('j')],
  ])('is an error at once: %s', async (_what, answer, ask) => {
    const peer = await openPeer(answer);
    const error = await failureOf(ask(peer.open()));
    expect(error).toMatchObject({ code: 'answer_unexpected', isRetryable: false });
    expect(peer.requests).toHaveLength(1);
  });
});

describe('an output that is not what it says', () => {
  const output = { name: 'o', datatype: 'FP32', shape: [2] };
  const said = (bytes: unknown) => ({ parameters: { binary_data_size: bytes } });
  test.each<[what: object | null, binary: string]>([
    [{ shape: [2, 2], ...said(8) }, 'aaaabbbb'],
    [{ shape: [-1, -2], ...said(8) }, 'aaaabbbb'],
    [{ shape: null, ...said(8) }, 'aaaabbbb'],
    [{ ...said(7) }, 'aaaabbb'],
    [{ ...said(-4) }, 'aaaabbb'],
    [{ ...said('8') }, 'aaaabbbb'],
    [{ datatype: 'BF16', ...said(4) }, 'aabb'],
    [{}, ''],
    [{ data: [1] }, ''],
    [{ data: [1, null] }, ''],
    [{ data: [1, 'one'] }, ''],
    [{ datatype: 'INT8', data: [1, 300] }, ''],
    [{ datatype: 'INT8', data: [1, 1.5] }, ''],
    [{ datatype: 'UINT64', data: ['1', '-1'] }, ''],
    [{ datatype: 'INT64', data: ['1', 'one'] }, ''],
    [{ datatype: 'BOOL', data: [true, 1] }, ''],
    [{ datatype: 'BYTES', data: ['a', 1] }, ''],
    [null, ''],
  ])('is an error at once, in an answer and in a job: %j', async (what, binary) => {
    const outputs = what && [{ ...output, ...what }];
    const result = { model_name: 'm', model_version: '1', outputs };
    const head = JSON.stringify(result);
    const answer: Answer = (response) => {
      response.setHeader('Inference-Header-Content-Length', head.length);
      response.end(head + binary);
    };
    const peer = await openPeer(answer, json({ ...job, state: 'succeeded', result }));
    const client = peer.open();
    const error = await failureOf(client.infer('m', { inputs: [] }));
    expect(error).toMatchObject({ code: 'answer_unexpected', isRetryable: false });
    if (binary === '') {
      expect(await failureOf(client.wait('j'))).toMatchObject({ code: 'answer_unexpected' });
    }
    expect(peer.requests).toHaveLength(binary === '' ? 2 : 1);
  });
});

test('takes no answer for a text that is not UTF-8', async () => {
  const bytes = Buffer.from(JSON.stringify({ ...score, id: 'ä' }), 'latin1');
  const peer = await openPeer((response) => response.end(bytes));
  expect(await failureOf(peer.open().score('m', 'text'))).toMatchObject({
    code: 'answer_unexpected',
  });
});

describe('numbers that JavaScript would round', () => {
  const withValue = (value: string) =>
    JSON.stringify({ ...score, predictions: [] }).replace('[]', `[{"value":${value}}]`);
  const text = (body: string): Answer => {
    return (response) => {
      response.setHeader('Content-Type', 'application/json');
      response.end(body);
    };
  };
  const jobText = (value: string) =>
    JSON.stringify({ ...job, state: 'succeeded', result: 0 }).replace(
      '"result":0',
      `"result":${withValue(value)}`,
    );

  test.each(['9007199254740993', '-9007199254740993', '1'.repeat(400)])(
    'are an error in an answer and in a job: %s',
    async (value) => {
      const peer = await openPeer(text(withValue(value)), text(jobText(value)));
      const client = peer.open();
      for (const ask of [() => client.score('m', 'text'), () => client.wait('j')]) {
        const error = await failureOf(ask());
        expect(error).toMatchObject({ code: 'answer_unexpected', isRetryable: false });
        expect(error.message).toContain(value.slice(0, 60));
      }
      expect(peer.requests).toHaveLength(2);
    },
  );

  test.each([
    ['9007199254740992', 2 ** 53],
    ['1234567890123456', 1234567890123456],
    ['100000000000000000000', 1e20],
    ['0.30000000000000004', 0.1 + 0.2],
    ['-0.0', -0],
    ['1.7976931348623157e+308', Number.MAX_VALUE],
  ])('are not those that it holds: %s', async (value, expected) => {
    const peer = await openPeer(text(withValue(value)));
    const { predictions } = await peer.open().score('m', 'text');
    expect(predictions[0]).toEqual({ value: expected });
  });

  test('are sent as they are, or refused', async () => {
    const bodies: Promise<string>[] = [];
    const peer = await openPeer((response, request) => {
      bodies.push(readText(request));
      json({ model_name: 'm', model_version: '1', outputs: [] })(response, request);
    });
    const client = peer.open();
    const send = (data: readonly (number | bigint)[], datatype: 'INT64' | 'FP64') =>
      client.infer('m', { inputs: [{ name: 'a', datatype, shape: [data.length], data } as never] });
    await send([1, -9007199254740993n], 'INT64');
    await send([2 ** 60], 'FP64');
    const sent = (await Promise.all(bodies)).map((body) => JSON.parse(body).inputs[0].data);
    expect(sent).toEqual([[1, '-9007199254740993'], [2 ** 60]]);
    await expect(send([2 ** 60], 'INT64')).rejects.toThrow(
      /"a" beyond 2 \*\* 53 as BigInt.*115292150/,
    );
    expect(peer.requests).toHaveLength(2);
  });
});

test('rounds no whole numbers of 64 bits in a score, whether it comes now or as a job', async () => {
  const large = (...data: unknown[]) => [{ name: 'n', datatype: 'INT64', shape: [2], data }];
  const floats = [{ name: 'f', datatype: 'FP64', shape: [1], data: [1e20] }];
  const answer = {
    ...score,
    predictions: large(7, '-9016206453995731991'),
    outputs: { more: large(1000000000000000, '9223372036854775807'), floats },
  };
  const written = JSON.stringify(answer).replace(/"(-?\d{19})"/g, '$1');
  const done = `{"id":"j","state":"succeeded","result":${written}}`;
  const write = (body: string) => (response: ServerResponse) => void response.end(body);
  const peer = await openPeer(write(written), write(done));
  expect(await peer.open().score('m', { a: 1 })).toEqual(answer);
  expect(await peer.open().job('j')).toMatchObject({ result: answer });
});

describe('what may be tried again', () => {
  test.each<[string, Answer]>([
    ['429', problem(429, 'overloaded')],
    ['503', problem(503, 'queue_unavailable')],
    ['a connection that is lost before the answer', hangUp],
    ['a connection that is lost within the answer', cutOff],
    ['the 502 of a proxy', json('no such upstream', 502)],
    ['an answer of which a part is missing', damaged],
  ])('is, by the same key: %s', async (_, answer) => {
    const peer = await openPeer(answer, answer, json(score));
    expect(await peer.open().score('m', 'text')).toEqual(score);
    expect(peer.requests).toHaveLength(3);
    const [first, ...others] = peer.keys();
    expect(first).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(others)).toEqual(new Set([first]));
    const ids = peer.requests.map(({ headers }) => headers['x-request-id']);
    expect(new Set(ids).size).toBe(1);
  });

  test.each<[number, string]>([
    [400, 'input_invalid'],
    [401, 'key_unknown'],
    [404, 'model_not_found'],
    [422, 'idempotency_key_reused'],
    [500, 'model_failed'],
    [504, 'deadline_exceeded'],
  ])('is not %i %s, which is told as it is', async (status, code) => {
    const peer = await openPeer(problem(status, code, { 'X-Request-Id': 'theirs' }));
    const error = await failureOf(peer.open().score('m', 'text'));
    expect(error).toMatchObject({
      ...{ name: 'ScorelineError', message: 'Because.', status, code, isRetryable: false },
      ...{ requestId: 'theirs', problem: { status, code, detail: 'Because.' } },
    });
    expect(peer.requests).toHaveLength(1);
  });

  test('has another key in each call, that of its caller, or none', async () => {
    const peer = await openPeer(json(score));
    const client = peer.open();
    await client.score('m', 'text');
    await client.score('m', 'text');
    await client.score('m', 'text', { idempotencyKey: 'mine' });
    await client.score('m', 'text', { idempotencyKey: false });
    const [first, second, ...others] = peer.keys();
    expect(first).not.toBe(second);
    expect(others).toEqual(['mine', undefined]);
  });

  test('has the priority of its caller, and a job the address that is told', async () => {
    const peer = await openPeer(json(score), json(score), json(job, 202));
    const client = peer.open();
    await client.score('m', 'text');
    await client.score('m', 'text', { priority: '' as 'bulk' });
    await client.submit('m', 'text', { priority: 'bulk', webhookUrl: 'https://example.org/x' });
    const headers = peer.requests.map(({ headers }) => [
      headers['x-priority'],
      headers['webhook-url'],
    ]);
    expect(headers).toEqual([
      [undefined, undefined],
      ['', undefined],
      ['bulk', 'https://example.org/x'],
    ]);
  });

  test('waits for at least as long as Retry-After says, in seconds or as a date', async () => {
    const date = new Date(Date.now() + 3000).toUTCString();
    const peer = await openPeer(
      problem(429, 'overloaded', { 'Retry-After': '1' }),
      problem(503, 'shutting_down', { 'Retry-After': date }),
      json(score),
    );
    const startedAt = Date.now();
    await peer.open().score('m', 'text');
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(1000);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(date));
  });

  test('is not when there is no time left, or no retry', async () => {
    const peer = await openPeer(problem(429, 'overloaded', { 'Retry-After': '30' }));
    const error = await failureOf(peer.open({ timeoutMs: 20_000 }).score('m', 'text'));
    expect(error).toMatchObject({ code: 'overloaded', retryAfterMs: 30_000, isRetryable: true });
    await failureOf(peer.open({ retries: 0 }).score('m', 'text'));
    expect(peer.requests).toHaveLength(2);
  });
});

/** Each line stands for a platform: what is there besides the things of Node. */
test.each([
  ['Node', '', ' (ECONNREFUSED).'],
  ['Deno', 'globalThis.location = undefined;', ' (ECONNREFUSED).'],
  [
    'Bun',
    'const { fetch } = globalThis; globalThis.fetch = (...all) => fetch(...all).catch(({ cause }) => { throw cause; });',
    ' (ECONNREFUSED).',
  ],
  ['a page', 'globalThis.location = new URL("http://app.example");', 'CORS_ORIGINS'],
])('a connection that fails has advice for pages in pages alone: %s', async (_, before, told) => {
  const program = `${before}
    const { ScorelineClient } = await import(${JSON.stringify(pathToFileURL(path.join(root, 'dist/client/client.js')))});
    const client = new ScorelineClient({ url: 'http://127.0.0.1:2', retries: 0 });
    await client.score('m', 'text').catch(({ message }) => console.log(message));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program]);
  expect(stdout).toContain(told);
  expect(stdout.includes('CORS_ORIGINS')).toBe(told === 'CORS_ORIGINS');
});

describe('the limits of a call', () => {
  test('end it when its time is over, and say why the attempt before failed', async () => {
    const peer = await openPeer(problem(503, 'queue_unavailable'), nothing);
    const error = await failureOf(peer.open({ timeoutMs: 3000 }).score('m', 'text'));
    expect(error.code).toBe('timed_out');
    expect(error.message).toMatch(/within 3000 ms.*The attempt before failed: Because\./);
    expect(error.cause).toMatchObject({ code: 'queue_unavailable' });
  });

  test('hold for pauses that no timer is long enough for', async () => {
    const { signal, ...controller } = openLimit({});
    const slept = sleep(2 ** 32, signal).then(() => 'slept');
    slept.catch(() => {});
    expect(await Promise.race([slept, delay(100, 'sleeps')])).toBe('sleeps');
    controller.close();
    await expect(slept).rejects.toThrow();
  });

  test('tell the service how long the caller waits', async () => {
    const peer = await openPeer(json(score));
    const client = peer.open({ timeoutMs: 5000 });
    await client.score('m', 'text', { deadlineMs: 3000, top: 2, version: '7' });
    await client.score('m', 'text', { timeoutMs: Number.POSITIVE_INFINITY });
    const [first, second] = peer.requests;
    expect(first?.url).toBe('/v1/models/m/versions/7/score?top=2&deadlineMs=3000');
    const seconds = Number(first?.headers['request-timeout']);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(5);
    expect(second?.headers).not.toHaveProperty('request-timeout');
  });

  test.each<[string, Answer[]]>([
    ['a request', [nothing]],
    ['the body of an answer', [(response) => response.writeHead(200).write('{')]],
    ['a pause between attempts', [problem(429, 'overloaded', { 'Retry-After': '30' })]],
  ])('end %s when the signal of the caller aborts', async (_, answers) => {
    const peer = await openPeer(...answers);
    const controller = new AbortController();
    const { signal } = controller;
    const call = peer.open().score('m', 'text', { signal });
    await waitUntil('a request has come', () => peer.requests.length > 0);
    const reason = new Error('changed my mind');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await waitUntil('nothing is asked any more', peer.isOver);
  });

  test.each(['an answer', 'events'])(
    'end %s whose gzip is damaged, which Node 20 waits for and Node 24 reports',
    async (what) => {
      const bytes = gzipSync(randomBytes(10_000).toString('hex'));
      bytes.fill(0xff, 5000, 5002);
      const type = what === 'events' ? 'text/event-stream' : 'application/json';
      const headers = { 'Content-Type': type, 'Content-Encoding': 'gzip' };
      const peer = await openPeer((response) => {
        response.writeHead(200, { ...headers, 'Content-Length': bytes.length }).flushHeaders();
        setTimeout(() => response.end(bytes), 50);
      });
      const client = peer.open();
      const limits = { timeoutMs: 500, retries: 0 };
      const asked =
        what === 'events' ? client.events('j', limits).next() : client.score('m', 'text', limits);
      const code = expect.stringMatching(/^(timed_out|connection_failed)$/);
      expect(await failureOf(asked)).toMatchObject({ code });
    },
  );

  test('are not begun if the signal has aborted', async () => {
    const peer = await openPeer(json(score));
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(peer.open().score('m', 'text', { signal })).rejects.toThrow('too late');
    expect(peer.requests).toEqual([]);
  });

  test('leave no listener on the signal of the caller', async () => {
    const peer = await openPeer(json(score));
    const { signal } = new AbortController();
    for (let call = 0; call < 20; call++) await peer.open().score('m', 'text', { signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('the address and the key', () => {
  test('may have a path before that of the service', async () => {
    const peer = await openPeer(json(score), json(score), json({ models: [] }));
    for (const path of ['/a/b', '/a/b/']) {
      await peer.open({ url: peer.url + path }).score('a name', 'text');
    }
    await peer.open({ url: new URL(peer.url) }).models();
    const urls = peer.requests.map(({ url }) => url);
    const scoring = '/a/b/v1/models/a%20name/score';
    expect(urls).toEqual([scoring, scoring, '/v1/models']);
  });

  test('go into one header, also as a function that is asked each time', async () => {
    const peer = await openPeer(problem(503, 'queue_unavailable'), json(score));
    const keys = ['first', 'second'];
    await peer.open({ key: async () => keys.shift() as string }).score('m', 'text');
    const shown = peer.requests.map(({ headers }) => headers.authorization);
    expect(shown).toEqual(['Bearer first', 'Bearer second']);
    const others = peer.requests.map(({ url, headers }) => [url, headers['x-api-key']]);
    expect(others).toEqual([
      ['/v1/models/m/score', undefined],
      ['/v1/models/m/score', undefined],
    ]);
  });

  test.each<[string, Answer]>([
    ['an answer', problem(401, 'key_unknown')],
    ['a lost connection', hangUp],
    ['a redirect', (response) => response.writeHead(308, { Location: '/elsewhere' }).end()],
    ['another body', (response) => response.end('<html>')],
  ])('are in no error of %s', async (_, answer) => {
    const peer = await openPeer(answer);
    const client = peer.open({ key, retries: 1 });
    const error = await failureOf(client.score('m', 'text'));
    const seen = [error.stack, JSON.stringify(error), inspect(error, { depth: 10 })];
    seen.push(inspect(client, { depth: 10, showHidden: true }), JSON.stringify(client));
    expect(seen.join()).not.toContain('secretsecret');
  });

  test.each(['two words', 'line\nbreak', 'Ä', '', 7])('refuse the key %j, unseen', async (bad) => {
    const options = { url: 'http://localhost', key: bad as string };
    expect(() => new ScorelineClient(options)).toThrow(/key .* printable ASCII .*something else/);
    const client = new ScorelineClient({ ...options, key: () => bad as string });
    await expect(client.models()).rejects.toThrow(/something else/);
  });

  test.each([
    ['no url', /url to be the address/],
    ['ftp://host', /url to begin with http/],
    ['http://me:secretsecret@host', /without a user and a password/],
    ['http://host/?a=b', /without \? and #/],
  ])('refuse %s', (url, expected) => {
    const open = () => new ScorelineClient({ url });
    expect(open).toThrow(expected);
    expect(open).not.toThrow(/secretsecret/);
  });

  test('are waited for no longer than the call may take', async () => {
    const peer = await openPeer(json(score));
    const client = peer.open({ key: () => new Promise<string>(() => {}), timeoutMs: 200 });
    expect(await failureOf(client.models())).toMatchObject({ code: 'timed_out' });
    const signal = AbortSignal.timeout(100);
    await expect(client.models({ signal, timeoutMs: 60_000 })).rejects.toThrow(/due to timeout/);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(peer.requests).toEqual([]);
  });

  test('are not sent after a redirect', async () => {
    const peer = await openPeer((response) =>
      response.writeHead(308, { Location: 'https://elsewhere.example/' }).end(),
    );
    const error = await failureOf(peer.open({ key }).score('m', 'text'));
    expect(error).toMatchObject({ code: 'answer_unexpected', status: 308 });
    expect(error.message).toMatch(/redirects to https:\/\/elsewhere\.example/);
    expect(peer.requests).toHaveLength(1);
  });
});

/** Memory that was handed to another thread. */
function detached(): ArrayBuffer {
  const memory = new ArrayBuffer(8);
  structuredClone(memory, { transfer: [memory] });
  return memory;
}

function detachedView(): Uint8Array {
  const view = new Uint8Array(8);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

describe('bad input', () => {
  const client = new ScorelineClient({ url: 'http://localhost' });

  test.each<[unknown, RegExp]>([
    [undefined, /one input: a text.*undefined/],
    [Symbol('a'), /one input: a text/],
    [[1, Number.NaN], /"1" to be a finite number, or null.*NaN/],
    [new Map([['age', 7]]), /one input: a text.*an object \(Map\)/],
    [Promise.resolve('text'), /one input: a text.*an object \(Promise\)/],
    [new Date(), /one input: a text.*an object \(Date\)/],
    [detached(), /detached/],
    [detachedView(), /detached/],
    [{ age: Number.NaN }, /"age" to be a finite number, or null.*NaN/],
    [{ age: Number.POSITIVE_INFINITY }, /"age" to be a finite number/],
    [{ ages: new Float32Array([7]) }, /"ages" to be JSON.*an object \(Float32Array\)/],
    [[{ ages: new Map([['Ada', 7]]) }], /"ages" to be JSON.*an object \(Map\)/],
    [{ age: () => 7 }, /"age" to be JSON/],
  ])('is refused before it is sent: %j', async (input, expected) => {
    await expect(client.score('m', input as string)).rejects.toThrow(expected);
    await expect(client.submit('m', input as string)).rejects.toThrow(expected);
  });

  test('is refused as a BigInt, which JSON does not have', async () => {
    await expect(client.score('m', 7n as never)).rejects.toThrow(/one input: a text/);
    await expect(client.score('m', { age: 7n } as never)).rejects.toThrow(
      /"age" to be a number, or the text of one/,
    );
  });

  test.each([' a', 'a ', '', 'a\nb', 'ä', 'x'.repeat(256), '"', '"a', 'a"', '""', 7, {}])(
    'is refused as an Idempotency-Key, and what is sent under it: %j',
    async (idempotencyKey) => {
      const asked = client.score('m', 'text', { idempotencyKey: idempotencyKey as string });
      await expect(asked).rejects.toThrow(/^Expected idempotencyKey to be 1 to 255/);
    },
  );

  test.each([' a', 'a b', '', 'a\nb', 'ä', 'x'.repeat(129), 7])(
    'is refused as the id of a request: %j',
    async (requestId) => {
      const asked = client.score('m', 'text', { requestId: requestId as string });
      await expect(asked).rejects.toThrow(/^Expected requestId to be 1 to 128/);
    },
  );

  test.each(['', '.', '..', '\ud800', undefined])(
    'is refused as the name of a model: %j',
    async (name) => {
      await expect(client.score(name as string, 'text')).rejects.toThrow(/name of a model/);
    },
  );

  test.each([0, -1, Number.NaN, '5000', true])('is refused as a limit: %j', async (given) => {
    const limit = given as number;
    await expect(client.models({ timeoutMs: limit })).rejects.toThrow(/timeoutMs .* above 0/);
    if (given === 0) return;
    await expect(client.models({ retries: limit })).rejects.toThrow(/retries .* 0 or more/);
  });

  test('is refused as a file that was changed after it was opened', async () => {
    const peer = await openPeer(json(score));
    const folder = await mkdtemp(path.join(tmpdir(), 'changed-'));
    const file = path.join(folder, 'picture');
    await writeFile(file, 'one');
    const blob = await openAsBlob(file);
    await writeFile(file, 'another');
    await expect(peer.open().score('m', blob)).rejects.toThrow(/changed or deleted .* Open it/);
    await rm(folder, { recursive: true });
    await expect(peer.open().score('m', blob)).rejects.toThrow(/changed or deleted .* Open it/);
    expect(await peer.open().score('m', new Blob(['one']))).toEqual(score);
  });

  test.each<[object, RegExp]>([
    [{ data: [1, 2] }, /"a" to have a datatype/],
    [{ data: 7 }, /data of "a" to be an array/],
    [{ data: new DataView(new ArrayBuffer(8)) }, /data of "a" to be numbers/],
    [{ datatype: 'FP64', data: new Float32Array(2) }, /"a" of the datatype FP64.*Float32Array/],
  ])('is refused as a tensor: %j', async (tensor, expected) => {
    const inputs = [{ name: 'a', shape: [2], ...tensor }] as never;
    await expect(client.infer('m', { inputs })).rejects.toThrow(expected);
  });

  test('in an answer is an error of its own', async () => {
    const html: Answer = (response) => response.end('<html>');
    const peer = await openPeer(html);
    const error = await failureOf(peer.open().models());
    expect(error).toMatchObject({ code: 'answer_unexpected', status: 200 });
    const stream = await failureOf(peer.open().events('j').next());
    expect(stream.message).toMatch(/Expected server-sent events/);
  });
});

describe('the events of a job', () => {
  const state = (name: string, more = {}) =>
    `id: j-${name}\ndata: ${JSON.stringify({ ...job, state: name, ...more })}\n\n`;
  const position = 'event: position\ndata: {"position":3,"estimatedWaitMs":1200}\n\n';
  const done = state('succeeded', { result: score });

  async function collect(client: ScorelineClient, lastEventId?: string) {
    const told: string[] = [];
    for await (const event of client.events('j', { lastEventId })) {
      told.push(event.type === 'state' ? event.job.state : `position ${event.position}`);
    }
    return told;
  }
  const lastIds = ({ requests }: { requests: IncomingMessage[] }) =>
    requests.map(({ headers }) => headers['last-event-id']);

  test('go on behind the last one after a break, wherever that was', async () => {
    const half = (response: ServerResponse) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(`retry: 1\n\n: alive\n\n${state('queued')}${position}${done.slice(0, 40)}`);
      setTimeout(() => response.socket?.destroy(), 50);
    };
    const peer = await openPeer(half, hangUp, events(state('running')), events(done));
    expect(await collect(peer.open())).toEqual(['queued', 'position 3', 'running', 'succeeded']);
    expect(lastIds(peer)).toEqual([undefined, 'j-queued', 'j-queued', 'j-running']);
  });

  test('begin behind that of the caller, and end with 204', async () => {
    const peer = await openPeer((response) => response.writeHead(204).end());
    expect(await collect(peer.open(), 'j-succeeded')).toEqual([]);
    expect(lastIds(peer)).toEqual(['j-succeeded']);
  });

  test('begin anew if the service has forgotten those that were told', async () => {
    const gone = problem(410, 'event_gone');
    const peer = await openPeer(events('retry: 1\n\n', state('queued')), gone, events(done));
    expect(await collect(peer.open())).toEqual(['queued', 'succeeded']);
    expect(lastIds(peer)).toEqual([undefined, 'j-queued', undefined]);
    const other = await openPeer(gone);
    const error = await failureOf(collect(other.open(), 'other'));
    expect(error).toMatchObject({ code: 'event_gone', status: 410 });
  });

  test('are given up when connection after connection brings nothing', async () => {
    const peer = await openPeer(events('retry: 1\n\n'));
    const error = await failureOf(collect(peer.open({ retries: 2 })));
    expect(error.code).toBe('connection_failed');
    expect(peer.requests).toHaveLength(3);
  });

  test.each<[string, string]>([
    ['events', 'id: j-running'],
    ['comments', ':'],
    ['comments with a text', ': alive'],
    ['events of a later version', 'event: mood\ndata: {}'],
  ])('go on after each end of a connection that has brought %s', async (_, brought) => {
    const sign = brought.startsWith('id') ? state('running') : `${brought}\n\n`;
    const ending = events(`retry: 1\n\n${sign}`);
    const peer = await openPeer(ending, ending, ending, ending, events(done));
    const told = await collect(peer.open({ retries: 0 }));
    expect(told.filter((state) => state !== 'running')).toEqual(['succeeded']);
    expect(peer.requests).toHaveLength(5);
  });

  test('may hold any character, and end their lines in any way', async () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const text = `retry: 1\n\n:\n\n${state('queued', { model: separators })}${done}`;
      const peer = await openPeer(inPieces(text.replaceAll('\n', end)));
      const jobs = [];
      for await (const event of peer.open({ retries: 0 }).events('j')) {
        if (event.type === 'state') jobs.push(event.job);
      }
      expect(jobs).toMatchObject([{ model: separators }, { state: 'succeeded', result: score }]);
    }
  });

  test('come in pieces of any size', async () => {
    const text = `retry: 1\r\n\r\n${state('queued', { model: 'äöü😀' })}${done}`;
    const peer = await openPeer(inPieces(text));
    const jobs = [];
    for await (const event of peer.open().events('j')) {
      if (event.type === 'state') jobs.push(event.job);
    }
    expect(jobs).toMatchObject([{ model: 'äöü😀' }, { state: 'succeeded', result: score }]);
  });

  const endless: Answer = (response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write(state('queued'));
  };

  test('end with their connection when the caller leaves the loop', async () => {
    const peer = await openPeer(endless);
    for await (const _ of peer.open().events('j')) break;
    await waitUntil('the connection is over', peer.isOver);
  });

  test('end when the signal of the caller aborts', async () => {
    const peer = await openPeer(endless);
    const controller = new AbortController();
    const { signal } = controller;
    const following = peer.open().events('j', { signal });
    await following.next();
    const next = following.next();
    controller.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await waitUntil('the connection is over', peer.isOver);
  });
});

describe('waiting for a job', () => {
  test('asks again while it is pending, and does not hurry if the service does not wait', async () => {
    const done = json({ ...job, state: 'succeeded', result: score });
    const peer = await openPeer(json(job), json({ ...job, state: 'running' }), done);
    const startedAt = performance.now();
    const { result } = await peer.open().wait('j');
    expect(result).toEqual(score);
    expect(performance.now() - startedAt).toBeGreaterThan(1900);
    expect(peer.requests.map(({ headers }) => headers.prefer)).toEqual(Array(3).fill('wait=20'));
  });

  test.each<[object, object]>([
    [
      { state: 'failed', problem: { status: 500, code: 'model_failed', detail: 'It cannot.' } },
      { code: 'model_failed', status: 500, message: 'It cannot.' },
    ],
    [
      { state: 'cancelled', problem: { status: 409, code: 'job_cancelled', detail: 'Cancelled.' } },
      { code: 'job_cancelled', status: 409, message: 'Cancelled.' },
    ],
    [{ state: 'expired' }, { code: 'job_expired', status: undefined }],
  ])('fails with a job that ended as %j', async (ended, expected) => {
    const peer = await openPeer(json({ ...job, ...ended }));
    expect(await failureOf(peer.open().wait('j'))).toMatchObject(expected);
    expect(await peer.open().job('j')).toMatchObject(ended);
  });

  test.each<[string, Answer]>([
    ['is gone', nothing],
    ['stops within its answer', stop],
  ])('does not hang on a machine that %s', async (_, answer) => {
    const peer = await openPeer(answer, json(job));
    const call = openCall(makeExchange({ url: peer.url }), {});
    const asked = { method: 'GET', path: ['v1', 'jobs', 'j'], answerMsMax: 2000 } as const;
    expect(await call.ask(asked, (response) => response.json())).toEqual(job);
    expect(peer.requests).toHaveLength(2);
    expect(getEventListeners(call.limit.signal, 'abort')).toEqual([]);
    call.close();
  });

  test('ends with the time limit of the caller', async () => {
    const peer = await openPeer(json(job));
    const error = await failureOf(peer.open().wait('j', { timeoutMs: 300 }));
    expect(error.code).toBe('timed_out');
  });
});
