// Tests the watch over pending jobs against a real Redis.

import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import type { JobRecord } from '../../api/jobs/job-record.js';
import { type JobState, makeJobStates } from '../../api/jobs/job-states.js';
import { JobWatch } from '../../api/jobs/job-watch.js';
import { makeReadLarge } from '../../api/repeat/large-results.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { packReplies } from '../../shared/wire/reply.js';
import { openRedisForAll, waitUntil } from '../harness.js';

const keys = makeKeys('job-watch');
const error = { code: 'model_failed', detail: 'It cannot.' } as const;

const redis = await openRedisForAll();
let states: ReturnType<typeof makeJobStates>;
let watch: JobWatch;

beforeEach(async () => {
  await redis.client.flushall();
  const queue = {
    keysOf: (name: string, id: string) => ({ job: `${name}:${id}`, active: `${name}:active` }),
    uncount: () => {},
  };
  states = makeJobStates({
    ...{ redis: redis.client, keys, queue },
    readLarge: makeReadLarge(redis.client, keys),
  });
  watch = new JobWatch(states);
});

/** Adds a job to the queue. */
async function add(id: string, items = 1): Promise<JobRecord> {
  const now = Date.now();
  await redis.client.hset(`queue:${id}`, 'timestamp', now);
  return {
    ...{ id, caller: 'ada', model: 'model', version: '1', queue: 'queue', queued: id },
    priority: 'interactive',
    items: Array.from({ length: items }, (_, at) => `${id}-${at}`),
    ...{ submittedAt: now, deadlineAt: now + 60_000, keepMs: 60_000, form: { route: 'native' } },
  };
}

function follow(record: JobRecord) {
  const states: JobState['state'][] = [];
  const faults: unknown[] = [];
  const stop = watch.follow(record, {
    onState: ({ state }) => states.push(state),
    onFault: (fault) => faults.push(fault),
  });
  return { states, faults, stop };
}

const keep = (id: string) => redis.client.set(keys.result(id), packReplies([{ id, error }]));

async function countScripts(): Promise<number> {
  const info = await redis.client.info('commandstats');
  return Number(/cmdstat_eval:calls=(\d+)/.exec(info)?.[1] ?? 0);
}

test('looks at many jobs together, for all who follow them', async () => {
  const records = await Promise.all(Array.from({ length: 500 }, (_, at) => add(`job-${at}`)));
  const before = await countScripts();
  const followers = records.flatMap((record) => [follow(record), follow(record)]);
  const told = () => Math.min(...followers.map(({ states }) => states.length));
  await waitUntil('each is told ten times', () => told() >= 10);
  const scripts = (await countScripts()) - before;
  for (const { stop } of followers) stop();
  expect(watch.size).toBe(0);
  // A look has room for 256 jobs.
  expect(scripts).toBeLessThan(100);
});

test('looks at each of very many jobs, however slow the looks are', async () => {
  const look: typeof states.look = async (records) => {
    await delay(60);
    return states.look(records);
  };
  watch = new JobWatch({ look, read: states.read });
  const records = await Promise.all(Array.from({ length: 1500 }, (_, at) => add(`job-${at}`)));
  const followers = records.map(follow);
  await waitUntil('each is told twice', () => followers.every(({ states }) => states.length >= 2));
  for (const { stop } of followers) stop();
});

test('tells the end of a job once, when all its items have results', async () => {
  const record = await add('job', 2);
  const [first, second] = [follow(record), follow(record)];
  await keep('job-0');
  await waitUntil('it is told', () => first.states.length >= 3);
  await keep('job-1');
  await waitUntil('both are told', () =>
    [first, second].every(({ states }) => states.includes('failed')),
  );
  expect(watch.size).toBe(0);
  for (const { states } of [first, second]) {
    expect(states.filter((state) => state !== 'queued')).toEqual(['failed']);
  }
});

test('goes on when a look fails', async () => {
  const record = await add('job');
  const { states, faults, stop } = follow(record);
  await waitUntil('it is told', () => states.length > 0);
  await redis.client.set('queue:active', 'no list');
  await waitUntil('the look has failed', () => faults.length > 1);
  expect(faults[0]).toMatchObject({ code: 'queue_unavailable' });
  await redis.client.del('queue:active');
  await redis.client.rpush('queue:active', 'job');
  await waitUntil('it runs', () => states.includes('running'));
  stop();
  expect(watch.size).toBe(0);
});
