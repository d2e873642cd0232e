// The limits of callers, with a real Redis that all API instances of a test share.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Caller, CallerLimits } from '../../api/access/caller.js';
import type { Slot } from '../../api/access/limiter.js';
import { type Limits, makeLimits } from '../../api/access/limits.js';
import { makeTakeUsage } from '../../api/access/usage.js';
import { ScorelineError } from '../../shared/errors.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { connectProducer, waitUntilReady } from '../../shared/redis/redis.js';
import { openRedis, openRedisForAll, waitUntil } from '../harness.js';

const keys = makeKeys('limits');
const log = pino({ level: 'silent' });
const redis = await openRedisForAll();

/** Opens the limits of one API instance, which have a connection of their own. */
async function openInstance(): Promise<Limits> {
  const connection = connectProducer({ url: redis.url, name: 'test', log });
  await waitUntilReady(connection);
  const limits = makeLimits(makeTakeUsage({ redis: connection, keys, instance: randomUUID() }));
  onTestFinished(() => {
    limits.close();
    connection.disconnect();
  });
  return limits;
}

function makeCaller(limits: CallerLimits): Caller {
  return { id: `key:${randomUUID()}`, name: 'billing', scopes: ['score'], limits };
}

/** Asks for slots, all at once. Resolves to the slots, and the refusals of the others. */
async function ask(limits: Limits, caller: Caller, count: number) {
  const settled = await Promise.allSettled(
    Array.from({ length: count }, async () => await limits.admit(caller)),
  );
  const slots: Slot[] = [];
  const refusals: ScorelineError[] = [];
  for (const each of settled) {
    if (each.status === 'fulfilled') slots.push(each.value as Slot);
    else refusals.push(each.reason as ScorelineError);
  }
  for (const refusal of refusals) expect(refusal).toBeInstanceOf(ScorelineError);
  return { slots, refusals };
}

describe('a caller without limits', () => {
  test('is let in without a slot, and without a word to Redis', async () => {
    const limits = await openInstance();
    const before = await redis.client.keys('*');
    expect(limits.admit({ id: 'key:x', name: 'x', scopes: ['score'] })).toBeUndefined();
    expect(await redis.client.keys('*')).toEqual(before);
  });
});

describe('a rate', () => {
  test('allows a burst, and then no more than itself, over all instances', async () => {
    const instances = await Promise.all([openInstance(), openInstance(), openInstance()]);
    const caller = makeCaller({ perSecond: 20, burst: 10 });
    const startedAt = performance.now();
    let granted = 0;
    let endedAt = startedAt;
    while (endedAt - startedAt < 1500) {
      const rounds = await Promise.all(instances.map((each) => ask(each, caller, 4)));
      granted += rounds.reduce((sum, { slots }) => sum + slots.length, 0);
      await delay(5);
      endedAt = performance.now();
    }
    // However slow this machine is, the bucket holds 10 and gains 20 a second. Each instance may have let
    // some in that Redis does not know of yet, half a burst together.
    const allowed = 10 + (20 * (endedAt - startedAt)) / 1000 + 5;
    expect(granted).toBeLessThanOrEqual(Math.ceil(allowed));
    expect(granted).toBeGreaterThan(10);
  });

  test('tells a refused caller when one request will be let in', async () => {
    const limits = await openInstance();
    const caller = makeCaller({ perSecond: 0.5, burst: 1 });
    const { slots, refusals } = await ask(limits, caller, 2);
    expect(slots).toHaveLength(1);
    const [refusal] = refusals as [ScorelineError];
    expect(refusal.code).toBe('rate_limited');
    expect(refusal.retryAfterSeconds).toBe(2);
    expect(refusal.message).toContain('0.5 requests a second from billing');
    expect(limits.fieldsOf(caller)).toEqual({
      'RateLimit-Policy': '"rate";q=1;w=2',
      RateLimit: '"rate";r=0;t=2',
    });
    await delay(2050);
    expect((await ask(limits, caller, 2)).slots).toHaveLength(1);
  });

  test('that has refused a caller does so again at once, and without asking Redis', async () => {
    const limits = await openInstance();
    const caller = makeCaller({ perSecond: 0.1, burst: 1 });
    await ask(limits, caller, 2);
    const callsOf = async () =>
      Number(/cmdstat_eval:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1]);
    const before = await callsOf();
    for (let count = 0; count < 100; count++) expect(() => limits.admit(caller)).toThrow();
    expect(await callsOf()).toBe(before);
  });

  test('asks Redis once for many requests that come together', async () => {
    const limits = await openInstance();
    const caller = makeCaller({ perSecond: 1000, burst: 500 });
    await redis.client.config('RESETSTAT');
    const { slots } = await ask(limits, caller, 300);
    expect(slots).toHaveLength(300);
    const stats = await redis.client.info('commandstats');
    expect(Number(/cmdstat_eval:calls=(\d+)/.exec(stats)?.[1])).toBeLessThanOrEqual(3);
  });
});

