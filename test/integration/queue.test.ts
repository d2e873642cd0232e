import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Queue } from '../../api/queue/queue.js';
import { nowMs } from '../../shared/clock.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { connectForLarge, connectProducer, waitUntilReady } from '../../shared/redis/redis.js';
import { makeRegistry } from '../../shared/registry/registry.js';
import { encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { makeItemId } from '../../shared/wire/item-id.js';
import { decodeJob, type Item, isUnreadable, joinItem } from '../../shared/wire/job.js';
import { priorities } from '../../shared/wire/priority.js';
import { makeQueue as makeWorkerQueue } from '../../worker/queue/redis-queue.js';
import { openRedisForAll, waitUntil } from '../harness.js';
import { openNarrow } from '../narrow.js';
import { makeSampleModel } from '../unit/sample-model.js';

const keys = makeKeys('queue');
const model = makeSampleModel();
const name = model.queue;

const redis = await openRedisForAll();
beforeEach(async () => {
  await redis.client.flushall();
});

async function open(url = redis.url) {
  const log = pino({ level: 'silent' });
  const producer = connectProducer({ url, name: 'api', log });
  const carrier = connectForLarge({ url, name: 'large', log });
  await Promise.all([waitUntilReady(producer), waitUntilReady(carrier)]);
  const registry = makeRegistry([model]);
  const queue = new Queue({ redis: producer, carrier, keys, registry, log });
  onTestFinished(async () => {
    await queue.close();
    producer.disconnect();
    carrier.disconnect();
  });
  return { queue, registry };
}

const text: Tensor = { name: 'text', datatype: 'BYTES', shape: [1], data: encodeStrings(['hi']) };
const pixels: Tensor = {
  name: 'pixels',
  datatype: 'UINT8',
  shape: [1, 9000],
  data: Buffer.alloc(9000, 7),
};
const makeItem = (id: string, withinMs = 5000): Item => ({
  id,
  submittedAt: nowMs(),
  deadlineAt: nowMs() + withinMs,
  inputs: [text, pixels],
  top: 3,
});
const unanswered = () => redis.client.zrange(keys.unanswered(name), '0', '-1');

async function stopRedis(): Promise<() => Promise<void>> {
  await redis.stop('SIGKILL');
  return () => redis.start();
}

/** Reads the waiting jobs from Redis, with their payloads. */
async function jobsInRedis() {
  const ids = await redis.client.lrange(`queue:${name}:wait`, 0, -1);
  return Promise.all(
    ids.map(async (id) => {
      const data = JSON.parse((await redis.client.hget(`queue:${name}:${id}`, 'data')) ?? 'null');
      const payload = await redis.client.hgetallBuffer(keys.payload(id));
      return { data, payload: new Map(Object.entries(payload)), id };
    }),
  );
}

test('large inputs on a slow network are added, and hold up no others', async () => {
  const { queue } = await open(await openNarrow(redis.url, 10_000_000));
  const data = Buffer.alloc(16_000_000, 7);
  const tensor: Tensor = { name: 'large', datatype: 'UINT8', shape: [1, data.length], data };
  const large = { ...makeItem('large', 60_000), inputs: [tensor] };
  let isAdded = false;
  const adding = queue.add(name, { replyTo: 'api-1', items: [large] }).then(() => {
    isAdded = true;
  });
  await queue.add(name, { replyTo: 'api-1', items: [makeItem('small')] });
  expect(isAdded).toBe(false);
  await adding;
  const jobs = await jobsInRedis();
  const sizes = jobs.map(({ payload }) => [...payload.values()].map(({ length }) => length));
  expect(sizes).toEqual([[data.length], [9000]]);
});

test('a queue that has left keeps nothing in Redis without an end, once its jobs are done', async () => {
  const { queue, registry } = await open();
  for (const priority of priorities) {
    await queue.add(name, { replyTo: 'api-1', items: [makeItem('a')] }, { priority });
  }
  const endless = async () => {
    const left = await redis.client.keys('*');
    const ends = await Promise.all(left.map((key) => redis.client.pttl(key)));
    return left.filter((_key, at) => ends[at] === -1);
  };
  const isOfJobs = (key: string) => /:(wait|marker|[\da-f-]{36})$/.test(key);
  expect((await endless()).filter((key) => !isOfJobs(key))).not.toEqual([]);
  registry.replace([]);
  await waitUntil('all ends', async () => (await endless()).every(isOfJobs));
});

describe('a job that is added', () => {
  test('can be read with all its tensors, and its items count as unanswered', async () => {
    const { queue } = await open();
    const items = [makeItem('a', 9000), makeItem('b')];
    await queue.add(name, { replyTo: 'api-1', items });
    const [job] = await jobsInRedis();
    if (!job) throw new Error('There is no job.');
    const decoded = decodeJob(job.data);
    if (isUnreadable(decoded)) throw new Error(decoded.reason);
    expect(decoded.items.map((one) => joinItem(one, job.payload))).toEqual(items);
    expect(await unanswered()).toEqual(['b', 'a']);
    const timeToLiveMs = await redis.client.pttl(keys.payload(job.id));
    expect(timeToLiveMs).toBeGreaterThan(9000);
    expect(timeToLiveMs).toBeLessThanOrEqual(19_001);
  });

  test('counts each row of its items as unanswered, until they are cancelled', async () => {
    const { queue } = await open();
    const item = makeItem(makeItemId('a', 3));
    await queue.add(name, { replyTo: 'api-1', items: [item, makeItem('b')] });
    expect(await unanswered()).toHaveLength(4);
    await queue.cancel(name, item.id, item.deadlineAt);
    expect(await unanswered()).toEqual(['b']);
    await queue.add(name, { replyTo: 'api-1', items: [item] });
    queue.uncount(name, [item.id]);
    await waitUntil('they are not counted', async () => (await unanswered()).length === 1);
  });

  test('is counted before a worker can take it, which may have answered before the next turn', async () => {
    const { queue } = await open();
    const monitor = await redis.client.monitor();
    onTestFinished(() => monitor.disconnect());
    const seen: string[] = [];
    monitor.on('monitor', (_time: string, [command = '', key]: string[]) => {
      if (/^zadd$/i.test(command) && key === keys.unanswered(name)) seen.push('counted');
      // BullMQ adds a job by a script.
      if (/^eval/i.test(command)) seen.push('added');
    });
    await queue.add(name, { replyTo: 'api-1', items: [makeItem('a')] });
    await waitUntil('two commands', () => seen.length >= 2);
    expect(seen.slice(0, 2)).toEqual(['counted', 'added']);
  });

  test('keeps the bytes of a large tensor, whatever array of bytes they are', async () => {
    const { queue } = await open();
    const data = Uint8Array.from({ length: 5000 }, (_, at) => at % 251);
    const large = { name: 'large', datatype: 'UINT8', shape: [1, 5000], data } as const;
    await queue.add(name, { replyTo: 'api-1', items: [{ ...makeItem('a'), inputs: [large] }] });
    const [job] = await jobsInRedis();
    const decoded = decodeJob(job?.data);
    if (isUnreadable(decoded) || !job) throw new Error('The job cannot be read.');
    const [joined] = decoded.items.map((one) => joinItem(one, job.payload));
    expect(Buffer.from(joined?.inputs[0]?.data ?? []).equals(data)).toBe(true);
  });

  test('is refused if its model is no longer served, and leaves nothing behind', async () => {
    const { queue, registry } = await open();
    registry.replace([]);
    const added = queue.add(name, { replyTo: 'api-1', items: [makeItem('a')] });
    await expect(added).rejects.toMatchObject({ code: 'queue_unavailable' });
    expect(await unanswered()).toEqual([]);
  });

  test('is said to be lost only if that is certain', async () => {
    const { queue } = await open();
    const detailOf = () =>
      queue.add(name, { replyTo: 'api-1', items: [makeItem('a')] }).then(
        () => 'added',
        (error: Error) => error.message,
      );
    await redis.client.config('SET', 'maxmemory', '1');
    expect(await detailOf()).toContain('Nothing of this request was kept');
    await redis.client.config('SET', 'maxmemory', '0');
    // Redis holds the commands back for longer than the API waits, and carries them out then.
    await redis.client.client('PAUSE', 60_000, 'WRITE');
    expect(await detailOf()).toContain('may or may not');
    await redis.client.client('UNPAUSE');
    await waitUntil('the job is there', async () => (await jobsInRedis()).length === 1);
  });

  test('is refused while Redis is unreachable', async () => {
    const { queue } = await open();
    await redis.stop('SIGKILL');
    onTestFinished(() => redis.start());
    const added = queue.add(name, { replyTo: 'api-1', items: [makeItem('a')] });
    await expect(added).rejects.toMatchObject({ code: 'queue_unavailable', retryAfterSeconds: 1 });
  });

  test.each(priorities)(
    'at the priority %s outlasts a short pause of Redis, is refused if it hangs, and the process goes on',
    async (priority) => {
      const { queue } = await open();
      const unheard: unknown[] = [];
      const note = (reason: unknown) => unheard.push(reason);
      process.on('unhandledRejection', note);
      onTestFinished(() => void process.off('unhandledRejection', note));
      const resume = await redis.suspend();
      const added = queue.add(name, { replyTo: 'api-1', items: [makeItem('a')] }, { priority });
      const pauseMs = 1200;
      const first = await Promise.race([added.catch(() => 'is refused'), delay(pauseMs, 'waits')]);
      expect(first).toBe('waits');
      await expect(added).rejects.toMatchObject({ code: 'queue_unavailable' });
      await resume();
      await waitUntil('Redis answers', () => queue.unansweredIn(name) !== undefined);
      expect(unheard).toEqual([]);
    },
  );
});

test.each(['is silent', 'has just ended'])(
  'a job is taken by a queue that was opened while Redis %s, once it answers',
  async (state) => {
    const { queue, registry } = await open();
    const other = makeSampleModel({ name: 'other' });
    // Nothing has told the connection yet.
    const resume = state === 'is silent' ? await redis.suspend() : await stopRedis();
    registry.replace([other]);
    await waitUntil('commands fail', () => queue.isAway);
    await resume();
    await waitUntil('Redis answers', () => !queue.isAway);
    for (const priority of priorities) {
      await queue.add(other.queue, { replyTo: 'x', items: [makeItem(priority)] }, { priority });
    }
  },
);

test.each(priorities)(
  'API and workers look at the same place for a job of the priority %s',
  async (priority) => {
    const { queue } = await open();
    await queue.add(name, { replyTo: 'api-1', items: [makeItem('a')] }, { priority, id: 'j' });
    const log = pino({ level: 'silent' });
    const inWorker = makeWorkerQueue({ name, priority, redis: redis.client, keys, log });
    const { job, active } = queue.keysOf(name, 'j', priority);
    expect(inWorker.placeOf('j')).toEqual({ id: 'j', job, active });
    expect(await redis.client.exists(job)).toBe(1);
  },
);

test('a cancelled item no longer counts as unanswered, and stays marked until its deadline', async () => {
  const { queue } = await open();
  const [a, b] = [makeItem('a'), makeItem('b')];
  await queue.add(name, { replyTo: 'api-1', items: [a, b] });
  await redis.client.zadd(keys.cancelled(name), nowMs() - 1, 'of yesterday');
  await queue.cancel(name, 'a', a.deadlineAt);
  expect(await unanswered()).toEqual(['b']);
  expect(await redis.client.zrange(keys.cancelled(name), '0', '-1')).toEqual(['a']);
  expect(Number(await redis.client.zscore(keys.cancelled(name), 'a'))).toBeCloseTo(a.deadlineAt, 3);
});

test('an item that is cancelled while Redis is full no longer counts as unanswered', async () => {
  const { queue } = await open();
  const [a, b] = [makeItem('a'), makeItem('b')];
  await queue.add(name, { replyTo: 'api-1', items: [a, b] });
  await redis.client.config('SET', 'maxmemory', '1');
  onTestFinished(async () => void (await redis.client.config('SET', 'maxmemory', '0')));
  await expect(queue.cancel(name, 'a', a.deadlineAt)).rejects.toThrow('OOM');
  expect(await unanswered()).toEqual(['b']);
});

describe('the unanswered items', () => {
  test('are unknown at first, then counted without those past their deadline', async () => {
    const { queue } = await open();
    expect(queue.unansweredIn(name)).toBeUndefined();
    await queue.add(name, { replyTo: 'x', items: [makeItem('late', 5), makeItem('a')] });
    await waitUntil('they are counted', () => queue.unansweredIn(name) === 1);
    expect(await unanswered()).toEqual(['a']);
  });

  test('are unknown while Redis is unreachable, and known again afterwards', async () => {
    const { queue } = await open();
    await waitUntil('they are counted', () => queue.unansweredIn(name) === 0);
    expect(queue.isAway).toBe(false);
    await redis.stop();
    await waitUntil('they are unknown', () => queue.unansweredIn(name) === undefined);
    expect(queue.isAway).toBe(true);
    await redis.start();
    await waitUntil('they are known again', () => queue.unansweredIn(name) === 0 && !queue.isAway);
  });

  test('are counted for the models that are served', async () => {
    const { queue, registry } = await open();
    const other = makeSampleModel({ name: 'other' });
    await redis.client.zadd(keys.unanswered(other.queue), nowMs() + 60_000, 'x');
    registry.replace([other]);
    await waitUntil('the new one is counted', () => queue.unansweredIn(other.queue) === 1);
    expect(queue.unansweredIn(name)).toBeUndefined();
    await queue.add(other.queue, { replyTo: 'x', items: [makeItem('y')] });
  });
});

test('live workers and their counts are read for each queue, in order', async () => {
  const { queue } = await open();
  await redis.client.zadd(keys.workers('a'), nowMs() + 5000, 'w1', nowMs() + 5000, 'w2');
  await redis.client.zadd(keys.workers('b'), nowMs() - 5000, 'gone');
  await redis.client.hset(keys.counts('b'), 'dropped', 3);
  expect(await queue.countWorkers(['b', 'a', 'c'])).toEqual([0, 2, 0]);
  expect(await queue.readCounts(['a', 'b'])).toEqual([
    { dropped: 0, crashed: 0, unreadable: 0, fallbacks: 0 },
    { dropped: 3, crashed: 0, unreadable: 0, fallbacks: 0 },
  ]);
});
