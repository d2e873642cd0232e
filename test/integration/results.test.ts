// Tests kept results against a real Redis: what the API claims, and what the workers keep.

import { beforeEach, describe, expect, test } from 'vitest';
import { type Identity, identify } from '../../api/repeat/identity.js';
import { makeReadLarge } from '../../api/repeat/large-results.js';
import { makeResults as makeApiResults, type ResultLimits } from '../../api/repeat/results.js';
import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import { makeLogger } from '../../shared/process/log.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { makeRankedOutputs } from '../../shared/tensors/scores.js';
import type { Item } from '../../shared/wire/job.js';
import { packReplies, type Reply, unpackReplies } from '../../shared/wire/reply.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import { makeResults as makeWorkerResults } from '../../worker/queue/results.js';
import { openRedisForAll, waitUntil } from '../harness.js';

const keys = makeKeys('test');
const keepMs = 60_000;
const log = makeLogger({ role: 'test', level: 'silent' });
const timing = { queueMs: 1, batchMs: 0, computeMs: 2, batchSize: 1 };
const scoresOf = (id: string, score: number): Reply => ({
  id,
  outputs: makeRankedOutputs([0], [score]),
  timing,
});

const redis = await openRedisForAll();

beforeEach(async () => {
  await redis.client.flushall();
});

const many = { resultsMax: 100, bytesMax: 1_000_000 };
const inApi = (
  changes: Partial<ResultLimits> & { keepMs?: number; callerLimits?: Partial<ResultLimits> } = {},
) =>
  makeApiResults({
    ...{ redis: redis.client, keys, keepMs: changes.keepMs ?? keepMs },
    limits: { ...many, ...changes },
    callerLimits: { ...many, ...changes.callerLimits },
    readLarge: makeReadLarge(redis.client, keys),
  });
const inWorker = () => makeWorkerResults({ redis: redis.client, keys, log });

const identityOf = (key: string, ...texts: string[]) => identityFor('anyone', key, ...texts);
const identityFor = (caller: string, key: string, ...texts: string[]): Identity =>
  identify(key, {
    caller,
    queue: 'sample@1',
    top: 1,
    inputs: texts.map((value) => ({ value })),
  });

const itemOf = (id: string, changes: Partial<Item> = {}): Item => ({
  id,
  submittedAt: nowMs(),
  deadlineAt: nowMs() + 5000,
  top: 1,
  inputs: textInputs('a'),
  keepMs,
  ...changes,
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: ScorelineError) => error.code,
  );
}

