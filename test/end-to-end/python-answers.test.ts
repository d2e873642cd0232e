// The Python client, with numpy and without it, where answers are damaged, come from something else than the service,
// or may not be asked for at all. Whatever comes, a call ends in a result or in an error of the client.

import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, events, json, openPeer, problem } from '../peer.js';
import { hasPython } from '../python.js';
import { type Caller, openCaller } from './python-caller.js';

const scored = { model: 'm', version: '1', predictions: [] };
const noModels = { models: [], waiting: [], leftOut: [] };
const inferred = { model_name: 'm', model_version: '1', outputs: [] };
const failed = { code: 'model_failed', status: 500, detail: 'Because.' };
/** What Python evaluates. */
const python = (code: string) => ({ python: code });
const tensors = python('[scoreline.Tensor("in", [1.0], [1, 1], "FP32")]');
/** Arguments for each method. */
const methods = {
  score: ['m', 'text'],
  infer: ['m', tensors],
  submit: ['m', 'text'],
  submit_tensors: ['m', tensors],
  job: ['j'],
  wait: ['j'],
  cancel: ['j'],
  jobs: [],
  models: [],
  events: ['j'],
} as const;
type Method = keyof typeof methods;

const send =
  (body: string | Uint8Array, headers = {}, status = 200): Answer =>
  (response) => {
    const length = { 'Content-Length': Buffer.byteLength(body) };
    response.writeHead(status, { 'Content-Type': 'application/json', ...length, ...headers });
    response.end(body);
  };
const stream = (body: Uint8Array | string, headers = {}): Answer =>
  send(body, { 'Content-Type': 'text/event-stream', ...headers });
const eventOf = (job: unknown) => `id: j-x\ndata: ${JSON.stringify(job)}\n\n`;

function damagedGzip(text: string): Buffer {
  const bytes = gzipSync(text);
  bytes.fill(0xff, 10, 20);
  return bytes;
}

