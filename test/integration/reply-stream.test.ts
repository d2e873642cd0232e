import { Packr } from 'msgpackr';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ReplyStream } from '../../api/queue/reply-stream.js';
import type { ScorelineError } from '../../shared/errors.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { connectConsumer, connectProducer, waitUntilReady } from '../../shared/redis/redis.js';
import { packReplies, type Reply } from '../../shared/wire/reply.js';
import { wireVersion } from '../../shared/wire/version.js';
import { openRedisForAll, waitUntil } from '../harness.js';

const keys = makeKeys('stream');
const key = keys.replies('api-1');
const timing = { queueMs: 1, batchMs: 0, computeMs: 2, batchSize: 1 };
const replyTo = (id: string): Reply => ({ id, outputs: [], timing });

const redis = await openRedisForAll();
beforeEach(async () => {
  await redis.client.flushall();
});

/** Opens a stream, and records its events. */
async function open() {
  const lines: string[] = [];
  const log = pino({ level: 'error' }, { write: (line) => lines.push(line) });
  const producer = connectProducer({ url: redis.url, name: 'api', log });
  const reader = connectConsumer({ url: redis.url, name: 'replies', log });
  await Promise.all([waitUntilReady(producer), waitUntilReady(reader)]);
  const heard: string[] = [];
  const unreadable: { ids: readonly string[]; error: ScorelineError }[] = [];
  const losses: string[] = [];
  const stream = await ReplyStream.open({
    instance: 'api-1',
    keys,
    producer,
    reader,
    onReply: ({ id }) => heard.push(id),
    onUnreadable: (ids, error) => unreadable.push({ ids, error }),
    onLost: ({ code }) => losses.push(code),
    log,
  });
  onTestFinished(async () => {
    await stream.close();
    producer.disconnect();
  });
  return { heard, unreadable, stream, losses, lines };
}

/** Replies as a worker does, without creating the stream. */
const reply = (packed: Buffer, id = '*') =>
  redis.client.xadd(key, 'NOMKSTREAM', id, 'replies', packed);
const replyWith = (id: string) => reply(packReplies([replyTo(id)]));
const untilHeard = (heard: readonly string[], ...ids: string[]) =>
  waitUntil(`${ids} are heard`, () => ids.every((id) => heard.includes(id)));

describe('replies', () => {
  test('arrive in order, even several in one entry', async () => {
    const { heard } = await open();
    await replyWith('a');
    await reply(packReplies([replyTo('b'), replyTo('c')]));
    await untilHeard(heard, 'c');
    expect(heard).toEqual(['a', 'b', 'c']);
  });

  test('that are sent while the connection is lost arrive once, afterwards', async () => {
    const { heard, losses } = await open();
    await replyWith('a');
    await untilHeard(heard, 'a');
    await redis.stop();
    await redis.start();
    await replyWith('b');
    await untilHeard(heard, 'b');
    // What was read shortly before may come again. Nobody waits for it any more.
    expect([...new Set(heard)]).toEqual(['a', 'b']);
    expect(losses).toEqual([]);
  });

  test('arrive after a fail-over to a Redis with an earlier clock and without the last replies', async () => {
    const { heard, losses } = await open();
    const copied = await redis.client.dumpBuffer(key);
    await reply(packReplies([replyTo('a')]), `${Date.now() + 3_600_000}-0`);
    await untilHeard(heard, 'a');
    await redis.client
      .multi()
      .restore(key, 60_000, copied as Buffer, 'REPLACE')
      .call('CLIENT', 'KILL', 'TYPE', 'normal')
      .exec();
    await replyWith('b');
    await untilHeard(heard, 'b');
    expect(losses).toEqual([]);
  });

  test('are removed from the stream once they are read', async () => {
    const { heard } = await open();
    for (const id of ['a', 'b', 'c']) await replyWith(id);
    await untilHeard(heard, 'c');
    await waitUntil('they are dropped', async () => (await redis.client.xlen(key)) === 1);
  });

  test('are deleted when their reader closes', async () => {
    const { stream } = await open();
    expect(await redis.client.pttl(key)).toBeGreaterThan(60_000);
    await stream.close();
    await stream.close();
    expect(await redis.client.exists(key)).toBe(0);
    expect(await replyWith('late')).toBeNull();
  });
});

