// Tests gRPC at its edge: who gets in, what is refused and when, and that a broken or oversized message costs
// nobody else anything. The clients of others are in test/end-to-end.

import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Access } from '../../api/access/access.js';
import { anyone } from '../../api/access/caller.js';
import type { Submission } from '../../api/queue/dispatcher.js';
import { ScorelineError } from '../../shared/errors.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import { waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { type Asked, askGrpc, encodeInfer, type InferFields } from './grpc-client.js';
import { openScene, openToAnyone, textModel } from './http-scene.js';

const tensors = (datatype: 'FP32' | 'INT8' | 'FP16' | 'BYTES' | 'BOOL') =>
  makeSampleModel({
    name: datatype.toLowerCase(),
    input: { kind: 'tensors' },
    output: { kind: 'tensors' },
    example: undefined,
    network: {
      inputs: [{ name: 'in', datatype, shape: [-1, 2] }],
      outputs: [{ name: 'out', datatype, shape: [-1, 2] }],
    },
  });
const models = [...(['FP32', 'INT8', 'FP16', 'BYTES', 'BOOL'] as const).map(tensors), textModel];

/** Answers each item with its input. */
const echo = ({ items }: Submission) =>
  items.map(async ({ id, inputs }): Promise<ScoredReply> => {
    const [input] = inputs;
    if (!input) throw new Error('Each item has an input.');
    const timing = { queueMs: 0, batchMs: 0, computeMs: 0, batchSize: 1 };
    return { id, outputs: [{ ...input, name: 'out' }], timing };
  });

async function open(options: Parameters<typeof openScene>[0] = {}) {
  const scene = await openScene({ models, submit: echo, grpc: true, ...options });
  const infer = (fields: InferFields, asked?: Asked) =>
    askGrpc(scene.grpcPort, 'ModelInfer', encodeInfer({ model: 'fp32', ...fields }), asked);
  /** Sends a good request. */
  const inferWell = (asked?: Asked) => infer({ inputs: [input], raw: [floats] }, asked);
  return { ...scene, infer, inferWell };
}

const input = { name: 'in', datatype: 'FP32', shape: [1, 2] };
const floats = new Uint8Array(Float32Array.of(1, 2).buffer);

/** Encodes a list of contents: packed, or one by one. */
function contents(field: number, write: (writer: protobuf.Writer) => protobuf.Writer) {
  return write(
    protobuf.Writer.create()
      .uint32((field << 3) | 2)
      .fork(),
  )
    .ldelim()
    .finish();
}

test('answers with the id of the request, and the bytes of its tensors', async () => {
  const scene = await open();
  const answer = await scene.inferWell({ metadata: { 'x-request-id': 'mine' } });
  expect(answer).toMatchObject({ code: status.OK, metadata: { 'x-request-id': 'mine' } });
  expect(answer.bytes?.includes(Buffer.from(floats))).toBe(true);
});

const { INVALID_ARGUMENT, NOT_FOUND } = status;
const good = { inputs: [input], raw: [floats] };
const int8 = { name: 'in', datatype: 'INT8', shape: [1, 2] };