describe('a claim', () => {
  test('is new only once; a repeat learns which results exist', async () => {
    const results = inApi();
    const one = identityOf('key', 'a', 'b');
    const [a, b] = one.ids as [string, string];
    const deadlineAt = nowMs() + 5000;
    expect(await results.claim(one, deadlineAt)).toEqual({
      replies: [undefined, undefined],
      isNew: true,
    });
    await inWorker().keep([itemOf(b)], [scoresOf(b, 0.5)]);
    expect(await results.claim(one, deadlineAt)).toEqual({
      replies: [undefined, scoresOf(b, 0.5)],
      isNew: false,
    });
    await inWorker().keep([itemOf(a)], [scoresOf(a, 0.7)]);
    expect(await results.claim(one, deadlineAt)).toEqual({
      replies: [scoresOf(a, 0.7), scoresOf(b, 0.5)],
      isNew: false,
    });
  });

  test('gets results that are large by a connection of their own, also if one is missing', async () => {
    const large = await redis.client.duplicate();
    const read: string[] = [];
    const results = makeApiResults({
      ...{ redis: redis.client, keys, keepMs, limits: many, callerLimits: many },
      readLarge: (ids) => {
        read.push(...ids);
        return makeReadLarge(large, keys)(ids);
      },
    });
    const one = identityOf('key', 'a', 'b', 'c');
    const [a, b, c] = one.ids as [string, string, string];
    await results.claim(one, nowMs() + 5000);
    const data = Buffer.alloc(600_000, 1);
    const output = { name: 'y', datatype: 'UINT8', shape: [data.length], data } as const;
    const replyOf = (id: string) => ({ ...scoresOf(id, 0.5), id, outputs: [output] }) as Reply;
    await inWorker().keep([itemOf(c), itemOf(a)], [replyOf(c), replyOf(a)]);
    const claimed = await results.claim(one, nowMs() + 5000);
    expect(claimed.isNew).toBe(false);
    expect(claimed.replies.map((reply) => reply?.id)).toEqual([a, undefined, c]);
    expect(read).toEqual([a, c]);
    await inWorker().keep([itemOf(b)], [replyOf(b)]);
    const { replies } = await results.look(one);
    expect(
      replies.map((reply) => reply && 'outputs' in reply && reply.outputs[0]?.data.length),
    ).toEqual(Array.from({ length: 3 }, () => data.length));
    large.disconnect();
  });

  test('ties the key to its request, with or without results', async () => {
    const results = inApi();
    await results.claim(identityOf('key', 'a'), nowMs());
    expect(await codeOf(results.claim(identityOf('key', 'b'), nowMs()))).toBe(
      'idempotency_key_reused',
    );
    expect(await codeOf(results.look(identityOf('key', 'b')))).toBe('idempotency_key_reused');
    expect(await codeOf(results.claim(identityOf('other', 'b'), nowMs()))).toBe('none');
  });

  test('lasts exactly as long as a result that arrives at the deadline', async () => {
    const { scope, ids } = identityOf('key', 'a');
    await inApi().claim(identityOf('key', 'a'), nowMs() + 5000);
    for (const key of [keys.fingerprint(scope), keys.results]) {
      const ms = await redis.client.pttl(key);
      expect(ms).toBeGreaterThan(keepMs + 4000);
      expect(ms).toBeLessThanOrEqual(keepMs + 5002);
    }
    const goneAt = Number(await redis.client.zscore(keys.results, ids[0] as string));
    expect(goneAt - nowMs()).toBeGreaterThan(keepMs + 4000);
  });

  test('does not get shorter when renewed with an earlier deadline', async () => {
    const one = identityOf('key', 'a');
    await inApi().claim(one, nowMs() + 50_000);
    const goneAt = await redis.client.zscore(keys.results, one.ids[0] as string);
    await inApi().claim(one, nowMs() + 1000);
    expect(await redis.client.zscore(keys.results, one.ids[0] as string)).toBe(goneAt);
    expect(await redis.client.pttl(keys.fingerprint(one.scope))).toBeGreaterThan(keepMs + 40_000);
    expect(await redis.client.pttl(keys.results)).toBeGreaterThan(keepMs + 40_000);
  });

  test.each(['anyone', 'ada'])('of %s leaves nothing behind when released', async (caller) => {
    const one = identityFor(caller, 'key', 'a', 'b');
    await inApi().claim(one, nowMs() + 1000);
    inApi().release(one);
    await waitUntil('Redis is empty', async () => (await redis.client.dbsize()) === 0);
  });

  test('is not made by a look', async () => {
    expect(await inApi().look(identityOf('key', 'a'))).toEqual({
      replies: [undefined],
      isNew: false,
    });
    expect(await redis.client.dbsize()).toBe(0);
  });
});

describe('the limit on results', () => {
  test('refuses claims beyond it, with the time until there is room', async () => {
    const results = inApi({ resultsMax: 3 });
    await results.claim(identityOf('one', 'a', 'b'), nowMs());
    const refused = results.claim(identityOf('two', 'a', 'b'), nowMs());
    await expect(refused).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 60 });
    await results.claim(identityOf('three', 'a'), nowMs());
    expect(await codeOf(results.claim(identityOf('four', 'a'), nowMs()))).toBe('overloaded');
    expect(await redis.client.zcard(keys.results)).toBe(3);
    expect(await redis.client.keys(keys.fingerprint('*'))).toHaveLength(2);
  });

  test('admits repeats of admitted claims', async () => {
    const results = inApi({ resultsMax: 1 });
    await results.claim(identityOf('one', 'a'), nowMs());
    expect(await codeOf(results.claim(identityOf('one', 'a'), nowMs()))).toBe('none');
    expect(await redis.client.zcard(keys.results)).toBe(1);
  });

  test('ignores expired entries, however many there are', async () => {
    const over = Array.from({ length: 3000 }, (_, at) => [at, `over-${at}`]).flat();
    await redis.client.zadd(keys.results, ...over);
    const results = inApi({ resultsMax: 2 });
    await results.claim(identityOf('one', 'a'), nowMs());
    await results.claim(identityOf('two', 'a'), nowMs());
    const refused = results.claim(identityOf('three', 'a'), nowMs());
    await expect(refused).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 60 });
    expect(await redis.client.zcard(keys.results)).toBe(2);
  });

  test('admits claims again once results have expired', async () => {
    const results = inApi({ keepMs: 700, resultsMax: 1 });
    await results.claim(identityOf('one', 'a'), nowMs());
    const second = () => results.claim(identityOf('two', 'a'), nowMs());
    await expect(second()).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 1 });
    await waitUntil('there is room', async () => (await codeOf(second())) === 'none');
    expect(await redis.client.zcard(keys.results)).toBe(1);
  });
});

