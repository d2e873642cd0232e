import { beforeEach, describe, expect, test, vi } from 'vitest';
import { makeReplies as makeRepliesBefore } from '../../api/queue/waiters.js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Reply } from '../../shared/wire.js';
import { everythingDone, passMs, stopClock } from './clock.js';

const timing = { queueMs: 1, batchMs: 0, computeMs: 2, batchSize: 1 };
const replyTo = (id: string): Reply => ({ id, scores: Uint8Array.of(1), timing });

/** Replies before a queue that can be reached, unless the test says otherwise. */
const makeReplies = (isQueueAway = () => false) => makeRepliesBefore({ isQueueAway });

/** What has become of a promise: its value, the code of its error, or that it still waits. */
async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([
    promise.catch((error: ScorelineError) => error.code),
    everythingDone().then(() => 'waiting'),
  ]);
}

beforeEach(stopClock);

describe('replies', () => {
  test('a reply reaches the one who waits for it, and nobody else', async () => {
    const replies = makeReplies();
    const a = replies.expect('a', nowMs() + 1000);
    const b = replies.expect('b', nowMs() + 1000);
    expect(replies.settle(replyTo('b'))).toBe(true);
    expect(await outcomeOf(b)).toEqual(replyTo('b'));
    expect(await outcomeOf(a)).toBe('waiting');
    expect(replies.size).toBe(1);
    replies.settle(replyTo('a'));
    expect(await outcomeOf(a)).toEqual(replyTo('a'));
  });

  test('a reply that is an error rejects with its code and detail', async () => {
    const replies = makeReplies();
    const waiting = replies.expect('a', nowMs() + 1000);
    const error = { code: 'model_failed', detail: 'It failed.' } as const;
    expect(replies.settle({ id: 'a', error })).toBe(true);
    await expect(waiting).rejects.toThrow(new ScorelineError('model_failed', 'It failed.'));
    await expect(waiting).rejects.toMatchObject({ code: 'model_failed' });
  });

  test('of two replies the first counts', async () => {
    const replies = makeReplies();
    const waiting = replies.expect('a', nowMs() + 1000);
    expect(replies.settle(replyTo('a'))).toBe(true);
    expect(replies.settle({ ...replyTo('a'), scores: Uint8Array.of(2), timing })).toBe(false);
    expect(await outcomeOf(waiting)).toEqual(replyTo('a'));
  });

  test('a reply that nobody waits for changes nothing', async () => {
    const replies = makeReplies();
    const waiting = replies.expect('a', nowMs() + 1000);
    expect(replies.settle(replyTo('unknown'))).toBe(false);
    expect(replies.size).toBe(1);
    replies.settle(replyTo('a'));
    expect(await outcomeOf(waiting)).toEqual(replyTo('a'));
  });
});

describe('deadlines', () => {
  test('a wait ends at its deadline, not before, with deadline_exceeded', async () => {
    const replies = makeReplies();
    const waiting = replies.expect('a', nowMs() + 100);
    waiting.catch(() => {});
    await passMs(99);
    expect(await outcomeOf(waiting)).toBe('waiting');
    await passMs(1);
    expect(await outcomeOf(waiting)).toBe('deadline_exceeded');
    expect(replies.isExpected('a')).toBe(false);
    expect(replies.size).toBe(0);
  });

  test('a wait that ends while Redis is away ends with queue_unavailable', async () => {
    let away = false;
    const replies = makeReplies(() => away);
    const waiting = replies.expect('a', nowMs() + 100);
    waiting.catch(() => {});
    away = true;
    await passMs(50);
    expect(await outcomeOf(waiting)).toBe('waiting');
    await passMs(50);
    expect(await outcomeOf(waiting)).toBe('queue_unavailable');
    await expect(waiting).rejects.toMatchObject({ retryAfterSeconds: 1 });
  });

  test('a reply after the deadline finds nobody', async () => {
    const replies = makeReplies();
    const waiting = outcomeOf(replies.expect('a', nowMs() + 100));
    await passMs(100);
    expect(replies.settle(replyTo('a'))).toBe(false);
    expect(replies.fail('a', new ScorelineError('client_closed', ''))).toBe(false);
    await waiting;
  });

  test('a deadline that has passed already ends the wait at once', async () => {
    const replies = makeReplies();
    const waiting = replies.expect('a', nowMs() - 5);
    waiting.catch(() => {});
    await passMs(1);
    expect(await outcomeOf(waiting)).toBe('deadline_exceeded');
  });

  test('an answered wait leaves no timer behind', async () => {
    const replies = makeReplies();
    const waiting = replies.expect('a', nowMs() + 100);
    expect(vi.getTimerCount()).toBe(1);
    replies.settle(replyTo('a'));
    await waiting;
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('failAll ends every wait with the same error', async () => {
  const replies = makeReplies();
  const outcomes = ['a', 'b', 'c'].map((id) => outcomeOf(replies.expect(id, nowMs() + 100)));
  replies.failAll(new ScorelineError('shutting_down', 'Over.'));
  expect(await Promise.all(outcomes)).toEqual(Array(3).fill('shutting_down'));
  expect(replies.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});