describe('a number of requests in flight', () => {
  test('holds over all instances, and ends make room at any of them', async () => {
    const [one, other] = await Promise.all([openInstance(), openInstance()]);
    const caller = makeCaller({ concurrent: 5 });
    const first = await ask(one, caller, 4);
    const second = await ask(other, caller, 4);
    expect([first.slots.length, second.slots.length]).toEqual([4, 1]);
    expect(second.refusals[0]).toMatchObject({
      code: 'concurrency_limited',
      retryAfterSeconds: 1,
      message: expect.stringContaining('at most 5 requests in flight from billing'),
    });
    expect(other.fieldsOf(caller)).toEqual({
      'RateLimit-Policy': '"concurrency";q=5;qu="concurrent-requests"',
      RateLimit: '"concurrency";r=0',
    });
    for (const slot of first.slots) slot.release();
    await waitUntil('there is room again', async () => {
      const { slots } = await ask(other, caller, 1);
      return slots.length === 1;
    });
  });

  test('of one lets requests through that follow each other at different instances', async () => {
    const instances = await Promise.all([openInstance(), openInstance()]);
    const caller = makeCaller({ concurrent: 1 });
    for (let round = 0; round < 50; round++) {
      const { slots } = await ask(instances[round % 2] as Limits, caller, 1);
      expect(slots).toHaveLength(1);
      slots[0]?.release();
    }
  });

  test('is asked about again before a refusal, since a request may just have ended elsewhere', async () => {
    const caller = makeCaller({ concurrent: 1 });
    const connection = connectProducer({ url: redis.url, name: 'test', log });
    await waitUntilReady(connection);
    const takeUsage = makeTakeUsage({ redis: connection, keys, instance: 'one' });
    const other = await openInstance();
    const { slots } = await ask(other, caller, 1);
    let questions = 0;
    const one = makeLimits(async (id, wish) => {
      const grant = await takeUsage(id, wish);
      if (++questions > 1) return grant;
      expect(grant.granted).toBe(0);
      // The request at the other instance ends after Redis has answered, and before that is known.
      slots[0]?.release();
      await waitUntil('Redis knows', async () => {
        const counts = Object.entries(await redis.client.hgetall(keys.usage(id)));
        return counts.every(([name, count]) => !name.startsWith('in:') || /^0 /.test(count));
      });
      return grant;
    });
    onTestFinished(() => {
      one.close();
      connection.disconnect();
    });
    expect((await ask(one, caller, 1)).slots).toHaveLength(1);
  });

  test('counts each slot once, however often it is released', async () => {
    const limits = await openInstance();
    const caller = makeCaller({ concurrent: 2 });
    const { slots } = await ask(limits, caller, 2);
    slots[0]?.release();
    slots[0]?.release();
    expect((await ask(limits, caller, 2)).slots).toHaveLength(1);
  });

  test.each([
    ['after ten seconds', 11],
    ['also if a Redis took over whose clock is behind', -3600],
  ])('forgets the requests of an instance that died, %s', async (_when, secondsAgo) => {
    const caller = makeCaller({ concurrent: 1 });
    const limits = await openInstance();
    const now = Math.floor(Date.now());
    const said = (secondsAgo: number) => `1 ${now - secondsAgo * 1000}`;
    await redis.client.hset(keys.usage(caller.id), 'in:alive', said(8));
    expect((await ask(limits, caller, 1)).slots).toHaveLength(0);
    await redis.client.hset(keys.usage(caller.id), 'in:alive', said(secondsAgo));
    await waitUntil('the dead instance is forgotten', async () => {
      const { slots } = await ask(limits, caller, 1);
      return slots.length === 1;
    });
    expect(await redis.client.hexists(keys.usage(caller.id), 'in:alive')).toBe(0);
  });
});

