import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { anyone } from '../../api/access/caller.js';
import type { JobRecord } from '../../api/jobs/job-record.js';
import { makeJobStore } from '../../api/jobs/job-store.js';
import { type Claim, PendingWebhooks } from '../../api/webhooks/pending-webhooks.js';
import { Places } from '../../api/webhooks/places.js';
import { nowMs } from '../../shared/clock.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { openRedisForAll, waitUntil } from '../harness.js';

const origin = 'https://hooks.example.com';
const keys = makeKeys('pending');
const turns = keys.webhookTurns(origin);
const turnsNow = () => redis.client.zrange(turns, '0', '-1');

const redis = await openRedisForAll();
let pending: PendingWebhooks;

beforeEach(async () => {
  await redis.client.flushall();
  pending = new PendingWebhooks({ redis: redis.client, keys, pendingMax: 10, deadMax: 100 });
});

const recordOf = (id: string, caller: string): JobRecord => ({
  ...{ id, caller, model: 'any', version: '1', queue: 'any-1', queued: id, items: [id] },
  ...{ priority: 'interactive', form: { route: 'native' }, keepMs: 60_000 },
  ...{ submittedAt: nowMs(), deadlineAt: nowMs() + 60_000, webhook: `${origin}/path` },
});

/** Adds a job, in the place of another one if there is one. */
const add = (id: string, caller: string, replaced?: JobRecord) =>
  makeJobStore({ redis: redis.client, keys, jobsMax: 1000, webhooks: pending }).add(
    recordOf(id, caller),
    replaced,
  );

const hurry = (job: string, caller: string) => pending.hurry([{ origin, caller, job }]);

/** Claims for this long, with this many places, of which callers hold some. */
const claim = (free: number, { held = {} as Record<string, number>, forMs = 60_000 } = {}) =>
  pending.claim(new Map([[origin, { free, held: new Map(Object.entries(held)) }]]), forMs);

const settle = async (one: Claim, state: 'retrying' | 'delivered' | 'dead') => {
  const webhook = await pending.read(one.job);
  if (webhook) await pending.settle(one, webhook, { ...webhook, state, at: nowMs(), error: '' });
};

describe('the room of a host', () => {
  /** Submits as long as there is room. Returns how many had some, and why the next had none. */
  const fill = async (caller: string, name = caller) => {
    for (let count = 0; ; count++) {
      try {
        await pending.requireRoom({ caller, webhook: origin });
      } catch (error) {
        return { count, error };
      }
      await add(`${name}-${count}`, caller);
    }
  };

  test('is shared: whoever has taken as much as is left gets no more', async () => {
    expect(await fill('ada')).toMatchObject({
      count: 5,
      error: {
        ...{ code: 'overloaded', reason: 'caller_webhooks_full' },
        message: expect.stringContaining('this one has 5 already'),
      },
    });
    expect(await fill('bob')).toMatchObject({
      count: 3,
      error: { reason: 'caller_webhooks_full' },
    });
    expect(await fill('eve')).toMatchObject({
      count: 1,
      error: { reason: 'caller_webhooks_full' },
    });
    expect(await fill('joe')).toMatchObject({
      count: 1,
      error: {
        ...{ code: 'overloaded', reason: 'webhooks_full' },
        message: expect.stringContaining('fewer than 10 webhooks'),
      },
    });
    expect(await pending.count([origin, 'https://other.example.com'])).toEqual({
      ...{ pending: [10, 0], dead: 0 },
    });
  });

  test('is free again when webhooks are delivered', async () => {
    const { count } = await fill('ada');
    for (let at = 0; at < count; at++) await hurry(`ada-${at}`, 'ada');
    for (const one of await claim(100)) await settle(one, 'delivered');
    expect(await fill('ada', 'more')).toMatchObject({ count: 5 });
  });

  test('is all of one caller where nobody says who asks', async () => {
    expect(await fill(anyone.id)).toMatchObject({ count: 10, error: { reason: 'webhooks_full' } });
  });

  test('is that of each host', async () => {
    await fill('ada');
    await pending.requireRoom({ caller: 'ada', webhook: 'https://hooks.example.com:8443/' });
    await pending.requireRoom({ caller: 'ada', webhook: undefined });
  });
});

