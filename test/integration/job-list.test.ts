// Tests the list of jobs against a real Redis, with records and results as API and workers write them.

import { beforeAll, describe, expect, test } from 'vitest';
import type { JobRecord } from '../../api/jobs/job-record.js';
import { type JobStates, makeJobStates } from '../../api/jobs/job-states.js';
import { makeJobStore } from '../../api/jobs/job-store.js';
import { JobWatch } from '../../api/jobs/job-watch.js';
import { Jobs } from '../../api/jobs/jobs.js';
import { makeReadLarge } from '../../api/repeat/large-results.js';
import type { ErrorCode } from '../../shared/errors.js';
import { keepJobResults } from '../../shared/redis/kept-results.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { packReplies } from '../../shared/wire/reply.js';
import { openRedisForAll } from '../harness.js';

const keys = makeKeys('job-list');
const caller = 'caller';
const bytes = 500_000;
const timing = { queueMs: 1, batchMs: 1, computeMs: 1, batchSize: 1 };

const redis = await openRedisForAll();
let jobs: Jobs;
let records: JobRecord[];
let jobStates: JobStates;

beforeAll(async () => {
  const { client } = redis;
  const webhooks = { partsOf: () => ({ names: [], values: [] }) };
  const store = makeJobStore({ redis: client, keys, jobsMax: 100, webhooks });
  const queue = {
    keysOf: (name: string, id: string) => ({ job: `${name}:${id}`, active: `${name}:active` }),
    uncount: () => {},
  };
  const states = makeJobStates({
    ...{ redis: client, keys, queue },
    readLarge: makeReadLarge(client, keys),
  });
  jobStates = states;
  const lines = { of: async () => undefined };
  jobs = new Jobs({ store, states, watch: new JobWatch(states), lines });
  records = Array.from({ length: 5 }, (_, at) => makeRecord(at));
  for (const record of records) await store.add(record);
  const [long, failed, cancelled, queued] = records.map(({ items }) => items) as string[][];
  await keepOutputs(long?.[0], bytes);
  await keepOutputs(long?.[1], 1);
  await keepOutputs(failed?.[0], bytes);
  await keepError(failed?.[1], 'inputs_refused', '€'.repeat(1000));
  await keepError(cancelled?.[0], 'model_failed', 'The model failed on this input.');
  await keepError(cancelled?.[1], 'job_cancelled', 'The caller cancelled this job.');
  await keepOutputs(queued?.[0], bytes);
  await client.hset(`queue:${records[3]?.queued}`, 'timestamp', Date.now());
});

function makeRecord(at: number): JobRecord {
  const submittedAt = Date.now() + at;
  return {
    ...{
      id: `job-${at}`,
      caller,
      model: 'model',
      version: '1',
      queue: 'queue',
      priority: 'interactive',
      queued: `in-${at}`,
    },
    ...{ items: [`item-${at}-a`, `item-${at}-b`], keepMs: 60_000, form: { route: 'native' } },
    ...{ submittedAt, deadlineAt: submittedAt + 60_000 },
  };
}

async function keepOutputs(id = '', size = 0): Promise<void> {
  const output = {
    name: 'output',
    datatype: 'UINT8',
    shape: [size],
    data: Buffer.alloc(size),
  } as const;
  await redis.client.set(keys.result(id), packReplies([{ id, outputs: [output], timing }]));
}

async function keepError(id = '', code: ErrorCode, detail: string): Promise<void> {
  await redis.client.set(keys.result(id), packReplies([{ id, error: { code, detail } }]));
}

test('says the same states as the jobs themselves', async () => {
  const page = await jobs.list(caller, { count: 100, filter: {} }, () => 'here');
  expect(page.jobs.map(({ record, state }) => [record.id, state])).toEqual([
    ['job-4', 'expired'],
    ['job-3', 'queued'],
    ['job-2', 'cancelled'],
    ['job-1', 'failed'],
    ['job-0', 'succeeded'],
  ]);
  for (const { record, state } of page.jobs) {
    expect((await jobs.read(record)).state, record.id).toBe(state);
  }
});

test('says of a job whose worker was killed that it has expired, once its deadline is long past', async () => {
  const { client } = redis;
  const states = [];
  for (const [at, [lateMs, isLocked]] of [
    [5_000, false],
    [15_000, true],
    [15_000, false],
  ].entries() as Iterable<[number, [number, boolean]]>) {
    const record = { ...makeRecord(10 + at), deadlineAt: Date.now() - lateMs };
    const takenAt = record.deadlineAt - 1000;
    await client.hset(`queue:${record.queued}`, { timestamp: takenAt, processedOn: takenAt });
    await client.lpush('queue:active', record.queued);
    if (isLocked) await client.set(`queue:${record.queued}:lock`, 'token');
    const [looked] = await jobStates.look([record]);
    expect(await jobStates.list([record])).toEqual([looked]);
    expect(await jobStates.read(record)).toEqual({ state: looked });
    // What its worker still finds out is kept only of a job that has not expired.
    const place = { id: record.queued, job: `queue:${record.queued}`, active: 'queue:active' };
    const bytes = Buffer.from('x');
    const id = record.items[0] as string;
    const result = { id, keepMs: 1000, bytes, place, deadlineAt: record.deadlineAt };
    await keepJobResults({ redis: client, keys }, [result], Date.now());
    states.push([looked, await client.exists(keys.result(id))]);
  }
  expect(states).toEqual([
    ['running', 1],
    ['running', 1],
    ['expired', 0],
  ]);
});

