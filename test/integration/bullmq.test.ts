// Tests BullMQ's undocumented behaviour that worker/queue/bullmq.ts relies on, against a real
// Redis. If a test fails after an update of BullMQ, look up its number in that file.

import { setTimeout as delay } from 'node:timers/promises';
import { Queue as BullQueue } from 'bullmq';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { connectConsumer } from '../../shared/redis/redis.js';
import { takeJobs } from '../../worker/queue/bullmq.js';
import {
  GivenBack,
  type TakenJob,
  type TakeOptions,
  type Taking,
  Unparsed,
} from '../../worker/queue/queue.js';
import { openRedisForAll, waitUntil } from '../harness.js';

const prefix = 'test';
const name = 'queue';
const log = makeLogger({ role: 'test', level: 'silent' });

const redis = await openRedisForAll();
let queue: BullQueue;
const connection = connectConsumer({ url: redis.url, name: 'test', log });
afterAll(() => connection.disconnect());
const takings: Taking[] = [];

beforeEach(async () => {
  await redis.client.flushall();
  queue = new BullQueue(name, { connection: redis.client, prefix });
});
afterEach(async () => {
  await Promise.all(takings.splice(0).map((taking) => taking.close()));
  await queue.close();
});

/** Starts a worker that hands each job to the test. */
function take(
  process: (job: TakenJob, taking: Taking) => Promise<void>,
  beforeTake: TakeOptions['beforeTake'] = async () => true,
): Taking {
  const taking: Taking = takeJobs({
    ...{ name, prefix, log, redis: connection, beforeTake },
    process: (job) => process(job, taking),
  });
  takings.push(taking);
  return taking;
}
const add = (data: unknown) => queue.add('batch', data);
const key = (part: string) => `${prefix}:${name}:${part}`;
const lengthOf = (list: string) => redis.client.llen(key(list));
const untilGone = () =>
  waitUntil('the job has left the queue', async () => {
    const keys = await redis.client.keys(key('*'));
    return keys.every((found) => !/:(wait|active|failed|completed|[0-9]+)(:lock)?$/.test(found));
  });

test('1. the worker looks for a job by `moveToActive`, which waits for `beforeTake`', async () => {
  let allow = () => {};
  const allowed = new Promise<void>((resolve) => {
    allow = resolve;
  });
  let asked = 0;
  const taken: string[] = [];
  take(
    async ({ id }) => void taken.push(id),
    async () => {
      asked++;
      await allowed;
      return true;
    },
  );
  const { id } = await add({});
  await waitUntil('`beforeTake` is called', () => asked > 0);
  expect(await lengthOf('wait')).toBe(1);
  allow();
  await untilGone();
  expect(taken).toEqual([id]);
});

describe('2. `createJob` parses the data', () => {
  test.each(['{"half', '', 'nan', '\u0000'])(
    '%j, which is not JSON, is still delivered, once',
    async (text) => {
      const taken: TakenJob[] = [];
      await redis.client.hset(key('7'), { name: 'batch', data: text, opts: '{}', timestamp: '1' });
      await redis.client.lpush(key('wait'), '7');
      take(async (job) => void taken.push(job));
      await untilGone();
      expect(taken).toHaveLength(1);
      // BullMQ reads missing data as an empty object.
      if (text !== '') expect(taken[0]?.data).toBeInstanceOf(Unparsed);
    },
  );

  test('a job that is not JSON can be fetched when the job before it ends', async () => {
    const taken: unknown[] = [];
    await add({ first: true });
    await redis.client.hset(key('7'), { name: 'batch', data: '{', opts: '{}', timestamp: '1' });
    await redis.client.lpush(key('wait'), '7');
    await add({ last: true });
    take(async ({ data }) => void taken.push(data));
    await untilGone();
    expect(taken).toEqual([{ first: true }, expect.any(Unparsed), { last: true }]);
  });

  test('a job without a hash is delivered too', async () => {
    const taken: unknown[] = [];
    await redis.client.lpush(key('wait'), 'nothing');
    take(async ({ data }) => void taken.push(data));
    await waitUntil('the job was taken', () => taken.length > 0);
    await waitUntil('the job is done', async () => (await lengthOf('active')) === 0);
    expect(taken).toEqual([{}]);
  });
});

test('3. and 4. `concurrency`, set before the first `await`, holds for the next look', async () => {
  const taken: string[] = [];
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  take(async ({ id }, taking) => {
    taken.push(id);
    taking.setJobsMax(Math.min(taken.length + 1, 3));
    await finished;
  });
  for (let job = 0; job < 5; job++) await add({});
  await waitUntil('three are taken', () => taken.length === 3);
  // Long enough for another look.
  await delay(1200);
  expect(taken).toHaveLength(3);
  expect(await lengthOf('wait')).toBe(2);
  finish();
  await untilGone();
});

