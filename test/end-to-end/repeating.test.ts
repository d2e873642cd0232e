// Tests requests that a client repeats with the same Idempotency-Key, with real processes. Which items are scored again, and
// who waits for whom, is in test/unit/repeatable.test.ts.

import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { makeRankedOutputs } from '../../shared/tensors/scores.js';
import { packReplies } from '../../shared/wire/reply.js';
import {
  type Answer,
  ask,
  type LogLine,
  openRedisForAll,
  post,
  queueOf,
  serviceEnvironment,
  startProcess,
  waitUntil,
} from '../harness.js';
import { photograph } from '../integration/photographs.js';

const text = '/v1/models/faq-matcher/score';
const input = 'why is 0.1 + 0.2 not 0.3';
const cat = photograph('siamese-cat.jpg');
const coffee = photograph('coffee.png');

interface RunningApi {
  readonly url: string;
  kill(): Promise<void>;
}

interface RunningWorker {
  /** Returns how many items the model has scored so far, according to the log. */
  scored(): number;
  /** Waits until the log says that it has scored as many, and expects that it has scored no more. */
  expectScored(items: number): Promise<void>;
  kill(): Promise<void>;
}

/** Processes that share this file's Redis but have their own prefix, so tests do not interfere. */
interface Site {
  readonly prefix: string;
  startApi(changes?: NodeJS.ProcessEnv): Promise<RunningApi>;
  startWorker(): Promise<RunningWorker>;
  jobsWaiting(model?: string): Promise<number>;
  close(): Promise<void>;
}

const redis = await openRedisForAll();
let site: Site;
let api: string;
let worker: RunningWorker;

beforeAll(async () => {
  site = openSite('faq-matcher,efficientnet-lite0');
  [{ url: api }, worker] = await Promise.all([site.startApi(), site.startWorker()]);
});

afterAll(() => site?.close());

function openSite(models = 'faq-matcher'): Site {
  const prefix = `site-${randomUUID()}`;
  const children: Child[] = [];
  const start = async (role: 'api' | 'worker', changes: NodeJS.ProcessEnv, log: LogLine[] = []) => {
    const environment = { QUEUE_PREFIX: prefix, ...changes };
    const child = startProcess(
      role,
      serviceEnvironment({ redisUrl: redis.url, models, environment }),
      log,
    );
    children.push(child);
    return { ready: await child.ready, kill: () => kill(child) };
  };
  return {
    prefix,
    async startApi(changes = {}) {
      const { ready, kill } = await start('api', changes);
      return { url: `http://127.0.0.1:${ready.port}`, kill };
    },
    async startWorker() {
      const log: LogLine[] = [];
      const { kill } = await start('worker', { LOG_LEVEL: 'debug' }, log);
      const scored = () =>
        log
          .filter(({ msg }) => msg === 'scored')
          .reduce((items, { batchSize }) => items + Number(batchSize), 0);
      return {
        scored,
        expectScored: async (items) => {
          await waitUntil(`${items} items are scored`, () => scored() >= items);
          expect(scored()).toBe(items);
        },
        kill,
      };
    },
    jobsWaiting: (model = 'faq-matcher') => redis.client.llen(`${prefix}:${queueOf(model)}:wait`),
    close: async () => {
      await Promise.all(children.map(kill));
    },
  };
}

async function kill(child: Child): Promise<void> {
  child.kill('SIGKILL');
  await child.exited;
}

/** Opens a site that closes at the end of the test. */
function openOwnSite(models?: string): Site {
  const site = openSite(models);
  onTestFinished(() => site.close());
  return site;
}

const askWithKey = (url: string, key: string, body: object = { input }) =>
  post(url, body, { 'idempotency-key': key });

const replayed = (answer: Answer) => answer.headers.get('idempotency-replayed');

describe('a key that is used again', () => {
  test('gets the same answer, marked as replayed, and costs no model time', async () => {
    const before = worker.scored();
    const first = await askWithKey(api + text, 'twice');
    expect(first.status).toBe(200);
    expect(replayed(first)).toBeNull();
    expect(first.body.predictions).toHaveLength(3);
    for (const key of ['twice', '"twice"']) {
      const again = await askWithKey(api + text, key);
      expect(again.status).toBe(200);
      expect(replayed(again)).toBe('true');
      expect(again.body).toEqual(first.body);
    }
    await worker.expectScored(before + 1);
  });

  test('gets the same answer from POST /score with several images', async () => {
    const before = worker.scored();
    const images = { cat: cat.toString('base64'), cup: coffee.toString('base64') };
    const first = await askWithKey(`${api}/score`, 'images', { input: images });
    expect(first.status).toBe(200);
    expect(first.body.result[0].cat[0][0]).toContain('Siamese cat');
    expect(first.body.result[0].cup[0][0]).toContain('espresso');
    const again = await askWithKey(`${api}/score`, 'images', { input: images });
    expect(replayed(again)).toBe('true');
    expect(again.body.result[0]).toEqual(first.body.result[0]);
    await worker.expectScored(before + 2);
  });

  test.each([
    ['another input', { input: 'copy an object' }],
    ['another top', { input, top: 7 }],
  ])('is refused with %s', async (_what, body) => {
    const key = randomUUID();
    expect((await askWithKey(api + text, key)).status).toBe(200);
    const refused = await askWithKey(api + text, key, body);
    expect(refused.status).toBe(422);
    expect(refused.body.code).toBe('idempotency_key_reused');
    expect(replayed(await askWithKey(api + text, key))).toBe('true');
  });

  test('causes scoring again once the result has expired', async () => {
    const site = openOwnSite();
    const [{ url }, own] = await Promise.all([
      site.startApi({ RESULT_MS: '100' }),
      site.startWorker(),
    ]);
    const first = await askWithKey(url + text, 'expires');
    const key = makeKeys(site.prefix).result(first.body.id);
    await waitUntil('the result is gone', async () => (await redis.client.exists(key)) === 0);
    const again = await askWithKey(url + text, 'expires');
    expect(again.status).toBe(200);
    expect(replayed(again)).toBeNull();
    expect(again.body.predictions).toEqual(first.body.predictions);
    await own.expectScored(2);
  });
});

