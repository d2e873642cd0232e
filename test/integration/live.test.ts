// The live view: who may look and what is there, and that only a local run has workers to kill.

import { describe, expect, test } from 'vitest';
import { anyone } from '../../api/access/caller.js';
import type { LiveParts } from '../../api/http/routes/live.js';
import { idle } from '../../api/live/point.js';
import type { Sample } from '../../api/live/series.js';
import { ask, openRedis, post, startService, waitUntil } from '../harness.js';
import { openScene, openToAnyone, textModel } from './http-scene.js';

const name = `${textModel.name}@${textModel.version}`;
const point = { ...idle, requests: 5, inputs: 7.5, refusals: { permits: 2 }, batchSize: 3 };
const latencyMs = { p50: 1, p90: 2, p99: 3 };
const samples: readonly Sample[] = [
  { atMs: 1000, points: new Map(), unanswered: new Map(), workers: new Map([[name, 1]]) },
  {
    atMs: 2000,
    points: new Map([[name, { ...point, latencyMs }]]),
    unanswered: new Map([[name, undefined]]),
    workers: new Map(),
  },
];
const liveSeries = { read: () => samples };

/** Opens a scene that is a local run with two workers. */
async function openLocalRun(given: Partial<Omit<LiveParts, 'registry'>> = {}) {
  const killed: number[] = [];
  const all = [
    { pid: 7, isReady: true },
    { pid: 8, isReady: false },
  ];
  const localWorkers = { all, kill: (pid: number) => void killed.push(pid) };
  const scene = await openScene({ live: { liveSeries, localWorkers, ...given } });
  return { url: scene.url, killed };
}

describe('the live view', () => {
  test('has a column for each number, with null for what is not known', async () => {
    const { url } = await openScene({ live: { liveSeries } });
    const { status, body } = await ask(`${url}/v1/live`);
    expect([status, body.times, body.localWorkers]).toEqual([200, [1000, 2000], undefined]);
    expect(body.models).toEqual([
      {
        model: textModel.name,
        version: textModel.version,
        requests: [0, 5],
        inputs: [0, 7.5],
        failures: [0, 0],
        refusals: { permits: [0, 2] },
        latencyMs: { p50: [null, 1], p90: [null, 2], p99: [null, 3] },
        batchSize: [null, 3],
        unanswered: [0, null],
        workers: [1, null],
      },
    ]);
  });

  test('has only what came after a time', async () => {
    const { url } = await openScene({ live: { liveSeries } });
    expect((await ask(`${url}/v1/live?after=1000`)).body.times).toEqual([2000]);
    const { status, body } = await ask(`${url}/v1/live?after=soon`);
    expect([status, body.code]).toEqual([400, 'parameter_invalid']);
  });

  test('is not there if nothing is measured', async () => {
    const { url } = await openScene();
    const { status, body } = await ask(`${url}/v1/live`);
    expect([status, body.code]).toEqual([404, 'not_found']);
  });

  test('shows a caller its own models only', async () => {
    const caller = { ...anyone, scopes: ['score'] as const, models: ['other'] };
    const access = {
      ...openToAnyone,
      identify: () => caller,
    };
    const { url } = await openScene({ live: { liveSeries }, access });
    const { body } = await ask(`${url}/v1/live`);
    expect([body.models, body.unnamed]).toEqual([[], undefined]);
  });
});

describe('a worker', () => {
  const kill = (url: string, pid: number, headers = {}) =>
    ask(`${url}/v1/live/workers/${pid}/kill`, { method: 'POST', headers });

  test('can be killed in a local run', async () => {
    const { url, killed } = await openLocalRun();
    const { status, body } = await kill(url, 7, { 'sec-fetch-site': 'same-origin' });
    expect([status, body, killed]).toEqual([202, { pid: 7, state: 'killed' }, [7]]);
  });

  test('that is not ready, or none of this run, cannot be killed', async () => {
    const { url, killed } = await openLocalRun();
    for (const pid of [8, 1]) {
      const { status, body } = await kill(url, pid);
      expect([status, body.code]).toEqual([404, 'not_found']);
    }
    expect(killed).toEqual([]);
  });

  test.each([
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'http://evil.example' },
    { origin: 'null' },
  ])('cannot be killed by a page of another site: %o', async (headers) => {
    const { url, killed } = await openLocalRun();
    expect((await kill(url, 7, headers)).status).toBe(403);
    expect(killed).toEqual([]);
  });

  test.each([
    { 'x-forwarded-for': '203.0.113.9' },
    { forwarded: 'for=203.0.113.9' },
    { via: '1.1 proxy' },
  ])('cannot be killed through a proxy: %o', async (headers) => {
    const { url, killed } = await openLocalRun();
    expect((await kill(url, 7, headers)).status).toBe(404);
    expect(killed).toEqual([]);
  });

  test('has no such address elsewhere', async () => {
    const { url } = await openScene();
    const [known, other] = await Promise.all([
      kill(url, 7),
      ask(`${url}/v1/live/workers/7/other`, { method: 'POST' }),
    ]);
    expect([known.status, known.body.code]).toEqual([other.status, other.body.code]);
  });
});

test('a real API shows what it has answered', async () => {
  const redis = await openRedis();
  const service = await startService({
    redisUrl: redis.url,
    models: 'faq-matcher',
    environment: { METRICS_PORT: '0' },
  });
  try {
    await ask(`${service.url}/v1/live`);
    await service.workers[0]?.ready;
    await post(`${service.url}/v1/models/faq-matcher/score`, { input: 'How do I undo a commit?' });
    await waitUntil('the request is in the live view', async () => {
      const [model] = (await ask(`${service.url}/v1/live`)).body.models;
      const at = model.requests.findIndex((count: number) => count > 0);
      return at >= 0 && model.latencyMs.p99[at] > 0 && model.batchSize[at] === 1;
    });
  } finally {
    await service.close();
    await redis.close();
  }
});