test('does not read whole results', async () => {
  const sent = async () => {
    const info = await redis.client.info('stats');
    return Number(/total_net_output_bytes:(\d+)/.exec(info)?.[1]);
  };
  const before = await sent();
  await jobs.list(caller, { count: 100, filter: { state: 'queued' } }, () => 'here');
  expect((await sent()) - before).toBeLessThan(bytes);
});

test('says of a job that has expired with its model what the job itself says', async () => {
  const states = async (filter: { state?: 'succeeded' | 'expired' }) => {
    const page = await jobs.list(caller, { count: 100, filter }, () => 'gone');
    return page.jobs.map(({ record, state }) => [record.id, state]);
  };
  expect(await states({})).toContainEqual(['job-0', 'expired']);
  expect(await states({})).toContainEqual(['job-1', 'failed']);
  expect(await states({ state: 'succeeded' })).toEqual([]);
  expect(await states({ state: 'expired' })).toContainEqual(['job-0', 'expired']);
  const cancelling = jobs.cancel(records[0] as JobRecord, () => 'gone');
  await expect(cancelling).rejects.toThrow('this one has expired');
});

test('says that a job is running whose model only other instances know yet', async () => {
  const { jobs: found } = await jobs.list(caller, { count: 100, filter: {} }, () => 'awaited');
  const states = found.map(({ record, state }) => [record.id, state]);
  expect(states).toContainEqual(['job-0', 'running']);
  expect(states).toContainEqual(['job-1', 'failed']);
  const cancelling = jobs.cancel(records[0] as JobRecord, () => 'awaited');
  await expect(cancelling).rejects.toThrow('this one has succeeded');
});

describe('the places of a caller', () => {
  const webhooks = { partsOf: () => ({ names: [], values: [] }) };
  const openStore = () => makeJobStore({ redis: redis.client, keys, jobsMax: 3, webhooks });
  const makeOwn = (at: number, owner: string): JobRecord => ({
    ...makeRecord(at),
    ...{ id: `${owner}-${at}`, caller: owner },
  });

  test('are no more than it may have jobs, also for requests at the same time', async () => {
    const store = openStore();
    const own = Array.from({ length: 10 }, (_, at) => makeOwn(at, 'ada'));
    const taken = await Promise.allSettled(own.map((record) => store.takePlace(record)));
    expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    expect(taken.at(-1)).toMatchObject({
      reason: { code: 'overloaded', reason: 'caller_jobs_full' },
    });
    const [first] = own as [JobRecord];
    await store.takePlace(first);
    await store.add(first);
    await store.takePlace(makeOwn(0, 'bob'));
  });

  test('are given back by a job that is not added, and by no other', async () => {
    const store = openStore();
    const [added, failed, next, last] = [0, 1, 2, 3].map((at) => makeOwn(at, 'eve')) as [
      JobRecord,
      JobRecord,
      JobRecord,
      JobRecord,
    ];
    for (const record of [added, failed]) await store.takePlace(record);
    await store.add(added);
    for (const record of [added, failed]) store.giveBackPlace(record);
    await store.takePlace(next);
    await store.takePlace(last);
    await expect(store.takePlace(failed)).rejects.toMatchObject({ code: 'overloaded' });
  });

  test('are free after the deadlines of jobs that are not added, and not before the others are forgotten', async () => {
    const store = openStore();
    const own = [0, 1, 2, 3, 4].map((at) => makeOwn(at, 'joe'));
    const ends = keys.jobsEnd('joe');
    const added = { ...(own[0] as JobRecord), deadlineAt: Date.now() - 1000 };
    await store.add(added);
    const forgottenAt = await redis.client.zscore(ends, added.id);
    await store.takePlace(added);
    expect(await redis.client.zscore(ends, added.id)).toBe(forgottenAt);
    for (const record of own.slice(1))
      await store.takePlace({ ...record, deadlineAt: Date.now() - 1000 });
    for (const record of own.slice(1, 3)) await store.takePlace(record);
    await expect(store.takePlace(own[3] as JobRecord)).rejects.toMatchObject({
      code: 'overloaded',
    });
  });

  test('are no more with a job that is done again after it was forgotten', async () => {
    const store = openStore();
    const [again, ...others] = [0, 1, 2, 3].map((at) => makeOwn(at, 'zoe')) as [
      JobRecord,
      ...JobRecord[],
    ];
    await store.takePlace(others[0] as JobRecord);
    await store.takePlace({ ...again, deadlineAt: Date.now() - 3_600_000 });
    for (const record of others) await store.takePlace(record);
    await expect(store.takePlace(again)).rejects.toMatchObject({ code: 'overloaded' });
  });
});