describe('the share of a caller', () => {
  const claim = (caller: string, key: string, callerLimits: Partial<ResultLimits>) =>
    inApi({ callerLimits }).claim(identityFor(caller, key, 'a'), nowMs());

  test('leaves room to others', async () => {
    const two = { resultsMax: 2 };
    await claim('ada', 'one', two);
    await claim('ada', 'two', two);
    await expect(claim('ada', 'three', two)).rejects.toMatchObject({
      code: 'overloaded',
      reason: 'caller_results_full',
      message: expect.stringMatching(/at most 2 kept results of one caller/),
    });
    expect(await codeOf(claim('ada', 'two', two))).toBe('none');
    expect(await codeOf(claim('bob', 'three', two))).toBe('none');
    expect(await redis.client.zcard(keys.results)).toBe(3);
  });

  test('is all there is where nobody says who asks', async () => {
    await claim('anyone', 'one', { resultsMax: 1 });
    expect(await codeOf(claim('anyone', 'two', { resultsMax: 1 }))).toBe('none');
    expect(await redis.client.exists(keys.resultsOf('anyone'))).toBe(0);
  });

  test('holds for the bytes of its results', async () => {
    const few = { bytesMax: 10 };
    const [id = ''] = identityFor('ada', 'one', 'a').ids;
    await claim('ada', 'one', few);
    await inWorker().keep([itemOf(id, { keepFor: 'ada' })], [scoresOf(id, 0.5)]);
    await expect(claim('ada', 'two', few)).rejects.toMatchObject({ reason: 'caller_results_full' });
    expect(await codeOf(claim('bob', 'two', few))).toBe('none');
  });
});

describe('the limit on the bytes of results', () => {
  const keepOne = async (key: string, changes: Partial<Item> = {}) => {
    const [id = ''] = identityOf(key, 'a').ids;
    await inWorker().keep([itemOf(id, changes)], [scoresOf(id, 0.5)]);
    return Number(await redis.client.strlen(keys.result(id)));
  };

  test('counts what is kept, and nothing else', async () => {
    const results = inApi();
    await results.claim(identityOf('one', 'a'), nowMs());
    await results.claim(identityOf('two', 'a'), nowMs());
    const bytes = await keepOne('one');
    await keepOne('one');
    await keepOne('unclaimed');
    expect(Number(await redis.client.get(keys.resultsBytes))).toBe(bytes);
    expect(await redis.client.pttl(keys.resultsBytes)).toBeGreaterThan(keepMs - 5000);
    expect(await redis.client.zcard(keys.results)).toBe(2);
    const full = inApi({ bytesMax: bytes }).claim(identityOf('three', 'a'), nowMs());
    await expect(full).rejects.toMatchObject({
      code: 'overloaded',
      reason: 'results_full',
      message: expect.stringMatching(new RegExp(`at most ${bytes} bytes of kept results`)),
    });
    const roomy = inApi({ bytesMax: bytes + 1 }).claim(identityOf('three', 'a'), nowMs());
    expect(await codeOf(roomy)).toBe('none');
  });

  test('makes room at once, however many results have expired', async () => {
    const over = Array.from({ length: 3000 }, (_, at) => [at, `over-${at}:10`]).flat();
    await redis.client.zadd(keys.results, ...over);
    await redis.client.set(keys.resultsBytes, 30_000);
    const results = inApi({ bytesMax: 1000 });
    expect(await codeOf(results.claim(identityOf('one', 'a'), nowMs()))).toBe('none');
    expect(await redis.client.get(keys.resultsBytes)).toBeNull();
    expect(await redis.client.zcard(keys.results)).toBe(1);
  });

  test('a place counts as long as its result, and not until its deadline', async () => {
    const results = inApi({ resultsMax: 1 });
    await results.claim(identityOf('one', 'a'), nowMs() + 3_600_000, 100);
    await keepOne('one', { keepMs: 100 });
    const second = () => results.claim(identityOf('two', 'a'), nowMs());
    await waitUntil('there is room', async () => (await codeOf(second())) === 'none');
    expect(await redis.client.zcard(keys.results)).toBe(1);
    expect(await redis.client.get(keys.resultsBytes)).toBeNull();
  });
});