describe('both limits', () => {
  test('hold, and a request that one of them refuses takes nothing from the other', async () => {
    const limits = await openInstance();
    const caller = makeCaller({ perSecond: 0.1, burst: 3, concurrent: 2 });
    const { slots, refusals } = await ask(limits, caller, 3);
    expect(slots).toHaveLength(2);
    expect(refusals[0]?.code).toBe('concurrency_limited');
    for (const slot of slots) slot.release();
    const again = await ask(limits, caller, 2);
    expect(again.slots).toHaveLength(1);
    expect(again.refusals[0]?.code).toBe('rate_limited');
    expect(limits.fieldsOf(caller)).toEqual({
      'RateLimit-Policy': '"rate";q=3;w=30, "concurrency";q=2;qu="concurrent-requests"',
      RateLimit: expect.stringMatching(/^"rate";r=0;t=(9|10), "concurrency";r=1$/),
    });
  });

  test('leave nothing behind in Redis for longer than they need', async () => {
    const limits = await openInstance();
    const caller = makeCaller({ perSecond: 10, concurrent: 2 });
    const { slots } = await ask(limits, caller, 1);
    slots[0]?.release();
    const ttlMs = await redis.client.pttl(keys.usage(caller.id));
    expect(ttlMs).toBeGreaterThan(10_000);
    expect(ttlMs).toBeLessThanOrEqual(20_000);
  });
});

describe('while less than half of the limits is used', () => {
  test('requests wait for no answer of Redis, which learns of them soon', async () => {
    const limits = await openInstance();
    const caller = makeCaller({ perSecond: 1, burst: 100, concurrent: 100 });
    const held = async () => await redis.client.hgetall(keys.usage(caller.id));
    (await ask(limits, caller, 1)).slots[0]?.release();
    const slots = Array.from({ length: 40 }, () => limits.admit(caller));
    for (const slot of slots) expect(slot).not.toBeInstanceOf(Promise);
    await waitUntil('Redis knows', async () => {
      const { tokens, at: _, ...counts } = await held();
      return Number(tokens) < 61 && Object.values(counts).some((text) => text.startsWith('40 '));
    });
    for (const slot of slots) (slot as Slot).release();
    await waitUntil('Redis knows that they have ended', async () => {
      const { tokens: _, at: __, ...counts } = await held();
      return Object.values(counts).every((text) => text.startsWith('0 '));
    });
  });

  test('no more than the other half is let in without asking', async () => {
    const limits = await openInstance();
    const caller = makeCaller({ perSecond: 0.1, burst: 20 });
    await ask(limits, caller, 1);
    const decisions = Array.from({ length: 30 }, () => limits.admit(caller));
    expect(decisions.filter((each) => !(each instanceof Promise))).toHaveLength(9);
    const settled = await Promise.allSettled(decisions);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(19);
  });

  test('instances share that half, and what was too much is taken off what follows', async () => {
    const [one, other] = await Promise.all([openInstance(), openInstance()]);
    const caller = makeCaller({ perSecond: 0.1, burst: 20 });
    for (const each of [one, other]) await ask(each, caller, 1);
    // One instance knows what Redis does not: nine have been let in there.
    for (let count = 0; count < 9; count++) (await one.admit(caller))?.release();
    const { slots } = await ask(other, caller, 30);
    expect(slots.length).toBeGreaterThanOrEqual(9);
    expect(slots.length).toBeLessThanOrEqual(18);
    await waitUntil('Redis knows of all', async () => {
      const tokens = Number(await redis.client.hget(keys.usage(caller.id), 'tokens'));
      return tokens < 20 - 2 - 9 - slots.length + 1;
    });
    await expect((async () => one.admit(caller))()).rejects.toMatchObject({ code: 'rate_limited' });
  });
});

