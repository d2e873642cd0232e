// Tests the shutdown of the API. Every request gets an answer, and the API ends soon, whatever Redis
// does.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import express from 'express';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { startServer } from '../../api/http/connection/server.js';
import { UntakenAnswers } from '../../api/http/connection/untaken-answers.js';
import { startApi } from '../../api/start.js';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import {
  ask,
  type LogLine,
  openRedis,
  post,
  serviceEnvironment,
  startProcess,
  type TestRedis,
  waitUntil,
} from '../harness.js';
import { makeReply, openScene } from './http-scene.js';

const json = { 'Content-Type': 'application/json' };
const address = '/v1/models/text/score';

/** Opens a scene whose items wait until the test answers them or their call ends. */
async function openWaiting() {
  let answerAll = () => {};
  const answered = new Promise<void>((resolve) => {
    answerAll = resolve;
  });
  const scene = await openScene({
    submit: ({ items, ending }) =>
      items.map(({ id }) =>
        Promise.race([
          answered.then(() => makeReply(id)),
          new Promise<never>((_, reject) => ending.onEnd(() => reject(ending.reason))),
        ]),
      ),
  });
  return { scene, answerAll: () => answerAll() };
}

describe('requests in flight', () => {
  test('are answered before the API leaves', async () => {
    const { scene, answerAll } = await openWaiting();
    const answer = post(`${scene.url}${address}`, { input: 'hello' });
    await waitUntil('the item is sent', () => scene.submissions.length === 1);
    const closing = scene.close(30_000);
    answerAll();
    expect((await answer).status).toBe(200);
    await closing;
  });

  test('get 503 without a connection reset when time is up, even during their upload', async () => {
    const { scene } = await openWaiting();
    const answer = post(`${scene.url}${address}`, { input: 'hello' });
    await waitUntil('the item is sent', () => scene.submissions.length === 1);
    const uploading = await scene.connect();
    uploading.post(address, { ...json, 'Content-Length': 1000 });
    uploading.write('{"input":"');
    await waitUntil('the body is being read', () => scene.bodies.taken > 0);
    const started = performance.now();
    const closing = scene.close(100);
    const { status, body, headers } = await answer;
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'shutting_down', '1']);
    expect((await uploading.response()).body.code).toBe('shutting_down');
    await closing;
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  test('are answered even if they sent Expect: 100-continue', async () => {
    const { scene, answerAll } = await openWaiting();
    const client = await scene.connect();
    client.post(address, { ...json, Expect: '100-continue', 'Content-Length': 13 });
    expect((await client.response()).status).toBe(100);
    client.write('{"input":"a"}');
    await waitUntil('the item is sent', () => scene.submissions.length === 1);
    const closing = scene.close(30_000);
    answerAll();
    expect((await client.response()).status).toBe(200);
    await closing;
  });

  test('are answered to the end, even if the client still takes the answer', async () => {
    const log = pino({ level: 'silent' });
    const untaken = new UntakenAnswers({ bytesMax: 2 ** 30, stallMsMax: 60_000, log });
    const answer = Buffer.alloc(32 * 1024 * 1024);
    const app = {
      express: express(),
      isTrusted: () => false,
      serve: (_request: IncomingMessage, response: ServerResponse) => void response.end(answer),
    };
    const server = await startServer(app, readConfiguration('api', { PORT: '0' }), untaken, log);
    const client = connect(server.port, '127.0.0.1');
    onTestFinished(() => void client.destroy());
    client.pause();
    client.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n');
    await waitUntil('its answer waits', () => untaken.bytes > 0);
    const closing = server.close(60_000, () => {});
    let bytes = 0;
    client.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    client.resume();
    await closing;
    await waitUntil('the client knows', () => client.destroyed);
    expect(bytes).toBeGreaterThan(answer.length);
  });

  test('are answered even if their head has not arrived as a whole', async () => {
    const { scene } = await openWaiting();
    const client = await scene.connect();
    const request = 'GET /version HTTP/1.1\r\nHost: test\r\n\r\n';
    client.write(request);
    expect((await client.response()).status).toBe(200);
    const before = scene.bytesRead();
    client.write(request.slice(0, 30));
    await waitUntil('half a head is there', () => scene.bytesRead() === before + 30);
    const closing = scene.close(30_000);
    const hangUp = (other: { hangUp(): void }) => {
      other.hangUp();
      return false;
    };
    await waitUntil('nobody else can connect', () => scene.connect().then(hangUp, () => true));
    client.write(request.slice(30));
    expect((await client.response()).status).toBe(200);
    await closing;
  });

  test.each([
    ['half a head', 'GET /ver'],
    ['an empty line', '\r\n'],
  ])('do not keep the API from leaving if %s is all that comes of them', async (_part, bytes) => {
    const scene = await openScene({ configuration: { HEADERS_MS_MAX: 100 } });
    const client = await scene.connect();
    client.write('GET /version HTTP/1.1\r\nHost: test\r\n\r\n');
    expect((await client.response()).status).toBe(200);
    const before = scene.bytesRead();
    client.write(bytes);
    await waitUntil('it is there', () => scene.bytesRead() === before + bytes.length);
    const started = performance.now();
    await scene.close(30_000);
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  test('that arrive later on an open connection get 503, and the connection is closed', async () => {
    const { scene, answerAll } = await openWaiting();
    const client = await scene.connect();
    client.post(address, { ...json, 'Content-Length': 13 });
    client.write('{"input":"a"}');
    await waitUntil('the item is sent', () => scene.submissions.length === 1);
    client.post(address, { ...json, 'Content-Length': 13 });
    client.write('{"input":"b"}');
    const closing = scene.close(30_000);
    answerAll();
    expect((await client.response()).status).toBe(200);
    await closing;
    expect(scene.submissions).toHaveLength(1);
  });
});

describe('an API', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await openRedis();
  });
  beforeEach(() => redis.client.flushall());
  afterAll(() => redis?.close());

  const log = pino({ level: 'silent' });
  const start = async (settings: Record<string, string> = {}) => {
    const environment = { ...serviceEnvironment({ redisUrl: redis.url }), ...settings };
    const running = await startApi(readConfiguration('api', environment), log);
    onTestFinished(() => running.close());
    return { ...running, url: `http://127.0.0.1:${running.report.port}` };
  };
  const msUntilClosed = async ({ close }: { close(): Promise<void> }) => {
    const started = performance.now();
    await close();
    return performance.now() - started;
  };

  test('serves while it leaves, is not ready, and asks each client to connect elsewhere', async () => {
    const { leave, url } = await start({ LEAVE_MS: '10' });
    const before = await ask(`${url}/v1/models`);
    expect([before.status, before.headers.get('connection')]).toEqual([200, 'keep-alive']);
    await leave?.();
    const after = await ask(`${url}/v1/models`);
    expect([after.status, after.headers.get('connection')]).toEqual([200, 'close']);
    const ready = await ask(`${url}/v2/health/ready`);
    expect([ready.status, ready.body.reason]).toEqual([503, 'shutting down']);
  });

  test('ends at once if nothing is in flight, and leaves nothing in Redis', async () => {
    const running = await start();
    expect((await ask(`${running.url}/v1/models`)).status).toBe(200);
    expect(await msUntilClosed(running)).toBeLessThan(15_000);
    expect(await redis.client.keys('scoreline:replies:*')).toEqual([]);
  });

  test('ends soon while Redis is unreachable', async () => {
    const running = await start();
    await redis.stop('SIGKILL');
    onTestFinished(() => redis.start());
    await waitUntil('it has seen that Redis is away', async () => {
      const { status } = await ask(`${running.url}/v2/health/ready`);
      return status === 503;
    });
    expect(await msUntilClosed(running)).toBeLessThan(15_000);
  });

  test('ends soon if Redis has just become unreachable', async () => {
    const running = await start();
    await redis.stop('SIGKILL');
    onTestFinished(() => redis.start());
    expect(await msUntilClosed(running)).toBeLessThan(15_000);
  });

  test('ends soon while Redis does not answer', async () => {
    const running = await start();
    onTestFinished(await redis.suspend());
    expect(await msUntilClosed(running)).toBeLessThan(15_000);
  });

  test.each(['api', 'worker'] as const)('ends its start while Redis is away (%s)', async (role) => {
    await redis.stop('SIGKILL');
    onTestFinished(() => redis.start());
    const log: LogLine[] = [];
    const options = { models: 'faq-matcher', environment: { LOG_LEVEL: 'info' } };
    const child = startProcess(role, serviceEnvironment({ redisUrl: redis.url, ...options }), log);
    onTestFinished(() => child.close());
    await waitUntil('it waits for Redis', () => log.some(({ level }) => level === 50));
    const isWarm = () => role === 'api' || log.some(({ msg }) => msg === 'model is warm');
    await waitUntil('its model is warm', isWarm);
    child.kill('SIGTERM');
    expect(await child.exited).toBe(0);
    expect(log.filter(({ level }) => level === 50)).toHaveLength(1);
  });

  test('exits as a process while Redis is unreachable', async () => {
    const log: LogLine[] = [];
    const child = startProcess('api', serviceEnvironment({ redisUrl: redis.url }), log);
    onTestFinished(() => child.close());
    await child.ready;
    await redis.stop('SIGKILL');
    onTestFinished(() => redis.start());
    await waitUntil('it has seen that Redis is away', () => log.length > 0);
    const started = performance.now();
    await child.close();
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(await child.exited).toBe(0);
  });
});