describe('a worker', () => {
  test('keeps the first reply to an item, and answers later ones with it', async () => {
    const first = await inWorker().keep([itemOf('a')], [scoresOf('a', 0.5)]);
    expect(first).toEqual([scoresOf('a', 0.5)]);
    const second = await inWorker().keep(
      [itemOf('b'), itemOf('a')],
      [scoresOf('b', 0.1), scoresOf('a', 0.6)],
    );
    expect(second).toEqual([scoresOf('b', 0.1), { ...scoresOf('a', 0.5), isKept: true }]);
    const kept = (await redis.client.getBuffer(keys.result('a'))) as Buffer;
    expect(unpackReplies(kept)).toEqual(first);
    const ms = await redis.client.pttl(keys.result('a'));
    expect(ms).toBeGreaterThan(keepMs - 5000);
    expect(ms).toBeLessThanOrEqual(keepMs);
  });

  test.each([undefined, 'ada'])(
    'keeps the first reply for as long as a later one would be, and so its place (share: %s)',
    async (keepFor) => {
      const identity = identityFor(keepFor ?? 'anyone', 'key', 'a');
      const [id] = identity.ids as [string];
      await inApi({ keepMs: 5000 }).claim(identity, nowMs());
      await inWorker().keep([itemOf(id, { keepMs: 5000, keepFor })], [scoresOf(id, 0.5)]);
      await inWorker().keep([itemOf(id, { keepFor })], [scoresOf(id, 0.6)]);
      await inWorker().keep([itemOf(id, { keepMs: 10, keepFor })], [scoresOf(id, 0.7)]);
      expect((await inApi().look(identity)).replies).toEqual([scoresOf(id, 0.5)]);
      const { results, resultsBytes } = keys;
      for (const key of [keys.result(id), results, resultsBytes]) {
        expect(await redis.client.pttl(key)).toBeGreaterThan(keepMs - 10_000);
      }
      const [place, until, ...others] = await redis.client.zrange(results, '0', '-1', 'WITHSCORES');
      expect([place, others]).toEqual([expect.stringMatching(new RegExp(`^${id}:\\d+$`)), []]);
      expect(Number(until)).toBeGreaterThan(nowMs() + keepMs - 10_000);
    },
  );

  test('are kept for as long as a job needs them that finds them there', async () => {
    const identity = identityOf('key', 'a', 'b');
    const [id] = identity.ids as [string];
    await inApi().claim(identity, nowMs());
    await inWorker().keep([itemOf(id, { keepMs: 5000 })], [scoresOf(id, 0.5)]);
    const { replies } = await inApi().look(identity);
    await inApi().lengthen(identity, replies, keepMs);
    expect(await redis.client.pttl(keys.result(id))).toBeGreaterThan(keepMs - 10_000);
    expect((await inApi().look(identity)).replies).toEqual([scoresOf(id, 0.5), undefined]);
  });

  test('answers both copies of an item in one batch with the same reply', async () => {
    const replies = await inWorker().keep(
      [itemOf('a'), itemOf('a')],
      [scoresOf('a', 0.5), scoresOf('a', 0.6)],
    );
    const kept = { ...scoresOf('a', 0.5), isKept: true };
    expect(replies).toEqual([kept, kept]);
  });

  test('treats an unreadable result as missing, and answers with its own reply', async () => {
    await redis.client.set(keys.result('a'), 'of another version');
    await redis.client.set(keys.result('b'), packReplies([scoresOf('b', 0.5)]));
    expect([...(await inWorker().find([itemOf('a'), itemOf('b')]))]).toEqual([
      ['b', { ...scoresOf('b', 0.5), isKept: true }],
    ]);
    const own = scoresOf('a', 0.6);
    expect(await inWorker().keep([itemOf('a')], [own])).toEqual([own]);
  });

  test('keeps no reply to an item without a key', async () => {
    const { keepMs: _, ...plain } = itemOf('a');
    const replies = await inWorker().keep(
      [plain, itemOf('b')],
      [scoresOf('a', 0.5), scoresOf('b', 0.5)],
    );
    expect(replies).toEqual([scoresOf('a', 0.5), scoresOf('b', 0.5)]);
    expect(await redis.client.keys('*')).toEqual([keys.result('b')]);
    expect((await inWorker().find([plain])).size).toBe(0);
  });

  test.each([
    ['model_failed', true],
    ['model_crashed', true],
    ['model_output_mismatch', true],
    ['deadline_exceeded', false],
    ['overloaded', false],
    ['internal_error', false],
  ] as const)('keeps only errors that the input causes: %s %s', async (code, isKept) => {
    const reply: Reply = { id: 'a', error: { code, detail: 'It is so.' } };
    expect(await inWorker().keep([itemOf('a')], [reply])).toEqual([reply]);
    expect(await redis.client.exists(keys.result('a'))).toBe(isKept ? 1 : 0);
  });

  test('keeps every reply to an item of a job, which is not sent again', async () => {
    const error = { code: 'wire_mismatch', detail: 'It is so.' } as const;
    await inWorker().keep([itemOf('a', { keepBytesMax: 1024 })], [{ id: 'a', error }]);
    const kept = (await redis.client.getBuffer(keys.result('a'))) as Buffer;
    expect(unpackReplies(kept)).toEqual([{ id: 'a', error }]);
  });

  describe('with the result of a job past its deadline', () => {
    const placeOf = (id: string) => ({ id, job: `test:jobs:${id}`, active: 'test:jobs:active' });
    const late = () => ({
      ...itemOf('a', { keepBytesMax: 1024, deadlineAt: nowMs() - 10 }),
      jobId: 'j',
    });
    const isKept = async () => {
      await inWorker().keep([late(), itemOf('b')], [scoresOf('a', 0.5), scoresOf('b', 1)], placeOf);
      expect(await redis.client.exists(keys.result('b'))).toBe(1);
      return (await redis.client.exists(keys.result('a'))) === 1;
    };
    const take = async (takenAt: number) => {
      await redis.client.hset('test:jobs:j', 'timestamp', 1, 'processedOn', takenAt);
      await redis.client.lpush('test:jobs:active', 'other', 'j');
    };

    test('keeps it if the job was taken in time, and a worker still holds it', async () => {
      await take(nowMs() - 500);
      expect(await isKept()).toBe(true);
    });

    test('keeps nothing if another worker has dropped the job', async () => {
      expect(await isKept()).toBe(false);
    });

    test('keeps nothing if the job is back in the queue', async () => {
      await redis.client.hset('test:jobs:j', 'timestamp', 1, 'processedOn', 1);
      expect(await isKept()).toBe(false);
    });

    test('keeps nothing if another worker has taken the job to drop it', async () => {
      await take(nowMs() + 5000);
      expect(await isKept()).toBe(false);
    });
  });

  test('finds kept replies by item', async () => {
    await inWorker().keep([itemOf('a')], [scoresOf('a', 0.5)]);
    const found = await inWorker().find([itemOf('b'), itemOf('a')]);
    expect([...found]).toEqual([['a', { ...scoresOf('a', 0.5), isKept: true }]]);
  });

  test('tries again while Redis takes no writes', async () => {
    await redis.client.config('SET', 'maxmemory', '1');
    const keeping = inWorker().keep([itemOf('a')], [scoresOf('a', 0.5)]);
    await waitUntil('Redis has refused the write', async () =>
      (await redis.client.info('errorstats')).includes('errorstat_OOM'),
    );
    expect(await redis.client.exists(keys.result('a'))).toBe(0);
    await redis.client.config('SET', 'maxmemory', '0');
    await keeping;
    expect(await redis.client.exists(keys.result('a'))).toBe(1);
  });
});
