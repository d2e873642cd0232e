// What a request holds in memory while it waits for its answer, and what its connection holds after that. Neither the
// body nor the tensors are needed once the job is in Redis, however long it takes.

import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { AliveMemory } from '../../bench/alive.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { openRedisForAll, queueOf, type Service, startService, waitUntil } from '../harness.js';
import { askGrpc, encodeInfer } from './grpc-client.js';
import { photograph, photographs } from './photographs.js';

const model = 'efficientnet-lite0';
const score = `/v1/models/${model}/score`;
const infer = `/v2/models/${model}/infer`;
const count = 50;
/** A busy machine may refuse some. */
const mostOf = 0.9;
/** A picture has about 140 kB, its tensor 150. The first requests of a kind leave some megabytes of code. */
const heldBytesMax = 100_000;
/** grpc-js keeps the pieces in which a message of 150 kB came. */
const heldByGrpcMax = 240_000;

interface Client {
  /** Keeps connections. */
  readonly agent: Agent;
  /** Is aborted when the client hangs up. */
  readonly signal: AbortSignal;
}

/** Sends a request. Resolves with the status of its answer; 0 if there is none. */
type Send = (picture: Buffer, client: Client) => Promise<number>;

interface Body {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly bytes: Buffer;
}

const alive = new AliveMemory();
const pictures = photographs.map(photograph);
const pixels = Buffer.alloc(224 * 224 * 3, 7);

const redis = await openRedisForAll();
let service: Service;

beforeAll(async () => {
  service = await startService({
    redisUrl: redis.url,
    models: model,
    workers: 0,
    environment: { GRPC_PORT: '0', INPUTS_IN_FLIGHT_MAX: '1', ...alive.environment },
  });
});
afterAll(async () => {
  await service?.close();
  alive.close();
});

const raw = (bytes: Buffer, headers: Body['headers'] = {}): Body => ({
  path: score,
  headers: { 'Content-Type': 'image/jpeg', ...headers },
  bytes,
});
const json = (to: string, value: unknown): Body => ({
  path: to,
  headers: { 'Content-Type': 'application/json' },
  bytes: Buffer.from(JSON.stringify(value)),
});
const tensor = { name: 'image', datatype: 'UINT8', shape: [1, 224, 224, 3] };

const tensorInJson = json(infer, { inputs: [{ ...tensor, data: [...pixels] }] });

const bodies: Readonly<Record<string, (picture: Buffer) => Body>> = {
  'a file': (picture) => raw(picture),
  'a compressed file': (picture) => raw(gzipSync(picture), { 'Content-Encoding': 'gzip' }),
  'base64 in JSON': (picture) => json(score, { input: { image: picture.toString('base64') } }),
  'JSON of the reference contract': (picture) =>
    json(`/score?model=${model}`, { input: { image: picture.toString('base64') } }),
  'a form': (picture) => ({
    path: score,
    headers: { 'Content-Type': 'multipart/form-data; boundary=x' },
    bytes: Buffer.concat([
      Buffer.from('--x\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'),
      picture,
      Buffer.from('\r\n--x--\r\n'),
    ]),
  }),
  'a tensor in JSON': () => tensorInJson,
  'a binary tensor': () => {
    const parameters = { binary_data_size: pixels.length };
    const head = Buffer.from(JSON.stringify({ inputs: [{ ...tensor, parameters }] }));
    return {
      path: infer,
      headers: {
        'Content-Type': 'application/octet-stream',
        'Inference-Header-Content-Length': head.length,
      },
      bytes: Buffer.concat([head, pixels]),
    };
  },
};

const byHttp =
  (make: (picture: Buffer) => Body): Send =>
  (picture, client) =>
    sendByHttp(make(picture), client);

const byGrpc = 'a tensor by gRPC';
const ways: Readonly<Record<string, Send>> = {
  ...Object.fromEntries(Object.entries(bodies).map(([what, make]) => [what, byHttp(make)])),
  [byGrpc]: async (_picture, { signal }) => {
    const message = encodeInfer({ model, inputs: [tensor], raw: [pixels] });
    const { code } = await askGrpc(service.grpcPort, 'ModelInfer', message, { signal });
    return code === 0 ? 200 : 0;
  },
  'a file with a key': byHttp((picture) => raw(picture, { 'Idempotency-Key': randomUUID() })),
  'a file that may be answered later': byHttp((picture) =>
    raw(picture, { Prefer: 'respond-async, wait=25' }),
  ),
};