test('4. `concurrency` can be lowered again', async () => {
  let inProcess = 0;
  let most = 0;
  let seen = 0;
  take(async (_job, taking) => {
    seen++;
    taking.setJobsMax(seen < 10 ? 3 : 1);
    inProcess++;
    if (seen > 13) most = Math.max(most, inProcess);
    await delay(10);
    inProcess--;
  });
  for (let job = 0; job < 30; job++) await add({});
  await untilGone();
  expect(seen).toBe(30);
  expect(most).toBe(1);
});

describe('5. and 6. a job that rejects', () => {
  test('is delivered again once its lock has run out, and counts as stalled', async () => {
    const taken: number[] = [];
    take(async ({ losses }) => {
      taken.push(losses);
      if (taken.length === 1) throw new Error('Not done.');
    });
    await add({});
    await waitUntil('it was taken', () => taken.length === 1);
    expect(await lengthOf('active')).toBe(1);
    await untilGone();
    expect(taken).toEqual([0, 1]);
  });

  test('does not keep its worker from other jobs', async () => {
    const taken: unknown[] = [];
    take(async ({ data, losses }) => {
      taken.push(data);
      if (data === 'bad' && losses === 0) throw new Error('Not done.');
    });
    await add('bad');
    for (let job = 0; job < 5; job++) await add('good');
    await untilGone();
    expect(taken.filter((data) => data === 'good')).toHaveLength(5);
    expect(taken.filter((data) => data === 'bad')).toHaveLength(2);
  });
});

test('7. `moveToWait` gives a job back at once, and does not count as a stall', async () => {
  const taken: number[] = [];
  take(async (job) => {
    taken.push(job.losses);
    if (taken.length > 1) return;
    await job.giveBack();
    throw new GivenBack();
  });
  await add({});
  await untilGone();
  expect(taken).toEqual([0, 0]);
});

test('8. a worker that Redis refuses a job waits before it looks again', async () => {
  await redis.client.config('SET', 'maxmemory', '1');
  let asked = 0;
  const startedAt = performance.now();
  take(
    async () => {},
    async () => {
      asked++;
      return true;
    },
  );
  await waitUntil('it has looked three times', () => asked >= 3);
  await redis.client.config('SET', 'maxmemory', '0');
  expect(performance.now() - startedAt).toBeGreaterThan(390);
});

test('a job stays locked while it is in process', async () => {
  let taken = 0;
  for (let worker = 0; worker < 2; worker++) {
    take(async () => {
      taken++;
      await delay(3000);
    });
  }
  await add({});
  await untilGone();
  expect(taken).toBe(1);
});