test.each<[what: string, fields: InferFields, ownCode?: string, code?: number]>([
  ['an unknown model', { ...good, model: 'none' }, 'model_not_found', NOT_FOUND],
  ['a model without a network', { ...good, model: 'text' }, 'network_undeclared', NOT_FOUND],
  ['no inputs', {}],
  ['an input twice', { inputs: [input, input], raw: [floats, floats] }],
  ['too many inputs', { inputs: Array(5000).fill(input) }, 'input_invalid'],
  ['too many dimensions', { inputs: [{ ...input, shape: Array(99).fill(1) }] }, 'input_invalid'],
  ['fewer raw contents than inputs', { inputs: [input], raw: [floats, floats] }],
  ['raw contents of another length', { inputs: [input], raw: [floats.subarray(1)] }],
  [
    'raw and typed contents',
    { inputs: [{ ...input, contents: contents(6, (w) => w.float(1)) }], raw: [floats] },
  ],
  ['no contents', { inputs: [input] }],
  ['a negative dimension', { inputs: [{ ...input, shape: [-1, 2] }], raw: [floats] }],
  ['a huge shape', { inputs: [{ ...input, shape: [2 ** 31 - 1, 2] }] }],
  ['another datatype', { inputs: [{ ...input, datatype: 'FP99' }], raw: [floats] }],
  ['an output nobody has', { ...good, outputs: ['other'] }],
  [
    'contents of another kind',
    { inputs: [{ ...input, contents: contents(2, (w) => w.int32(1).int32(2)) }] },
  ],
  ['fewer elements', { inputs: [{ ...input, contents: contents(6, (w) => w.float(1)) }] }],
  [
    'more elements',
    { inputs: [{ ...input, contents: contents(6, (w) => w.float(1).float(1).float(1)) }] },
  ],
  [
    'an element that is cut off',
    { inputs: [{ ...input, contents: contents(6, (w) => w.float(1).uint32(1)) }] },
  ],
  [
    'a number that does not fit',
    { model: 'int8', inputs: [{ ...int8, contents: contents(2, (w) => w.int32(1).int32(300)) }] },
  ],
  [
    'FP16 that is not raw',
    {
      model: 'fp16',
      inputs: [{ ...input, datatype: 'FP16', contents: contents(6, (w) => w.float(1).float(2)) }],
    },
  ],
  [
    'strings that are no UTF-8',
    {
      model: 'bytes',
      inputs: [{ ...input, datatype: 'BYTES', contents: Uint8Array.of(0x42, 1, 0xff, 0x42, 0) }],
    },
  ],
  [
    'strings whose lengths lie',
    {
      model: 'bytes',
      inputs: [{ ...input, datatype: 'BYTES' }],
      raw: [Uint8Array.of(9, 0, 0, 0, 1)],
    },
  ],
  [
    'booleans that are neither',
    { model: 'bool', inputs: [{ ...input, datatype: 'BOOL' }], raw: [Uint8Array.of(1, 2)] },
  ],
  ['names of half a character', { ...good, outputs: [`${'x'.repeat(59)}😀`] }],
])('refuses %s', async (_what, fields, ownCode = 'tensor_invalid', code = INVALID_ARGUMENT) => {
  const scene = await open();
  const answer = await scene.infer(fields);
  expect(answer).toMatchObject({ code, metadata: { 'error-code': ownCode } });
  expect(answer.details).toMatch(/Expected|There is no|does not declare/);
  expect((await scene.inferWell()).code).toBe(status.OK);
});

test('answers strings of any bytes in a list', async () => {
  const data = Buffer.from([1, 0, 0, 0, 0xff, 2, 0, 0, 0, 0, 0xfe]);
  const scene = await open({
    submit: ({ items }) =>
      items.map(async ({ id }): Promise<ScoredReply> => {
        const timing = { queueMs: 0, batchMs: 0, computeMs: 0, batchSize: 1 };
        return { id, outputs: [{ name: 'out', datatype: 'BYTES', shape: [1, 2], data }], timing };
      }),
  });
  const answer = await scene.infer({
    model: 'bytes',
    inputs: [{ ...input, datatype: 'BYTES', contents: Uint8Array.of(0x42, 1, 0x61, 0x42, 0) }],
  });
  expect(answer.code).toBe(status.OK);
  expect(answer.bytes?.includes(Buffer.from([0x42, 1, 0xff, 0x42, 2, 0, 0xfe]))).toBe(true);
});

test('takes lists whose elements come one by one', async () => {
  const scene = await open();
  const single = protobuf.Writer.create().uint32(53).float(1).uint32(53).float(2).finish();
  const answer = await scene.infer({ inputs: [{ ...input, contents: single }] });
  expect(answer.code).toBe(status.OK);
});

test('refuses bytes that are no message, to each method', async () => {
  const scene = await open();
  for (const method of ['ModelInfer', 'ModelReady', 'ModelStatistics', 'RepositoryIndex']) {
    const answer = await askGrpc(scene.grpcPort, method, Buffer.from([10, 200, 1, 2]));
    expect(answer).toMatchObject({
      code: INVALID_ARGUMENT,
      metadata: { 'error-code': 'request_invalid' },
    });
  }
  const unknown = await askGrpc(scene.grpcPort, 'ModelStreamInfer', Buffer.alloc(0));
  expect(unknown.code).toBe(status.UNIMPLEMENTED);
});