describe.skipIf(!hasPython).each([
  ['with numpy', []],
  ['without numpy', ['--without-numpy']],
])('the Python client %s (needs Python 3.11)', { timeout: 600_000 }, (_, options) => {
  const hasNumpy = options.length === 0;
  let caller: Caller;
  beforeAll(() => {
    caller = openCaller(...options);
  });
  afterAll(() => caller?.close());

  const ask = (url: string, method: Method, more = {}) =>
    caller.call({ url, method, arguments: methods[method], ...more });
  const answerTo = async (method: Method, ...answers: Answer[]) =>
    ask((await openPeer(...answers)).url, method, { retries: 2 });
  const inferFrom = (outputs: unknown[], binary = Buffer.alloc(0)) => {
    const head = Buffer.from(JSON.stringify({ ...inferred, outputs }));
    const headers = { 'Inference-Header-Content-Length': head.length };
    return answerTo('infer', send(Buffer.concat([head, binary]), headers));
  };

  const noJson = {
    nothing: '',
    'JSON that is not UTF-8': Buffer.from('{"model":"\xff"}', 'latin1'),
    'JSON that is cut off': '{"model":"m","ver',
    'JSON that is nested deeply': '['.repeat(200_000),
  };
  test.each(Object.entries(noJson))('asks again for %s', async (_what, body) => {
    const peer = await openPeer(send(body), send(gzipSync(body), { 'Content-Encoding': 'gzip' }));
    const error = await ask(peer.url, 'score', { retries: 1 });
    expect(error).toMatchObject({ code: 'answer_unexpected', status: 200, is_retryable: true });
    expect(peer.requests).toHaveLength(2);
  });

  const foreign: Record<string, Answer> = {
    'a page': send('<html>', { 'Content-Type': 'text/html' }),
    ...Object.fromEntries(
      Object.entries(noJson).map(([name, body]) => [
        `${name}, which is not said to be JSON`,
        send(body, { 'Content-Type': 'text/plain' }),
      ]),
    ),
    'an empty object': json({}),
    null: json(null),
    'a list': json([scored]),
    'another status': json({ ...scored, ...noModels, ...inferred, id: 'j', state: 'queued' }, 203),
    'no content': (response) => response.writeHead(206).end(),
    'a problem of status 200': problem(200, 'model_failed'),
    'an error that is no problem': json({ code: 7, detail: null, status: 'no' }, 400),
    'a redirect to no address': (response) =>
      response.writeHead(302, { Location: 'http://[\xff' }).end('x'),
  };
  test.each(Object.keys(methods) as Method[])('%s tells what is no answer', async (method) => {
    for (const [name, answer] of Object.entries(foreign)) {
      const peer = await openPeer(answer);
      const error = await ask(peer.url, method);
      expect(error, name).toMatchObject({ code: 'answer_unexpected', is_retryable: false });
      expect(error.status, name).toBeGreaterThanOrEqual(200);
      expect(peer.requests, name).toHaveLength(1);
    }
  });

  const job = { id: 'j', state: 'queued' };
  test.each<[Method, unknown, number?]>([
    ['score', { ...scored, predictions: {} }],
    ['score', { ...scored, predictions: ['a'] }],
    ['score', { ...scored, version: 1 }],
    ['score', scored, 202],
    ['infer', { ...inferred, outputs: null }],
    ['infer', { ...inferred, outputs: [7] }],
    ['infer', { ...inferred, model_name: 7 }],
    ['submit', { ...job, id: 7 }, 202],
    ['submit', job, 200],
    ['submit_tensors', { id: 'j' }, 202],
    ['job', { ...job, state: 7 }],
    ['job', { ...job, state: 'done' }],
    ['job', { ...job, state: 'succeeded' }],
    ['job', { ...job, state: 'succeeded', result: 'model_name' }],
    ['job', { ...job, state: 'succeeded', result: { ...inferred, outputs: 7 } }],
    ['wait', { ...job, state: 'failed' }],
    ['wait', { ...job, state: 'cancelled', problem: { ...failed, status: '500' } }],
    ['cancel', { ...job, state: 'failed', problem: [] }],
    ['jobs', { jobs: { id: 'j' } }],
    ['jobs', { jobs: [job, { id: 'j' }] }],
    ['models', { ...noModels, leftOut: null }],
  ])('%s refuses an answer as %j', async (method, body, status) => {
    const error = await answerTo(method, json(body, status));
    expect(error).toMatchObject({ code: 'answer_unexpected', status: status ?? 200 });
  });

  test.each([[[1, 2.5, 'a', null]], [7], [null], [true]])('sends %j as JSON', async (input) => {
    let body = '';
    const peer = await openPeer(async (response, request) => {
      body = String(await buffer(request));
      json(scored)(response, request);
    });
    const code = python(JSON.stringify(input).replace('null', 'None').replace('true', 'True'));
    expect((await ask(peer.url, 'score', { arguments: ['m', code] })).result).toEqual(scored);
    expect(JSON.parse(body)).toEqual({ input });
  });

  test('tries again after a body that was damaged on its way', async () => {
    const gzip = { 'Content-Encoding': 'gzip' };
    const text = JSON.stringify(scored);
    for (const damaged of [damagedGzip(text), Buffer.from(text)]) {
      const peer = await openPeer(send(damaged, gzip), send(damaged, gzip, 500), json(scored));
      expect((await ask(peer.url, 'score')).result).toEqual(scored);
      expect(new Set(peer.keys()).size).toBe(1);
    }
    const inChunks =
      (text: string): Answer =>
      (response) =>
        response.socket?.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text}`);
    for (const text of ['9\r\n{"model":\r\n', '9\r\n{"mod', '-9\r\n{"model":\r\n', 'x\r\n']) {
      const { result } = await answerTo('score', inChunks(text), json(scored));
      expect(result, text).toEqual(scored);
    }
    const end = eventOf({ ...job, state: 'expired' });
    const { result } = await answerTo('events', stream(damagedGzip(end), gzip), stream(end));
    expect(result).toMatchObject([{ job: { state: 'expired' } }]);
  });

  test('takes the status of an error from HTTP, and that of a job from its problem', async () => {
    const overloaded = json({ ...failed, status: 200 }, 429);
    const peer = await openPeer(overloaded, json(scored));
    expect((await ask(peer.url, 'score')).result).toEqual(scored);
    const refused = await answerTo('score', json({ code: 'input_invalid', error: 'E.' }, 400));
    expect(refused).toMatchObject({ code: 'input_invalid', status: 400, problem: { status: 400 } });
    const final = await answerTo('score', json({ ...failed, status: 503 }, 500));
    expect(final).toMatchObject({ code: 'model_failed', status: 500, is_retryable: false });
    const end = await answerTo('wait', json({ ...job, state: 'failed', problem: failed }));
    expect(end).toMatchObject({ code: 'model_failed', status: 500, message: 'Because.' });
  });

  test.each(['soon', '-5', '1.5', '0x10', '', 'Mon, 99 Foo 0000 +99999999999999999999'])(
    'makes its own pause if Retry-After is %j',
    async (text) => {
      const busy = problem(503, 'overloaded', { 'Retry-After': text });
      expect((await answerTo('models', busy, json(noModels))).result).toEqual(noModels);
    },
  );

  test('gives up if Retry-After is later than any limit', async () => {
    for (const text of ['9'.repeat(20), '9'.repeat(5000), 'Fri, 31 Dec 9999 23:59:59 GMT']) {
      const error = await answerTo('models', problem(503, 'overloaded', { 'Retry-After': text }));
      expect(error).toMatchObject({ code: 'overloaded', retry_after_ms: 30 * 86_400_000 });
    }
  });

  describe('refuses before anything is sent', () => {
    test.each<[Method, string, unknown[]]>([
      [
        'score',
        'idempotency_key',
        ['', 'a\n', ' a', 'a ', 'a\tb', 'ä', '"', '"a', 'a'.repeat(256)],
      ],
      ['infer', 'idempotency_key', ['order-17\n']],
      ['submit', 'priority', ['', 'bulk\n', ' bulk', 'Bulk', 7]],
      ['score', 'request_id', ['', 'a\n', 'a b', 'ä', 'a'.repeat(129), 7]],
      ['submit_tensors', 'webhook_url', ['', 'https://a/\n', ' https://a/', 'https://ä/', 7]],
      ['events', 'last_event_id', ['', 'a\n', 'a b', 'ä', 7]],
    ])('of %s, %s as %j', async (method, name, values) => {
      const peer = await openPeer(json(scored));
      for (const value of values) {
        const { misuse } = await ask(peer.url, method, { named: { [name]: value } });
        expect(misuse, JSON.stringify(value)).toMatch(`Expected ${name} to be`);
      }
      expect(peer.requests).toHaveLength(0);
    });

    test('a key and a url with blanks at their ends', async () => {
      const peer = await openPeer(json(noModels));
      for (const key of [' a', 'a ', 'a\n', '']) {
        expect((await ask(peer.url, 'models', { key })).misuse).toMatch(/Expected key to be/);
      }
      for (const url of [`${peer.url}\n`, ` ${peer.url}`]) {
        expect((await ask(url, 'models')).misuse).toMatch(/Expected a url without .* blanks/);
      }
      expect(peer.requests).toHaveLength(0);
    });

    test.each([
      ['float("nan")', /'rooms' to be a finite number, or None if it is missing; got nan/],
      ['{1}', /'rooms'.*got set/],
      ...(hasNumpy
        ? ([
            ['numpy.float32("nan")', /'rooms' to be a finite number.*got nan/],
            ['numpy.float64("-inf")', /'rooms' to be a finite number.*got -inf/],
            ['numpy.array([1.0, float("nan")])', /'rooms' to be a finite number/],
            ['numpy.datetime64("2026-01-02", "ns")', /'rooms'.*got datetime64/],
          ] as const)
        : []),
    ] as const)('a row with %s, by the name of its column', async (code, expected) => {
      const peer = await openPeer(json(scored));
      const row = python(`{"area": 1, "rooms": ${code}}`);
      const { misuse } = await ask(peer.url, 'score', { arguments: ['m', row] });
      expect(misuse).toMatch(expected);
      expect(peer.requests).toHaveLength(0);
    });

    test.each([
      ['[1.0, float("nan")]', /Expected finite numbers, and None for missing ones/],
      ['float("inf")', /Expected finite numbers/],
      ['{1}', /Expected one input: a text, .* or JSON; got set/],
      ['[{1}]', /got set/],
      ['[{"a": {1: 2, "1": 3}}]', /Expected keys that differ in JSON; several are "1" there/],
    ])('JSON with %s', async (code, expected) => {
      const peer = await openPeer(json(scored));
      const { misuse } = await ask(peer.url, 'score', { arguments: ['m', python(code)] });
      expect(misuse).toMatch(expected);
      expect(peer.requests).toHaveLength(0);
    });

    test.each([
      ['[b"\\xff", "a"], [1, 2]', /each element of 'in' to be bytes; got 'a'/],
      ['["a", b"\\xff"], [1, 2]', /bytes/],
      ['[b"\\xff"], [1, 1], "FP32"', /bytes/],
      ...(hasNumpy
        ? ([
            ['numpy.zeros(1), None, "FP33"', /'in' to be FP33; its array is FP64/],
            ['numpy.zeros(1), None, "BYTES"', /'in' to be BYTES; its array is FP64/],
            ['numpy.zeros(1), None, "FP32"', /'in' to be FP32; its array is FP64/],
          ] as const)
        : []),
    ] as const)('a tensor of %s', async (code, expected) => {
      const input = python(`[scoreline.Tensor("in", ${code})]`);
      const asked = { arguments: ['m', input] };
      expect((await ask('http://127.0.0.1:1', 'infer', asked)).misuse).toMatch(expected);
    });
  });

  test('has no time left after a limit of almost nothing', async () => {
    const peer = await openPeer(json(noModels));
    // Some end between two looks at the clock.
    for (let timeout_ms = 0.0005; timeout_ms < 0.04; timeout_ms += 0.0001) {
      expect((await ask(peer.url, 'models', { timeout_ms })).code).toBe('timed_out');
    }
  });

  describe('reads numbers', () => {
    test('exactly, in both directions', async () => {
      let sent = '';
      const text =
        '{"model":"m","version":"1","predictions":[{"value":-9007199254740993},{"value":-0.0}]}';
      const peer = await openPeer(async (response, request) => {
        sent = (await buffer(request)).toString();
        send(text)(response, request);
      });
      const cells = ['9007199254740993', '2**70', '-0.0'];
      if (hasNumpy) cells.push('numpy.int64(2**60+1)', 'numpy.array([7])');
      const row = python(`dict(enumerate([${cells}]))`);
      const { repr } = await ask(peer.url, 'score', { arguments: ['m', row] });
      expect(repr).toContain("[{'value': -9007199254740993}, {'value': -0.0}]");
      expect(sent).toMatch(/: 9007199254740993, .*: 1180591620717411303424, .*: -0\.0/);
      if (hasNumpy) expect(sent).toMatch(/: 1152921504606846977, .*: \[7\]\}/);
    });

    test('of tensors in JSON by their datatype', async () => {
      const output = (datatype: string, data: string) =>
        `{"name":"${datatype}","datatype":"${datatype}","shape":[3],"data":[${data}]}`;
      const outputs = [
        output('FP32', '1,-0.0,"NaN"'),
        output('FP64', '1,-0,"-Infinity"'),
        output('UINT64', '18446744073709551615,0,9007199254740993'),
      ];
      const result = `{"model_name":"m","model_version":"1","outputs":[${outputs}]}`;
      const body = `{"id":"j","state":"succeeded","result":${result}}`;
      const { repr } = await answerTo('job', send(body));
      expect(repr).toMatch(/\[ *1\.0?, +-0\.0?, +nan\].*\[ *1\.0?, +0\.0?, +-inf\]/s);
      expect(repr).toMatch(/\[18446744073709551615,\s+0,\s+9007199254740993\]/);
    });
  });

  const out = { name: 'out', datatype: 'FP32', shape: [2] };
  const binary = (bytes: unknown) => ({ ...out, parameters: { binary_data_size: bytes } });
  test.each<[object, number?]>([
    [binary(3), 3],
    [binary(4), 4],
    [binary(12), 12],
    [binary(8), 7],
    [binary(-8), 8],
    [binary('8'), 8],
    [binary(null), 8],
    [{ ...binary(8), shape: [-1] }, 8],
    [{ ...binary(8), shape: '2' }, 8],
    [{ ...binary(8), datatype: 'FP33' }, 8],
    [out],
    [{ ...out, data: null }],
    [{ ...out, data: [1] }],
    [{ ...out, data: [1, null] }],
    [{ ...out, data: [1, 'one'] }],
    [{ ...out, data: [[1], [2]] }],
    [{ ...out, datatype: 'FP64', data: '12' }],
    [{ ...out, datatype: 'BYTES', data: 'ab' }],
    [{ ...out, datatype: 'BYTES', data: { a: 1, b: 2 } }],
    [{ ...out, datatype: 'INT32', data: [1, 2.5] }],
    [{ ...out, shape: undefined, data: [1, 2] }],
    ...(hasNumpy ? ([[{ ...out, datatype: 'INT32', data: [1, 2 ** 40] }]] as [object][]) : []),
  ])('refuses tensors that are not what their head says: %j', async (output, bytes = 0) => {
    const error = await inferFrom([output], Buffer.alloc(bytes));
    expect(error).toMatchObject({ code: 'answer_unexpected', status: 200 });
    expect(error.message).toMatch(/Expected the output 'out' to be .* could not be read/);
  });

  test('refuses tensors whose JSON has no proper length', async () => {
    for (const length of ['soon', '-1', '9'.repeat(5000)]) {
      const headers = { 'Inference-Header-Content-Length': length };
      const error = await answerTo('infer', send(JSON.stringify(inferred), headers));
      expect(error.code).toBe('answer_unexpected');
    }
  });

  test.skipIf(!hasNumpy)(
    'names a text that is not UTF-8, and keeps a byte order mark',
    async () => {
      const textsOf = (...texts: Buffer[]) => {
        const size = (text: Buffer) => Buffer.from(Uint32Array.of(text.length).buffer);
        const bytes = Buffer.concat(texts.flatMap((text) => [size(text), text]));
        const parameters = { binary_data_size: bytes.length };
        return inferFrom([{ ...out, datatype: 'BYTES', parameters }], bytes);
      };
      const marked = Buffer.from('\ufeffä');
      const error = await textsOf(marked, Buffer.of(0x61, 0xff));
      expect(error).toMatchObject({ code: 'answer_unexpected', status: 200 });
      expect(error.message).toMatch(
        /'out'.*element 1 is not UTF-8\. Let the model answer with bytes in base64\.$/,
      );
      const { result } = await textsOf(marked, Buffer.alloc(0));
      expect(result.outputs.out.data).toEqual(['\ufeffä', '']);
    },
  );

  describe('follows a job', () => {
    test.each<[string, Answer]>([
      ['bytes that are not UTF-8', stream(Buffer.from('data: \xff\n\n', 'latin1'))],
      ['data that are not JSON', events('id: j-x\ndata: {\n\n')],
      ['a job that is none', events(eventOf({ state: 'queued' }))],
      ['a position that is none', events('event: position\ndata: 7\n\n')],
      ['an id that no header can hold', events(eventOf(job).replace('j-x', 'ä'))],
    ])('whose events have %s', async (_name, answer) => {
      expect(await answerTo('events', answer)).toMatchObject({
        ...{ code: 'answer_unexpected', status: 200 },
      });
    });

    test('whose stream names pauses that are none, and fields more than once', async () => {
      const pauses = ['soon', '-1', 'nan', '1e9', '9'.repeat(20), '1\nretry: 1'];
      const start = pauses.map((text) => `retry: ${text}\n\n`).join('');
      const first = eventOf(job).replace('id:', 'id: j-w\nid:');
      const peer = await openPeer(
        events(start, first, 'retry: 1\n\n'),
        events(eventOf({ ...job, state: 'expired' })),
      );
      const { result } = await ask(peer.url, 'events');
      expect(result).toMatchObject([{ id: 'j-x' }, { job: { state: 'expired' } }]);
      expect(peer.requests[1]?.headers['last-event-id']).toBe('j-x');
    });
  });
});