describe('9. `close`', () => {
  test('stops waiting for a job at once', async () => {
    const taking = take(async () => {});
    await waitUntil('the worker waits for a job', async () =>
      String(await redis.client.client('LIST')).includes('cmd=bzpopmin'),
    );
    await taking.close();
  });

  test('waits for jobs in process, and takes no more', async () => {
    const taken: string[] = [];
    let finish = () => {};
    const taking = take(async ({ id }) => {
      taken.push(id);
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    const { id } = await add({});
    await waitUntil('it was taken', () => taken.length === 1);
    await add({});
    const closed = taking.close();
    finish();
    await closed;
    expect(taken).toEqual([id]);
    expect(await lengthOf('wait')).toBe(1);
    expect(await lengthOf('active')).toBe(0);
  });
});

test('10. a look that is left out loses no job', async () => {
  const taken: string[] = [];
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const { id: first } = await add({});
  let last: string | undefined;
  take(
    async ({ id }, taking) => {
      taken.push(id);
      if (id !== first) return;
      taking.setJobsMax(2);
      await ended;
      // With this, the end of the job does not ask for the next one, because the look runs.
      taking.setJobsMax(1);
    },
    async () => {
      if (taken.length !== 1 || last !== undefined) return true;
      ({ id: last } = await add({}));
      end();
      await untilGoneFrom('active', first as string);
      return false;
    },
  );
  await waitUntil('the last job has been taken', () => taken.length === 2);
  expect(taken).toEqual([first, last]);
});

describe('11. a look behind the wait for a job', () => {
  const isWaiting = async () => String(await redis.client.client('LIST')).includes('cmd=bzpopmin');

  test('takes the job on the connection that waits, and nothing asks for it once more', async () => {
    const taken: string[] = [];
    take(async ({ id }) => void taken.push(id));
    await waitUntil('the worker waits for a job', isWaiting);
    const seen: { command: string; source: string }[] = [];
    const monitor = await redis.client.duplicate().monitor();
    monitor.on('monitor', (_time: string, [command]: string[], source: string) =>
      seen.push({ command: String(command), source }),
    );
    const { id } = await add({});
    await untilGone();
    expect(taken).toEqual([id]);
    const indexOf = (wanted: string) => seen.findIndex(({ command }) => command === wanted);
    // The wait may have begun again before the job came.
    await waitUntil('the worker has looked, and waits again', () =>
      ['RPOPLPUSH', 'bzpopmin'].every((command) => indexOf(command) >= 0),
    );
    const scripts = seen
      .slice(0, indexOf('RPOPLPUSH'))
      .filter(({ command }) => /^eval/.test(command));
    expect(scripts.at(-1)?.source).toBe(seen[indexOf('bzpopmin')]?.source);
    monitor.disconnect();
  });

  test('finds nothing if the wait ends for nothing', async () => {
    const taken: string[] = [];
    take(async ({ id }) => void taken.push(id));
    await waitUntil('the worker waits for a job', isWaiting);
    await delay(1100);
    const { id } = await add({});
    await untilGone();
    expect(taken).toEqual([id]);
  });

  test('locks the job with its own token, which is renewed', async () => {
    const tokens: (string | null)[] = [];
    const found: number[] = [];
    take(async ({ id, losses }) => {
      found.push(losses);
      for (let at = 0; at < 3; at++) {
        tokens.push(await redis.client.get(key(`${id}:lock`)));
        await delay(700);
      }
    });
    await waitUntil('the worker waits for a job', isWaiting);
    await add({});
    await untilGone();
    expect(new Set(tokens)).toEqual(new Set([expect.any(String)]));
    expect(found).toEqual([0]);
  });
});

describe('12. the marker on which workers wait', () => {
  /** Has `workers` of them do `jobs`, two at a time each, and returns how often one looked in vain. */
  async function looksInVain(workers: number, jobs: number): Promise<number> {
    const taken: string[] = [];
    for (let at = 0; at < workers; at++) {
      take(async ({ id }, taking) => {
        taking.setJobsMax(2);
        taken.push(id);
        await delay(20);
      });
    }
    const countWaits = async () =>
      String(await redis.client.client('LIST')).split('cmd=bzpopmin').length - 1;
    const untilAllWait = () =>
      waitUntil('all workers wait', async () => (await countWaits()) === workers);
    await untilAllWait();
    await redis.client.config('RESETSTAT');
    const ids = await Promise.all(Array.from({ length: jobs }, async () => (await add({})).id));
    await waitUntil('all jobs are done', () => taken.length === jobs);
    await untilGone();
    await untilAllWait();
    expect(taken.toSorted()).toEqual(ids.toSorted());
    const stats = await redis.client.info('commandstats');
    const looks = Number(/cmdstat_rpoplpush:calls=(\d+)/.exec(stats)?.[1]);
    await Promise.all(takings.splice(0).map((taking) => taking.close()));
    return looks - jobs;
  }

  test('is not there once the last job that waits is taken', async () => {
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    take(() => finished);
    const { id } = await add({});
    await waitUntil('the job is in process', async () => (await lengthOf('active')) === 1);
    expect(await redis.client.exists(key('marker'))).toBe(0);
    const more = await Promise.all([add({}), add({})]);
    expect(await redis.client.zscore(key('marker'), '0')).toBe('0');
    expect(more.map((job) => job.id)).not.toContain(id);
    finish();
    await untilGone();
    expect(await redis.client.exists(key('marker'))).toBe(0);
  });

  // The end of a job asks for the next one. Besides, each worker looks by itself once a second.
  test.each([1, 4])('wakes none of %i workers up for nothing', async (workers) => {
    await waitUntil(
      'a job costs one look in vain',
      async () => (await looksInVain(workers, 1)) === 1,
    );
  });

  test.each([1, 3])('lets %i workers find all jobs', async (workers) => {
    await looksInVain(workers, 30);
  });
});

test('12. a worker takes jobs, also if Redis did not tell its version when the worker was opened', async () => {
  await redis.client.acl('SETUSER', 'default', '-info');
  try {
    take(async () => {});
    await add({});
    await untilGone();
  } finally {
    await redis.client.acl('SETUSER', 'default', '+info');
  }
});

async function untilGoneFrom(list: string, id: string): Promise<void> {
  await waitUntil(`${id} is not in ${list}`, async () => {
    return !(await redis.client.lrange(key(list), 0, -1)).includes(id);
  });
}
