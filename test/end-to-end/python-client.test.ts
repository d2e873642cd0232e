// The Python client against a real API, Redis and worker, and against a server that fails.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeAnything } from '../../cli/generating/answer-types.js';
import { type Datatype, datatypes } from '../../shared/tensors/tensors.js';
import { inPieces, separators } from '../event-pieces.js';
import { root } from '../harness.js';
import { photograph } from '../integration/photographs.js';
import { cutOff, events, hangUp, json, nothing, openPeer, problem } from '../peer.js';
import { hasPython } from '../python.js';
import { type InferenceSite, openInferenceSite } from './inference-site.js';
import { type Caller, folder, openCaller } from './python-caller.js';

const question = 'copy an object';
const key = 'scl_ogfBMf6UI0_secretsecretsecretsecretsecretsecre';
const scored = { model: 'm', version: '1', predictions: [] };
const masked = "[scoreline.Tensor('a', numpy.ma.array([1, 2], mask=[False, True]))]";
const noModels = { models: [], waiting: [], leftOut: [] };

describe.skipIf(!hasPython)('the Python client (needs Python 3.11)', { timeout: 600_000 }, () => {
  let site: InferenceSite;
  let url: string;
  let python: Caller;
  let plain: Caller;

  beforeAll(async () => {
    python = openCaller();
    plain = openCaller('--without-numpy');
    site = await openInferenceSite();
    url = site.service.url;
  }, 600_000);
  afterAll(async () => {
    python?.close();
    plain?.close();
    await site?.close();
  });

  const ask = async (method: string, ...given: unknown[]) =>
    (await python.call({ url, method, arguments: given })).result;

  test('is for Python 3.9 and later', () => {
    const code = 'import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 9))';
    execFileSync('python3', ['-c', code, path.join(folder, 'scoreline.py')]);
  });

  test('knows the keys of answers that the description has', async () => {
    const { result } = await python.call({ url, method: 'annotations' });
    const schemas = describeAnything();
    const keysOf = (name: string) =>
      Object.keys((schemas[name] as { properties: object }).properties).toSorted();
    expect(result).toEqual({
      ...Object.fromEntries(
        ['Problem', 'JobSummary', 'Job', 'Jobs', 'Models'].map((name) => [name, keysOf(name)]),
      ),
      Score: keysOf('ScoreResponse'),
    });
  });

  describe('scores', () => {
    test('a text, with as many classes as asked for', async () => {
      const named = { top: 2, version: '1' };
      const given = ['faq-matcher', question];
      const { result, shown } = await python.call({
        ...{ url, key, method: 'score', arguments: given, named },
      });
      expect(result).toMatchObject({ model: 'faq-matcher', known: true });
      expect(result.predictions).toHaveLength(2);
      expect(shown).not.toContain('secretsecret');
    });

    test('the bytes and the file of a picture', async () => {
      const file = path.join(root, 'test/photographs/siamese-cat.jpg');
      const base64 = photograph('siamese-cat.jpg').toString('base64');
      for (const picture of [{ base64 }, { path: file }]) {
        const { predictions } = await ask('score', 'efficientnet-lite0', picture);
        expect(predictions[0].label).toBe('Siamese cat, Siamese');
      }
    });

    test('a row of a table', async () => {
      const { predictions } = await ask('score', 'houses', { rooms: 4, area: 120, year: 1990 });
      expect(predictions).toEqual([{ value: expect.any(Number) }]);
    });

    test('tensors, as arrays with numpy and as lists without it, at once and as a job', async () => {
      const samples: Record<Datatype, [dtype: string, data: readonly unknown[]]> = {
        BOOL: ['?', [true, false]],
        UINT8: ['u1', [0, 255]],
        UINT16: ['u2', [0, 65535]],
        UINT32: ['u4', [0, 4294967295]],
        UINT64: ['u8', [0, 2 ** 60]],
        INT8: ['i1', [-128, 127]],
        INT16: ['>i2', [-32768, 7]],
        INT32: ['i4', [-2147483648, 7]],
        INT64: ['i8', [-(2 ** 60), 7]],
        FP16: ['f2', [-1.5, 65504]],
        FP32: ['f4', [-1.5, 0.25]],
        FP64: ['f8', [0.1, -0.1]],
        BYTES: ['O', ['äö😀', '']],
      };
      for (const datatype of datatypes) {
        const [dtype, data] = samples[datatype];
        const model = `echo-${datatype.toLowerCase()}`;
        const array = { name: 'in', data: [data], dtype };
        const list = { name: 'in', data, shape: [1, 2], datatype };
        const out = { datatype, shape: [1, 2], data, kind: 'ndarray' };
        for (const tensor of [array, list]) {
          const inference = await ask('infer', model, { tensors: [tensor] });
          expect(inference).toEqual({ model, id: null, outputs: { out } });
        }
        const { id } = await ask('submit_tensors', model, { tensors: [array] });
        expect((await ask('wait', id)).result.outputs).toEqual({ out });
        const { result } = await plain.call({
          ...{ url, method: 'infer', arguments: [model, { tensors: [list] }] },
        });
        expect(result.outputs).toEqual({ out: { ...out, kind: 'list' } });
      }
      const files = { name: 'in', data: [['a file', '']], dtype: 'S' };
      const { outputs } = await ask('infer', 'echo-bytes', { tensors: [files] });
      expect(outputs.out.data).toEqual(['a file', '']);
    });
  });

  test('submits a job, waits for it, reads it, lists it, and cannot cancel it then', async () => {
    const submitted = await ask('submit', 'faq-matcher', question);
    const ended = await ask('wait', submitted);
    expect(ended).toMatchObject({ id: submitted.id, state: 'succeeded' });
    const { predictions } = await ask('score', 'faq-matcher', question);
    expect(ended.result.predictions).toEqual(predictions);
    expect(await ask('job', submitted.id)).toEqual(ended);
    const named = { state: 'succeeded', model: 'faq-matcher', limit: 1 };
    const { result } = await python.call({ url, method: 'jobs', named });
    expect(result.jobs).toMatchObject([{ id: submitted.id }]);
    const refused = await python.call({ url, method: 'cancel', arguments: [submitted.id] });
    expect(refused).toMatchObject({ code: 'job_finished', status: 409, is_retryable: false });
    const { models } = await ask('models');
    expect(models[0].name).toBe('faq-matcher');
  });

  test('sends a priority, and the address that is told of a job', async () => {
    const asked = { url, method: 'score', arguments: ['faq-matcher', question] };
    const bulk = await python.call({ ...asked, named: { priority: 'bulk' } });
    expect(bulk.result.model).toBe('faq-matcher');
    const submitted = { url, method: 'submit', arguments: ['faq-matcher', question] };
    const told = { webhook_url: 'https://example.org/x' };
    const refused = await python.call({ ...submitted, named: told });
    expect(refused).toMatchObject({ code: 'webhook_not_allowed', status: 400 });
  });

  test('tells errors of either form as problems', async () => {
    const native = { url, method: 'score', arguments: ['nobody', question] };
    const named = { request_id: 'mine' };
    expect(await python.call({ ...native, named })).toMatchObject({
      ...{ code: 'model_not_found', status: 404, request_id: 'mine' },
      problem: { type: 'urn:scoreline:error:model_not_found', detail: expect.any(String) },
    });
    const tensors = [{ name: 'a', data: [1, 2], shape: [1, 3], datatype: 'FP32' }];
    const protocol = { url, method: 'infer', arguments: ['adder', { tensors }] };
    expect(await python.call(protocol)).toMatchObject({ code: 'tensor_invalid', status: 400 });
  });

  test.each<[string, Parameters<typeof openPeer>[0]]>([
    ['429', problem(429, 'overloaded')],
    ['503', problem(503, 'queue_unavailable')],
    ['a connection that is lost before the answer', hangUp],
    ['a connection that is lost within the answer', cutOff],
    ['the 502 of a proxy', json('no such upstream', 502)],
  ])('tries again by the same key after %s', async (_, answer) => {
    const peer = await openPeer(answer, answer, json(scored));
    const url = `${peer.url}/a/b/`;
    const asked = { url, key, method: 'score', arguments: ['a name', question] };
    expect((await python.call(asked)).result).toEqual(scored);
    const [first, ...others] = peer.keys();
    expect(first).toMatch(/^[0-9a-f]{32}$/);
    expect(others).toEqual([first, first]);
    const [{ headers, url: address }] = peer.requests as [(typeof peer.requests)[0]];
    expect(address).toBe('/a/b/v1/models/a%20name/score');
    expect(headers.authorization).toBe(`Bearer ${key}`);
    expect(Number(headers['request-timeout'])).toBeGreaterThan(59);
  });

  test.each<[number, string]>([
    [400, 'input_invalid'],
    [401, 'key_unknown'],
    [500, 'model_failed'],
    [504, 'deadline_exceeded'],
  ])('does not try again after %i %s', async (status, code) => {
    const peer = await openPeer(problem(status, code));
    const asked = { url: peer.url, key, method: 'score', arguments: ['m', question] };
    const error = await python.call(asked);
    expect(error).toMatchObject({ code, status, message: 'Because.', is_retryable: false });
    expect(JSON.stringify(error)).not.toContain('secretsecret');
    expect(peer.requests).toHaveLength(1);
  });

  test('honours Retry-After, and gives up at once if there is no time for it', async () => {
    const peer = await openPeer(problem(429, 'overloaded', { 'Retry-After': '1' }), json(noModels));
    const startedAt = Date.now();
    const { result } = await python.call({ url: peer.url, method: 'models' });
    expect(result).toEqual(noModels);
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(1000);
    const busy = await openPeer(problem(429, 'overloaded', { 'Retry-After': '30' }));
    const error = await python.call({ url: busy.url, method: 'models', timeout_ms: 20_000 });
    expect(error).toMatchObject({ code: 'overloaded', retry_after_ms: 30_000 });
  });

  test('ends a call when its time is over, and says why the attempt before failed', async () => {
    const peer = await openPeer(problem(503, 'queue_unavailable'), nothing);
    const error = await python.call({ url: peer.url, method: 'models', timeout_ms: 3000 });
    expect(error.code).toBe('timed_out');
    expect(error.message).toMatch(/within 3000 ms.*The attempt before failed: Because\./);
  });

  test('shows no key in an error, and follows no redirect', async () => {
    const redirect = await openPeer((response) =>
      response.writeHead(308, { Location: 'https://elsewhere.example/' }).end(),
    );
    const html = await openPeer((response) => response.end('<html>'));
    const lost = await openPeer(hangUp);
    for (const { url } of [redirect, html, lost]) {
      const error = await python.call({ url, key, retries: 1, method: 'models' });
      expect(error.code).toMatch(/^(answer_unexpected|connection_failed)$/);
      expect(JSON.stringify(error)).not.toContain('secretsecret');
    }
    const malformed = await python.call({ url, key: 'secretsecret\n', method: 'models' });
    expect(malformed.misuse).toMatch(/printable ASCII/);
    expect(malformed.traceback).not.toContain('secretsecret');
  });

  test.each<[string, unknown[], RegExp]>([
    ['score', ['m', { python: 'object()' }], /one input: a text.*got object/],
    ['score', ['..', 'text'], /name of a model/],
    ['infer', ['m', { tensors: [{ name: 'a', data: [1] }] }], /"?'a'"? to have a shape/],
    ['infer', ['m', { tensors: [{ name: 'a', data: 7 }] }], /'a' to be a numpy array or a list/],
    ['infer', ['m', { python: masked }], /'a' without masked elements/],
  ])('refuses bad input before it is sent: %s %j', async (method, given, expected) => {
    const { misuse } = await python.call({ url, method, arguments: given });
    expect(misuse).toMatch(expected);
  });

  test.each([
    ['127.0.0.1:8080', /^Expected url to be the address .*; got '127\.0\.0\.1:8080'\.$/],
    [
      'me:secret@localhost',
      /^Expected a url without a user and a password; give the client a key\.$/,
    ],
    ['ftp://me:secret@localhost', /^Expected a url without a user and a password; give/],
  ])('refuses the url %s, and shows no password', async (wrong, expected) => {
    expect((await python.call({ url: wrong, method: 'models' })).misuse).toMatch(expected);
  });

  test.each([
    ['http://127.0.0.1:1', /the connection failed \(\[Errno \d+\] Connection refused\)\.$/],
    ['https://', /the connection failed \(\[SSL: /],
  ])('says why a connection failed: %s', async (to, expected) => {
    const address = to === 'https://' ? url.replace('http:', 'https:') : to;
    const { message } = await python.call({ url: address, retries: 0, method: 'models' });
    expect(message).toMatch(expected);
  });

  test('has no connection in common with a process that was forked', async () => {
    const peer = await openPeer(json(noModels));
    await python.call({ url: peer.url, method: 'models_in_fork_too' });
    const [first, forked, last] = peer.requests.map(({ socket }) => socket);
    expect(forked).not.toBe(first);
    expect(last).toBe(first);
  });

  test.each<[object]>([
    [{ retries: -1 }],
    [{ retries: { python: "float('nan')" } }],
    [{ timeout_ms: '5000' }],
    [{ timeout_ms: 0 }],
  ])('refuses the limit %j', async (limit) => {
    const { misuse } = await python.call({ url, method: 'models', ...limit });
    expect(misuse).toMatch(/^Expected (retries|timeout_ms) to be a number, (0 or more|above 0)/);
  });

  test('sends the key that it is given, also a UUID, and refuses one of another type', async () => {
    const peer = await openPeer(json(scored));
    const send = (idempotency_key: unknown) =>
      python.call({
        ...{ url: peer.url, method: 'score', arguments: ['m', 'text'], named: { idempotency_key } },
      });
    const uuid = '8e03978e-40d5-43e8-bc93-6894a57f9324';
    for (const given of [{ uuid }, 'mine', false]) await send(given);
    expect(peer.keys()).toEqual([uuid, 'mine', undefined]);
    expect((await send(123)).misuse).toMatch(/idempotency_key to be .*got int/);
    expect(peer.requests).toHaveLength(3);
  });

  describe('follows a job', () => {
    const ends: Record<string, object> = {
      succeeded: { result: {} },
      failed: { problem: { code: 'model_failed', status: 500, detail: 'Because.' } },
    };
    const jobIn = (state: string) => JSON.stringify({ id: 'j', state, ...ends[state] });
    const state = (name: string) => `id: j-${name}\ndata: ${jobIn(name)}\n\n`;
    const position = 'event: position\ndata: {"position":3,"estimatedWaitMs":1200}\n\n';
    const follow = async (url: string, named = {}) =>
      python.call({ url, retries: 2, method: 'events', arguments: ['j'], named });

    test('behind the last event after a break', async () => {
      const peer = await openPeer(
        (response) => {
          response.writeHead(200, { 'Content-Type': 'text/event-stream' });
          response.write(`retry: 1\n\n: alive\n\n${state('queued')}${position}id: j-run`);
          setTimeout(() => response.socket?.destroy(), 50);
        },
        hangUp,
        events(state('running')),
        events(state('succeeded')),
      );
      const { result } = await follow(peer.url);
      expect(result).toMatchObject([
        { type: 'state', id: 'j-queued', job: { state: 'queued' } },
        { type: 'position', position: 3, estimated_wait_ms: 1200 },
        { type: 'state', job: { state: 'running' } },
        { type: 'state', job: { state: 'succeeded' } },
      ]);
      const lastIds = peer.requests.map(({ headers }) => headers['last-event-id']);
      expect(lastIds).toEqual([undefined, 'j-queued', 'j-queued', 'j-running']);
    });

    test('after each end of a connection that has brought an event or a comment', async () => {
      const signs = [state('running'), ':\n\n', ': alive\n\n', 'event: mood\ndata: {}\n\n'];
      for (const sign of signs) {
        const ending = events(`retry: 1\n\n${sign}`);
        const peer = await openPeer(ending, ending, ending, ending, events(state('failed')));
        const { result } = await python.call({
          ...{ url: peer.url, retries: 0, method: 'events', arguments: ['j'] },
        });
        expect(result?.at(-1)).toMatchObject({ job: { state: 'failed' } });
        expect(peer.requests).toHaveLength(5);
      }
    });

    test('whose document holds any character, with lines that end in any way', async () => {
      const job = JSON.stringify({ id: 'j', state: 'expired', model: separators });
      for (const end of ['\n', '\r\n', '\r']) {
        const text = `retry: 1\n\n:\n\nid: j-expired\ndata: ${job}\n\n`;
        const peer = await openPeer(inPieces(text.replaceAll('\n', end)));
        expect((await follow(peer.url)).result).toMatchObject([{ job: { model: separators } }]);
      }
    });

    test('anew if the service has forgotten the events before, and to a limit', async () => {
      const gone = problem(410, 'event_gone');
      const peer = await openPeer(
        events('retry: 1\n\n', state('queued')),
        gone,
        events(state('failed')),
      );
      const { result } = await follow(peer.url);
      expect(result).toMatchObject([{ job: { state: 'queued' } }, { job: { state: 'failed' } }]);
      const other = await openPeer(gone);
      expect(await follow(other.url, { last_event_id: 'x' })).toMatchObject({ code: 'event_gone' });
      const ended = await openPeer((response) => response.writeHead(204).end());
      expect(await follow(ended.url, { last_event_id: 'x' })).toMatchObject({ result: [] });
      const silent = await openPeer(events('retry: 1\n\n'));
      expect(await follow(silent.url)).toMatchObject({ code: 'connection_failed' });
    });
  });
});