test('says that a model is not ready if it is not there, or cannot be loaded', async () => {
  const leftOut = [
    { name: 'broken', version: '1', error: new ScorelineError('manifest_invalid', 'Bad.') },
  ];
  const scene = await open({ leftOut });
  const isReady = async (name: string, version = '') => {
    const message = protobuf.Writer.create().uint32(10).string(name).uint32(18).string(version);
    const answer = await askGrpc(scene.grpcPort, 'ModelReady', message.finish());
    expect(answer.code).toBe(status.OK);
    return answer.bytes?.at(-1) === 1;
  };
  expect(await isReady('fp32')).toBe(true);
  expect(await isReady('fp32', '9')).toBe(false);
  expect(await isReady('none')).toBe(false);
  expect(await isReady('broken')).toBe(false);
});

test('refuses a message that is too large, also one that grows when it is decompressed', async () => {
  const scene = await open({ configuration: { BODY_BYTES_MAX: 4096 } });
  const large = { inputs: [input], raw: [Buffer.alloc(100_000)] };
  for (const asked of [{}, { compression: 'gzip' } as const]) {
    expect((await scene.infer(large, asked)).code).toBe(status.RESOURCE_EXHAUSTED);
  }
  expect((await scene.inferWell({ compression: 'gzip' })).code).toBe(status.OK);
});

test('counts the bytes of messages as those of bodies', async () => {
  const scene = await open({ configuration: { BODY_BYTES_MAX: 4096, BODIES_BYTES_MAX: 4096 } });
  scene.bodies.take(4000);
  const answer = await scene.infer({ inputs: [input], raw: [Buffer.alloc(500)] });
  expect(answer).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    metadata: { 'error-code': 'overloaded', 'retry-after': '1' },
  });
  scene.bodies.giveBack(4000);
});

test('counts no bytes that come behind the answer', async () => {
  const scene = await open();
  const session = connectHttp2(`http://127.0.0.1:${scene.grpcPort}`);
  onTestFinished(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': '/inference.GRPCInferenceService/ModelInfer',
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-timeout': '50m',
  });
  stream.on('error', () => {}).resume();
  // The head of a message of 4096 bytes.
  stream.write(Buffer.from([0, 0, 0, 16, 0]));
  await once(stream, 'end');
  await waitUntil('the call has ended', () => scene.calls.size === 0);
  stream.write(Buffer.alloc(1000));
  // The server has read what came before a ping once it answers.
  await promisify<unknown>((done) => session.ping(done))();
  expect(scene.bodies.taken).toBe(0);
});

describe('an answer that its client does not take', () => {
  /** Connects a client that takes no bytes of answers. Its requests resolve when their streams have ended. */
  async function openIdle(options: Parameters<typeof open>[0]) {
    const scene = await open(options);
    const session = connectHttp2(`http://127.0.0.1:${scene.grpcPort}`, {
      settings: { initialWindowSize: 0 },
    });
    onTestFinished(() => session.destroy());
    const message = encodeInfer({
      model: 'fp32',
      inputs: [{ name: 'in', datatype: 'FP32', shape: [250, 2] }],
      raw: [new Uint8Array(2000)],
    });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const ask = async () => {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/inference.GRPCInferenceService/ModelInfer',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => {});
      stream.end(Buffer.concat([head, message]));
      await once(stream, 'response');
      return stream;
    };
    return { scene, ask };
  }

  test('ends with its stream after REQUEST_MS_MAX', async () => {
    const { scene, ask } = await openIdle({
      configuration: { REQUEST_MS_MAX: 500, HEADERS_MS_MAX: 500 },
    });
    const stream = await ask();
    await waitUntil('the stream is closed', () => stream.closed);
    expect((await scene.inferWell()).code).toBe(status.OK);
  });

  test('ends with its stream when ANSWERS_BYTES_MAX is full, the oldest first', async () => {
    const { scene, ask } = await openIdle({ configuration: { ANSWERS_BYTES_MAX: 5000 } });
    const [first, second, third] = [await ask(), await ask(), await ask()];
    await waitUntil('the first stream is closed', () => first.closed);
    expect([second.closed, third.closed]).toEqual([false, false]);
    expect(scene.logged.splice(0)).toHaveLength(1);
  });
});

