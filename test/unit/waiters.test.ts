import { expect, test } from 'vitest';
import { errorOfReply, makeWaiters } from '../../api/queue/waiters.js';
import { type ErrorCode, ScorelineError } from '../../shared/errors.js';
import type { Reply } from '../../shared/wire/reply.js';
import { everythingDone } from './clock.js';

const timing = { queueMs: 1, batchMs: 0, computeMs: 2, batchSize: 1 };
const replyTo = (id: string, batchSize = 1): Reply => ({
  id,
  outputs: [],
  timing: { ...timing, batchSize },
});

/** Reports the state of a promise: its value, the code of its error, or that it is pending. */
async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([
    promise.catch((error: ScorelineError) => error.code),
    everythingDone().then(() => 'waiting'),
  ]);
}

test('a reply settles the waiter of its item, and no other', async () => {
  const waiters = makeWaiters();
  const [a, b] = [waiters.expect('a'), waiters.expect('b')];
  expect(waiters.settle(replyTo('b'))).toBe(true);
  expect(await outcomeOf(b)).toEqual(replyTo('b'));
  expect(await outcomeOf(a)).toBe('waiting');
  expect(waiters.size).toBe(1);
  expect([waiters.isExpected('a'), waiters.isExpected('b')]).toEqual([true, false]);
  waiters.settle(replyTo('a'));
  expect(await outcomeOf(a)).toEqual(replyTo('a'));
});

test('an error reply rejects with its code and detail', async () => {
  const waiters = makeWaiters();
  const waiting = waiters.expect('a');
  const error = { code: 'model_failed', detail: 'It failed.' } as const;
  expect(waiters.settle({ id: 'a', error })).toBe(true);
  await expect(waiting).rejects.toThrow(new ScorelineError('model_failed', 'It failed.'));
  await expect(waiting).rejects.toMatchObject({ code: 'model_failed' });
});

test.each(['an_error_of_tomorrow', 'constructor', 'toString'])(
  'the unknown code %s becomes internal_error with the same detail',
  (code) => {
    const error = errorOfReply({ id: 'a', error: { code: code as ErrorCode, detail: 'Odd.' } });
    expect(error).toMatchObject({ code: 'internal_error', message: 'Odd.' });
  },
);

test('the first of two replies counts', async () => {
  const waiters = makeWaiters();
  const waiting = waiters.expect('a');
  expect(waiters.settle(replyTo('a'))).toBe(true);
  expect(waiters.settle(replyTo('a', 7))).toBe(false);
  expect(waiters.fail('a', new ScorelineError('client_closed', ''))).toBe(false);
  expect(await outcomeOf(waiting)).toEqual(replyTo('a'));
});

test('a failure ends the wait, and a later reply finds no waiter', async () => {
  const waiters = makeWaiters();
  const waiting = outcomeOf(waiters.expect('a'));
  expect(waiters.fail('a', new ScorelineError('deadline_exceeded', ''))).toBe(true);
  expect(waiters.settle(replyTo('a'))).toBe(false);
  expect(await waiting).toBe('deadline_exceeded');
  expect(waiters.size).toBe(0);
});

test('a reply without a waiter changes nothing', async () => {
  const waiters = makeWaiters();
  const waiting = waiters.expect('a');
  expect(waiters.settle(replyTo('unknown'))).toBe(false);
  expect(waiters.size).toBe(1);
  waiters.settle(replyTo('a'));
  expect(await outcomeOf(waiting)).toEqual(replyTo('a'));
});

test('failAll ends every wait with the same error', async () => {
  const waiters = makeWaiters();
  const outcomes = ['a', 'b', 'c'].map((id) => outcomeOf(waiters.expect(id)));
  waiters.failAll(new ScorelineError('shutting_down', 'Over.'));
  expect(await Promise.all(outcomes)).toEqual(Array(3).fill('shutting_down'));
  expect(waiters.size).toBe(0);
});