/** Bodies that are refused. */
const refused: Readonly<Record<string, (picture: Buffer) => Body>> = {
  'a file that is no picture': (picture) => raw(Buffer.from(picture).fill(7, 4)),
  'base64 of no picture': (picture) =>
    json(score, { input: { image: Buffer.from(picture).fill(7, 4).toString('base64') } }),
  'broken JSON': (picture) => brokenJson(score, picture),
  'broken JSON with a tensor': (picture) => brokenJson(infer, picture),
};

function brokenJson(to: string, picture: Buffer): Body {
  const { bytes, ...whole } = json(to, { input: { image: picture.toString('base64') } });
  return { ...whole, bytes: bytes.subarray(0, -1) };
}

test('a connection that waits for its next request holds nothing of the last one', async () => {
  const client = await openClient();
  const before = await alive.read(service.api.pid);
  const { answers } = await client.sendAll(ways['a file'] as Send);
  const worker = await service.addWorker();
  const right = (await Promise.all(answers)).filter((status) => status === 200);
  expect(right.length).toBeGreaterThanOrEqual(count * mostOf);
  await worker.close();
  await holdLittle(before);
});

test.each(Object.keys(refused))(
  'a connection that waits holds nothing of %s, which was refused',
  async (what) => {
    const refuse = byHttp(refused[what] as (picture: Buffer) => Body);
    const client = await openClient();
    const before = await alive.read(service.api.pid);
    expect(new Set(await Promise.all(client.send(refuse)))).toEqual(new Set([400]));
    await holdLittle(before);
  },
);

test('a list holds no inputs that have been answered', async () => {
  const client = await openClient();
  const bad = 'x'.repeat(150_000);
  const sendList = byHttp((picture) => {
    const good = picture.toString('base64');
    return json(score, { inputs: [bad, bad, bad, good, good].map((image) => ({ image })) });
  });
  const lists = 20;
  await client.sendAll(sendList, lists);
  const before = await alive.read(service.api.pid);
  await client.sendAll(sendList, lists);
  // The good ones have 340 kB: one is on its way, and sent again if Redis loses it; the other waits for its turn. The bad
  // ones have 450 kB.
  await holdLittle(before, lists * 550_000);
  expect(await client.countWaiting()).toBeGreaterThanOrEqual(2 * lists * mostOf);
});

test.each(Object.keys(ways))(
  'a request that waits holds neither %s nor its tensors',
  async (what) => {
    const way = ways[what] as Send;
    const client = await openClient();
    await client.sendAll(way);
    const before = await alive.read(service.api.pid);
    await client.sendAll(way);
    await holdLittle(before, count * (what === byGrpc ? heldByGrpcMax : heldBytesMax));
    expect(await client.countWaiting()).toBeGreaterThanOrEqual(2 * count * mostOf);
  },
);

/** Waits until little more is alive in the API than before, within a time in which no request ends. */
async function holdLittle(before: number, bytesMax = count * heldBytesMax): Promise<void> {
  const isLittle = async () => (await alive.read(service.api.pid)) - before < bytesMax;
  await waitUntil('the requests hold little', isLittle, 10_000);
}

/** Opens a client, which hangs up when the test ends. */
async function openClient() {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: count });
  const unanswered = makeKeys('scoreline').unanswered(queueOf(model));
  const countWaiting = () => redis.client.zcard(unanswered);
  const hangingUp = new AbortController();
  const client = { agent, signal: hangingUp.signal };
  onTestFinished(() => {
    agent.destroy();
    hangingUp.abort();
  });
  // The work of a key and of a job goes on when its client hangs up.
  await redis.client.del(unanswered);
  const send = (way: Send, requests = count) =>
    Array.from({ length: requests }, (_, at) =>
      way(pictures[at % pictures.length] as Buffer, client),
    );
  return {
    countWaiting,
    /** Sends requests, each on a connection of its own that is kept. */
    send,
    /** Waits until most of them are in the queue, too. Those that a busy machine refuses are sent again. */
    async sendAll(way: Send, requests = count): Promise<{ answers: Promise<number>[] }> {
      const already = await countWaiting();
      const persist: Send = async (...sent) => {
        const status = await way(...sent);
        if (status !== 429 && status !== 503) return status;
        await delay(200);
        return persist(...sent);
      };
      const answers = send(persist, requests);
      const isSent = async () => (await countWaiting()) >= already + requests * mostOf;
      await waitUntil('they wait', isSent);
      return { answers };
    },
  };
}

function sendByHttp({ path, headers, bytes }: Body, { agent }: Client): Promise<number> {
  return new Promise((resolve) => {
    const sent = request(service.url, {
      ...{ agent, path, method: 'POST' },
      headers: { 'Content-Length': bytes.length, ...headers },
    });
    sent.on('response', (response) => {
      response.resume().on('end', () => resolve(response.statusCode as number));
    });
    sent.on('error', () => resolve(0));
    sent.end(bytes);
  });
}