test.each(['ServerLive', 'ServerMetadata', 'ModelMetadata'])(
  'refuses a long message to %s, which takes no tensors',
  async (method) => {
    const scene = await open();
    const ask = (bytes: number, asked?: Asked) => {
      const name = protobuf.Writer.create().uint32(10).bytes(Buffer.alloc(bytes, 'x')).finish();
      return askGrpc(scene.grpcPort, method, name, asked);
    };
    for (const asked of [{}, { compression: 'gzip' } as const]) {
      expect(await ask(1_000_000, asked)).toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
        metadata: { 'error-code': 'body_too_large' },
      });
      expect([status.OK, NOT_FOUND]).toContain((await ask(95, asked)).code);
    }
  },
);

test('refuses a request for which there is no permit, and says when to ask again', async () => {
  const scene = await open({
    configuration: { PERMITS_MAX: 1 },
    submit: ({ ending }) => [
      new Promise((_resolve, reject) => ending.onEnd(() => reject(ending.reason))),
    ],
  });
  const cancel = new AbortController();
  const first = scene.inferWell({ signal: cancel.signal });
  await waitUntil('the first request waits', () => scene.submissions.length === 1);
  const answer = await scene.inferWell();
  expect(answer).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    metadata: { 'error-code': 'overloaded' },
  });
  cancel.abort();
  expect((await first).code).toBe(status.CANCELLED);
  await waitUntil('the permit is back', () => scene.admission.inFlight === 0);
});

test('keeps the deadline of the client', async () => {
  const scene = await open({
    submit: ({ ending }) => [
      new Promise((_resolve, reject) => ending.onEnd(() => reject(ending.reason))),
    ],
  });
  const before = Date.now();
  const answer = await scene.inferWell({ deadlineMs: 300 });
  expect(answer.code).toBe(status.DEADLINE_EXCEEDED);
  const [submission] = scene.submissions;
  expect((submission?.deadlineAt ?? 0) - before).toBeLessThan(5000);
});

test('counts the deadline of the client from the arrival, not from when the caller is known', async () => {
  const scene = await open({
    access: {
      ...openToAnyone,
      identify: async () => {
        await delay(500);
        return anyone;
      },
    },
  });
  const before = Date.now();
  expect((await scene.inferWell({ deadlineMs: 20_000 })).code).toBe(status.OK);
  const [submission] = scene.submissions;
  expect((submission?.deadlineAt ?? 0) - before).toBeGreaterThan(19_750);
});

test.each([
  ['at once', false],
  ['after its clients were sent elsewhere', true],
])('answers what is in flight when the instance ends %s', async (_when, leaves) => {
  const shutdownMs = 300;
  const scene = await open({
    configuration: { SHUTDOWN_MS: shutdownMs },
    submit: ({ ending }) => [
      new Promise((_resolve, reject) => ending.onEnd(() => reject(ending.reason))),
    ],
  });
  const waiting = scene.inferWell();
  await waitUntil('the request waits', () => scene.submissions.length === 1);
  if (leaves) scene.leave();
  await scene.close(shutdownMs);
  expect(await waiting).toMatchObject({
    code: status.UNAVAILABLE,
    metadata: { 'error-code': 'shutting_down' },
  });
});