test('a key that is set twice is refused', async () => {
  const status = await new Promise((resolve, reject) => {
    const headers = { 'content-type': 'text/plain', 'idempotency-key': ['a', 'b'] };
    const asking = request(api + text, { method: 'POST', headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asking.once('error', reject);
    asking.end(input);
  });
  expect(status).toBe(400);
});

test('a service with RESULTS_MAX results refuses new keys with 429, and nothing else', async () => {
  const site = openOwnSite();
  const bounds = { RESULTS_MAX: '2', IMAGES_PER_REQUEST_MAX: '1' };
  const [{ url }] = await Promise.all([site.startApi(bounds), site.startWorker()]);
  for (const key of ['one', 'two']) expect((await askWithKey(url + text, key)).status).toBe(200);
  const refused = await askWithKey(url + text, 'three');
  expect(refused.status).toBe(429);
  expect(refused.body.code).toBe('overloaded');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(replayed(await askWithKey(url + text, 'one'))).toBe('true');
  expect((await post(url + text, { input })).status).toBe(200);
  expect(await redis.client.zcard(makeKeys(site.prefix).results)).toBe(2);
});

describe('while the request is in flight', () => {
  test('a repeat joins it, and is answered although the first client hung up', async () => {
    const site = openOwnSite();
    const { url } = await site.startApi();
    const client = new AbortController();
    const first = ask(url + text, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'joined' },
      body: JSON.stringify({ input }),
      signal: client.signal,
    });
    await waitUntil('the request is queued', async () => (await site.jobsWaiting()) === 1);
    const second = askWithKey(url + text, 'joined');
    client.abort();
    await expect(first).rejects.toThrow();
    // A repeat with a shorter deadline ends at its own deadline. The other one still waits.
    const hurried = await askWithKey(url + text, 'joined', { input, deadlineMs: 200 });
    expect(hurried.body.code).toBe('deadline_exceeded');
    expect(await site.jobsWaiting()).toBe(1);

    const own = await site.startWorker();
    const answer = await second;
    expect(answer.status).toBe(200);
    expect(replayed(answer)).toBeNull();
    await own.expectScored(1);
    const again = await askWithKey(url + text, 'joined');
    expect(replayed(again)).toBe('true');
    expect(again.body).toEqual(answer.body);
  });

  test('a repeat at another API is answered after the first API was killed', async () => {
    const site = openOwnSite();
    const [one, other] = await Promise.all([site.startApi(), site.startApi()]);
    const first = askWithKey(one.url + text, 'killed');
    first.catch(() => {});
    await waitUntil('the request is queued', async () => (await site.jobsWaiting()) === 1);
    await one.kill();
    await expect(first).rejects.toThrow();

    const second = askWithKey(other.url + text, 'killed');
    await waitUntil('both requests are queued', async () => (await site.jobsWaiting()) === 2);
    const own = await site.startWorker();
    const answer = await second;
    expect(answer.status).toBe(200);
    expect(await redis.client.keys(makeKeys(site.prefix).result('*'))).toHaveLength(1);
    await waitUntil('its scoring is logged', () => own.scored() > 0);
    const scored = own.scored();
    const again = await askWithKey(other.url + text, 'killed');
    expect(replayed(again)).toBe('true');
    expect(again.body).toEqual(answer.body);
    expect(own.scored()).toBe(scored);
  });

  test('a queued item costs no model time if its result arrives first', async () => {
    const site = openOwnSite();
    const { url } = await site.startApi();
    const first = askWithKey(url + text, 'meanwhile');
    await waitUntil('the request is queued', async () => (await site.jobsWaiting()) === 1);
    const [member] = await redis.client.zrange(makeKeys(site.prefix).results, '0', '-1');
    const id = String(member);
    const timing = { queueMs: 1, batchMs: 2, computeMs: 3, batchSize: 4 };
    const kept = packReplies([{ id, outputs: makeRankedOutputs([5], { 5: 0.25 }), timing }]);
    await redis.client.set(makeKeys(site.prefix).result(id), kept);
    const own = await site.startWorker();
    const { body } = await first;
    expect(body).toMatchObject({ id, timing, predictions: [{ score: 0.25 }] });
    expect(own.scored()).toBe(0);
  });
});

test('while Redis is away, requests get 503 at once, and a repeat works once it is back', async () => {
  const site = openOwnSite();
  const [{ url }] = await Promise.all([site.startApi(), site.startWorker()]);
  const kept = await askWithKey(url + text, 'kept');
  await redis.stop('SIGKILL');
  for (const key of ['kept', 'new']) {
    const refused = await askWithKey(url + text, key);
    expect(refused.status).toBe(503);
    expect(refused.body.code).toBe('queue_unavailable');
    expect(Number(refused.headers.get('retry-after'))).toBe(1);
  }
  await redis.start();
  await waitUntil(
    'a repeat works',
    async () => (await askWithKey(url + text, 'new')).status === 200,
  );
  const again = await askWithKey(url + text, 'kept');
  expect(replayed(again)).toBe('true');
  expect(again.body).toEqual(kept.body);
});