describe('replies that cannot be read', () => {
  const pack = (value: unknown) => new Packr({ useRecords: false }).pack(value);

  test.each([
    ['of another wire version', packReplies([replyTo('x'), replyTo('y')], wireVersion + 1)],
    [
      'of another form',
      pack({ wire: wireVersion, replies: [{ id: 'x', scores: [] }, { id: 'y' }] }),
    ],
  ])('because they are %s are reported with the ids of their items', async (_what, packed) => {
    const { heard, unreadable } = await open();
    await reply(packed);
    await replyWith('a');
    await untilHeard(heard, 'a');
    expect(heard).toEqual(['a']);
    expect(unreadable.map(({ ids }) => ids)).toEqual([['x', 'y']]);
    expect(unreadable[0]?.error.code).toBe('wire_mismatch');
  });

  test('because they are garbage are skipped', async () => {
    const { heard, unreadable } = await open();
    await reply(Buffer.from('garbage'));
    await redis.client.xadd(key, '*', 'other', 'field');
    await replyWith('a');
    await untilHeard(heard, 'a');
    expect(unreadable.map(({ ids }) => ids)).toEqual([[]]);
  });
});

describe('a stream that is gone while Redis has kept its data', () => {
  test.each([
    { awayMs: 0, why: 'it was deleted, or' },
    { awayMs: 120_000, why: 'this process was stopped or cut off' },
  ])('is created again, and nobody is blamed wrongly ($awayMs ms)', async ({ awayMs, why }) => {
    const { heard, losses, lines } = await open();
    await replyWith('a');
    await untilHeard(heard, 'a');
    await redis.client.del(key);
    const later = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => later() + awayMs);
    onTestFinished(() => void vi.restoreAllMocks());
    await waitUntil('it is noticed', () => losses.length > 0);
    await replyWith('b');
    await untilHeard(heard, 'b');
    expect(losses).toEqual(['queue_unavailable']);
    expect(lines).toEqual([expect.stringContaining(`is gone, because ${why}`)]);
  });
});

describe('when Redis comes back without its data', () => {
  test('the loss is reported once, and later replies arrive', async () => {
    const { heard, losses } = await open();
    await replyWith('a');
    await untilHeard(heard, 'a');
    await redis.client.flushall();
    await waitUntil('the loss is noticed', () => losses.length > 0);
    await replyWith('b');
    await untilHeard(heard, 'b');
    expect(heard).toEqual(['a', 'b']);
    expect(losses).toEqual(['queue_lost']);
  });

  test('and another instance was first to notice, the loss is reported all the same', async () => {
    const { losses } = await open();
    await redis.client.multi().flushall().set(keys.dataId, 'another').exec();
    await waitUntil('the loss is noticed', () => losses.length > 0);
    expect(losses).toEqual(['queue_lost']);
    expect(await redis.client.get(keys.dataId)).toBe('another');
  });

  test('and with an earlier clock, later replies still arrive', async () => {
    const { heard, losses } = await open();
    await reply(packReplies([replyTo('of the future')]), '9999999999999-0');
    await untilHeard(heard, 'of the future');
    await redis.client.flushall();
    await waitUntil('the loss is noticed', () => losses.length > 0);
    for (const id of ['a', 'b']) await replyWith(id);
    await untilHeard(heard, 'b');
    expect(heard).toEqual(['of the future', 'a', 'b']);
  });

  test('as another server, later replies still arrive', async () => {
    const { heard, losses } = await open();
    await reply(packReplies([replyTo('of the future')]), '9999999999999-0');
    await untilHeard(heard, 'of the future');
    await redis.stop('SIGKILL');
    await redis.startEmpty();
    await waitUntil('the loss is noticed', () => losses.length > 0);
    await replyWith('a');
    await untilHeard(heard, 'a');
    expect(heard).toEqual(['of the future', 'a']);
  });
});