test('lets in whoever shows a key, and anyone ask whether it is ready', async () => {
  const access: Omit<Access, 'close'> = {
    ...openToAnyone,
    identify: (headers) => {
      if (headers['x-api-key'] === 'right' || headers.authorization === 'Bearer right') {
        return { id: 'me', name: 'me', scopes: ['score'], models: ['fp32'] };
      }
      throw new ScorelineError('unauthenticated', 'Expected a key; got none.');
    },
    delayMs: () => 1,
  };
  const scene = await open({ access });
  for (const method of ['ServerLive', 'ServerReady']) {
    expect((await askGrpc(scene.grpcPort, method, Buffer.alloc(0))).code).toBe(status.OK);
  }
  const none = await askGrpc(scene.grpcPort, 'ServerMetadata', Buffer.alloc(0));
  expect(none.code).toBe(status.UNAUTHENTICATED);
  expect((await scene.inferWell()).code).toBe(status.UNAUTHENTICATED);
  for (const metadata of [{ 'x-api-key': 'right' }, { authorization: 'Bearer right' }]) {
    expect((await scene.inferWell({ metadata })).code).toBe(status.OK);
  }
  const other = await scene.infer(
    { ...good, model: 'int8' },
    { metadata: { 'x-api-key': 'right' } },
  );
  expect(other.code).toBe(NOT_FOUND);
});

describe('HTTPS_ONLY', () => {
  const byHttps = { metadata: { 'x-forwarded-proto': 'https' } };
  const refusal = {
    code: status.PERMISSION_DENIED,
    metadata: { 'error-code': 'https_required' },
  };

  test('lets in what came to a proxy by HTTPS, and whoever asks for readiness', async () => {
    const scene = await open({ configuration: { HTTPS_ONLY: true, TRUST_PROXY: ['loopback'] } });
    expect((await scene.inferWell(byHttps)).code).toBe(status.OK);
    for (const metadata of [{}, { 'x-forwarded-proto': 'http' }]) {
      expect(await scene.inferWell({ metadata })).toMatchObject(refusal);
    }
    const metadata = await askGrpc(scene.grpcPort, 'ServerMetadata', Buffer.alloc(0));
    expect(metadata).toMatchObject(refusal);
    expect(scene.submissions).toHaveLength(1);
    for (const method of ['ServerLive', 'ServerReady']) {
      expect((await askGrpc(scene.grpcPort, method, Buffer.alloc(0))).code).toBe(status.OK);
    }
  });

  test('does not believe a proxy that is not named', async () => {
    const scene = await open({ configuration: { HTTPS_ONLY: true, TRUST_PROXY: ['10.0.0.0/8'] } });
    expect(await scene.inferWell(byHttps)).toMatchObject(refusal);
    expect(scene.submissions).toEqual([]);
  });
});

test.each([[''], ['"open'], ['x'.repeat(300)], [['one', 'two']], [['"one"', '"two"']]])(
  'refuses the idempotency-key %j before it reads the message',
  async (key) => {
    const scene = await open();
    const answer = await scene.inferWell({ metadata: { 'idempotency-key': key } });
    expect(answer).toMatchObject({
      code: INVALID_ARGUMENT,
      metadata: { 'error-code': 'idempotency_key_invalid' },
    });
    expect(scene.submissions).toEqual([]);
  },
);

test.each([
  ['HTTP/1.1', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['noise', Buffer.alloc(4096, 0xfe)],
  [
    'frames after the preface',
    Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(512, 0xee)]),
  ],
])('hangs up on a client that sends %s, and answers the others', async (_what, bytes) => {
  const scene = await open();
  const socket = connect({ port: scene.grpcPort, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.resume();
  socket.write(bytes);
  await once(socket, 'close');
  expect((await scene.inferWell()).code).toBe(status.OK);
});

describe('the metadata x-priority', () => {
  test('says the priority of a request, which is interactive without it', async () => {
    const scene = await open();
    await scene.inferWell();
    await scene.inferWell({ metadata: { 'x-priority': 'bulk' } });
    expect(scene.submissions.map(({ priority }) => priority)).toEqual(['interactive', 'bulk']);
  });

  test.each([['high'], [['bulk', 'bulk']]])('is refused if it is %j', async (priority) => {
    const scene = await open();
    const answer = await scene.inferWell({ metadata: { 'x-priority': priority } });
    expect(answer).toMatchObject({
      code: INVALID_ARGUMENT,
      metadata: { 'error-code': 'parameter_invalid' },
    });
    expect(scene.submissions).toEqual([]);
  });
});