describe('a claim', () => {
  const callersOf = async (claims: Promise<Claim[]>) => (await claims).map(({ caller }) => caller);
  const dueOf = async (caller: string, count: number) => {
    for (let at = 0; at < count; at++) {
      await add(`${caller}-${at}`, caller);
      await hurry(`${caller}-${at}`, caller);
    }
  };

  test('leaves each caller fewer places than are free', async () => {
    await dueOf('ada', 9);
    expect(await callersOf(claim(8))).toEqual(['ada', 'ada', 'ada', 'ada']);
    expect(await callersOf(claim(4, { held: { ada: 4 } }))).toEqual([]);
    await dueOf('bob', 9);
    expect(await callersOf(claim(4, { held: { ada: 4 } }))).toEqual(['bob', 'bob']);
    expect(await callersOf(claim(6, { held: { ada: 2 } }))).toHaveLength(4);
  });

  test('takes those first that are due for longest', async () => {
    await dueOf('ada', 2);
    await redis.client.zadd(keys.webhooks(origin, 'ada'), 1, 'ada-1');
    expect((await claim(4)).map(({ job }) => job)).toEqual(['ada-1', 'ada-0']);
  });

  test('finds who has something due behind any number who have not', async () => {
    for (let at = 0; at < 50; at++) await dueOf(`done-${at}`, 1);
    for (const one of await claim(1000)) await settle(one, 'delivered');
    for (let at = 0; at < 50; at++) await redis.client.zadd(turns, 1, `done-${at}`);
    await dueOf('ada', 1);
    expect(await callersOf(claim(1))).toEqual(['ada']);
    expect(await turnsNow()).toEqual(['ada']);
  });

  test('serves the callers in turn', async () => {
    for (const caller of ['ada', 'bob', 'eve']) await dueOf(caller, 9);
    const first = await callersOf(claim(3));
    expect(first.toSorted()).toEqual(['ada', 'bob', 'eve']);
    const single = async () => {
      const before = Math.floor(nowMs());
      await waitUntil('the turns have other times', () => nowMs() >= before + 1);
      return (await callersOf(claim(1)))[0];
    };
    expect([await single(), await single(), await single()]).toEqual(first);
  });

  test('that ends makes its webhook due again', async () => {
    await dueOf('ada', 1);
    const [first] = await claim(1, { forMs: 1 });
    let again: Claim[] = [];
    await waitUntil('it can be claimed', async () => {
      again = await claim(1);
      return again.length > 0;
    });
    expect(again).toMatchObject([{ job: first?.job, caller: 'ada' }]);
    // A claim that has ended changes nothing.
    await pending.postpone(first as Claim, 0);
    expect(await claim(1)).toEqual([]);
    await pending.postpone(again[0] as Claim, 0);
    expect(await claim(1)).toHaveLength(1);
  });

  test('forgets its webhook, but not that of the same job done again', async () => {
    const record = await add('job', 'ada');
    await hurry('job', 'ada');
    const [former] = await claim(1);
    await add('job', 'ada', record);
    await pending.forget(former as Claim);
    expect((await pending.count([origin])).pending).toEqual([1]);
    await hurry('job', 'ada');
    const [latter] = await claim(1);
    await pending.forget(latter as Claim);
    expect((await pending.count([origin])).pending).toEqual([0]);
  });
});

test('whatever happens, the count is right, who waits has a turn, and every key ends', async () => {
  const jobs = Array.from({ length: 12 }, (_, at) => ({
    job: `job-${at}`,
    caller: `caller-${at % 3}`,
  }));
  const anyJob = fc.constantFrom(...jobs);
  const step = fc.oneof(
    fc.record({ does: fc.constant('add' as const), of: anyJob }),
    fc.record({ does: fc.constant('hurry' as const), of: anyJob }),
    fc.record({ does: fc.constant('claim' as const), of: anyJob }),
    fc.record({
      does: fc.constantFrom('postpone', 'forget', 'retrying', 'delivered', 'dead', 'revive'),
      of: anyJob,
    }),
  );
  const places = new Places(4);

  const take = async (does: string, { job, caller }: (typeof jobs)[number], claims: Claim[]) => {
    if (does === 'add') return void (await add(job, caller));
    if (does === 'hurry') return hurry(job, caller);
    if (does === 'claim') {
      const free = new Map([[origin, places]]);
      return void claims.push(...(await pending.claim(free, 1)));
    }
    if (does === 'revive') return pending.revive(job, [origin]).catch(() => {});
    const one = claims.pop() ?? { origin, caller, job, endsAt: 0 };
    if (does === 'postpone') return pending.postpone(one, nowMs());
    if (does === 'forget') return pending.forget(one);
    return settle(one, does as 'retrying');
  };

  const check = async () => {
    const callers = [...new Set(jobs.map(({ caller }) => caller))];
    const lengths = await Promise.all(
      callers.map((caller) => redis.client.zcard(keys.webhooks(origin, caller))),
    );
    const total = lengths.reduce((sum, length) => sum + length, 0);
    expect((await pending.count([origin])).pending).toEqual([total]);
    const waiting = callers.filter((_, at) => lengths[at] !== 0);
    expect(await turnsNow()).toEqual(expect.arrayContaining(waiting));
    for (const caller of waiting) {
      const [, first] = await redis.client.zrange(
        keys.webhooks(origin, caller),
        '0',
        '0',
        'WITHSCORES',
      );
      const turn = Number(await redis.client.zscore(turns, caller));
      expect(turn <= Number(first) || turn < nowMs() + 1).toBe(true);
    }
    for (const key of await redis.client.keys('*')) {
      // The list of dead letters is bounded by their number.
      if (key !== keys.deadWebhooks) expect([key, await redis.client.pttl(key)]).not.toContain(-1);
    }
  };

  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      await redis.client.flushall();
      const claims: Claim[] = [];
      for (const { does, of } of steps) {
        await take(does, of, claims);
        await check();
      }
      for (const { job, caller } of jobs) await hurry(job, caller);
      for (let due = await claim(4); due.length > 0; due = await claim(4)) {
        for (const one of due) await pending.forget(one);
      }
      for (const caller of await turnsNow()) await redis.client.zadd(turns, 1, caller);
      expect(await claim(4)).toEqual([]);
      expect(await redis.client.exists(turns, keys.webhooksPending(origin))).toBe(0);
    }),
    { numRuns: 40 },
  );
});