describe('when Redis is slow', () => {
  test('it learns afterwards of requests that have ended meanwhile', async () => {
    const heard: number[] = [];
    let isSlow = false;
    const limits = makeLimits(async (_caller, { wanted, inFlight }) => {
      if (isSlow) return new Promise(() => {});
      heard.push(inFlight + wanted);
      return {
        ...{ granted: wanted, limitedBy: undefined, tokens: 0, waitMs: 0 },
        ...{ elsewhere: 0, instances: 1 },
      };
    });
    onTestFinished(() => limits.close());
    const caller = makeCaller({ concurrent: 2 });
    const first = await limits.admit(caller);
    isSlow = true;
    // It waits for Redis in vain.
    const second = await limits.admit(caller);
    first?.release();
    second?.release();
    isSlow = false;
    expect(heard).toEqual([1]);
    await waitUntil('Redis knows that none is in flight', () => heard.at(-1) === 0);
  });

  test.each([
    ['what an instance has let in alone', { perSecond: 10, burst: 10 }, 3, 3],
    ['no more than a part of its bucket', { perSecond: 100, burst: 10 }, 20, 5],
  ])('it takes off afterwards: %s', async (_, own, count, expected) => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout', 'setInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const spent: number[] = [];
    let isSlow = false;
    const limits = makeLimits(async (_caller, wish) => {
      if (isSlow) return new Promise(() => {});
      spent.push(wish.spent);
      return {
        ...{ granted: wish.wanted, limitedBy: undefined, tokens: 5, waitMs: 0 },
        ...{ elsewhere: 0, instances: 2 },
      };
    });
    onTestFinished(() => limits.close());
    const caller = makeCaller(own);
    await limits.admit(caller);
    isSlow = true;
    const inVain = limits.admit(caller);
    await vi.advanceTimersByTimeAsync(100);
    await inVain;
    for (let index = 0; index < count; index++) {
      await vi.advanceTimersByTimeAsync(40);
      expect(limits.admit(caller)).not.toBeInstanceOf(Promise);
    }
    isSlow = false;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(spent).toEqual([0, expected]);
    // Nothing is left to take off a bucket that has filled since.
    await limits.admit(caller);
    expect(spent).toEqual([0, expected, 0]);
  });

  test('it is asked no more about a caller that has long had nothing in flight', async () => {
    vi.useFakeTimers({
      toFake: ['performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
    });
    onTestFinished(() => void vi.useRealTimers());
    const asked: string[] = [];
    const limits = makeLimits((caller) => {
      asked.push(caller);
      return Promise.reject(new Error('Redis is away.'));
    });
    onTestFinished(() => limits.close());
    for (const own of [{ perSecond: 10 }, { concurrent: 2 }]) {
      const slot = await limits.admit(makeCaller(own));
      slot?.release();
    }
    await vi.advanceTimersByTimeAsync(20_000);
    const before = asked.length;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(asked).toHaveLength(before);
  });

  test('an instance decides alone, by its share of the limits, and asks again later', async () => {
    const own = await openRedis();
    onTestFinished(() => own.close());
    const open = async () => {
      const connection = connectProducer({ url: own.url, name: 'test', log });
      await waitUntilReady(connection);
      onTestFinished(() => connection.disconnect());
      const limits = makeLimits(makeTakeUsage({ redis: connection, keys, instance: randomUUID() }));
      onTestFinished(() => limits.close());
      return limits;
    };
    const [one, other] = await Promise.all([open(), open()]);
    const caller = makeCaller({ perSecond: 0.1, burst: 20, concurrent: 10 });
    // Each learns that there is another. Up to half of the slots, they would not ask Redis.
    for (const [each, count] of [
      [one, 1],
      [other, 1],
      [one, 6],
    ] as const) {
      for (const slot of (await ask(each, caller, count)).slots) slot.release();
    }
    const resume = await own.suspend();
    try {
      const first = await ask(one, caller, 30);
      expect(first.slots).toHaveLength(5);
      expect(first.refusals[0]?.code).toBe('concurrency_limited');
      for (const slot of first.slots) slot.release();
      const next = one.admit(caller);
      expect(next).not.toBeInstanceOf(Promise);
      (next as Slot).release();
      const second = await ask(one, caller, 5);
      for (const slot of second.slots) slot.release();
      const third = await ask(one, caller, 5);
      expect(second.slots.length + third.slots.length).toBeLessThanOrEqual(6);
      expect(third.refusals.at(-1)?.code).toBe('rate_limited');
    } finally {
      await resume();
    }
    await waitUntil('Redis decides again', async () => {
      const held = await own.client.hgetall(keys.usage(caller.id));
      const { slots } = await ask(one, caller, 1);
      for (const slot of slots) slot.release();
      return Number(held.at) > Date.now() - 500;
    });
  });
});
