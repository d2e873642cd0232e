// Replies. One entry for each item that waits for a worker.
//
// Invariant: an entry leaves the map exactly once, by reply, failure, deadline or cancellation,
// whichever is first; the others find nothing to do. The entry is made before the job is added,
// since a warm worker can answer before `add` resolves.

import { nowMs } from '../../shared/clock.js';
import { errorTable, ScorelineError } from '../../shared/errors.js';
import type { Reply } from '../../shared/wire.js';

export type ScoredReply = Extract<Reply, { scores: unknown }>;
type FailedReply = Extract<Reply, { error: unknown }>;

interface Waiter {
  resolve(reply: ScoredReply): void;
  reject(error: ScorelineError): void;
  readonly timer: NodeJS.Timeout;
}

export interface Replies {
  /** Waits for the reply to an item. Rejects with `deadline_exceeded` when it does not come in time,
   * or `queue_unavailable` when that is because Redis is away. */
  expect(id: string, deadlineAt: number): Promise<ScoredReply>;
  isExpected(id: string): boolean;
  /** Hands a reply to its waiter. False when nobody waits (any more). */
  settle(reply: Reply): boolean;
  /** Ends the wait with an error. False when nobody waits (any more). */
  fail(id: string, error: ScorelineError): boolean;
  failAll(error: ScorelineError): void;
  readonly size: number;
}

export function makeReplies(options: { isQueueAway?: () => boolean } = {}): Replies {
  const { isQueueAway = () => false } = options;
  const waiters = new Map<string, Waiter>();

  const leave = (id: string): Waiter | undefined => {
    const waiter = waiters.get(id);
    if (!waiter) return undefined;
    waiters.delete(id);
    clearTimeout(waiter.timer);
    return waiter;
  };

  const fail = (id: string, error: ScorelineError): boolean => {
    const waiter = leave(id);
    waiter?.reject(error);
    return waiter !== undefined;
  };

  return {
    expect: (id, deadlineAt) =>
      new Promise((resolve, reject) => {
        const waitMs = Math.max(0, deadlineAt - nowMs());
        const timer = setTimeout(
          () => fail(id, isQueueAway() ? queueAway() : deadlineExceeded()),
          waitMs,
        );
        waiters.set(id, { resolve, reject, timer });
      }),
    isExpected: (id) => waiters.has(id),
    settle(reply) {
      if ('error' in reply) return fail(reply.id, errorOfReply(reply));
      const waiter = leave(reply.id);
      waiter?.resolve(reply);
      return waiter !== undefined;
    },
    fail,
    failAll(error) {
      for (const id of [...waiters.keys()]) fail(id, error);
    },
    get size() {
      return waiters.size;
    },
  };
}

export function errorOfReply({ error }: FailedReply): ScorelineError {
  // A worker of a later release may know errors that we do not.
  const isKnown = Object.hasOwn(errorTable, error.code);
  return new ScorelineError(isKnown ? error.code : 'internal_error', error.detail);
}

function queueAway(): ScorelineError {
  return new ScorelineError(
    'queue_unavailable',
    'The queue could not be reached until the deadline. Ask again shortly.',
    { retryAfterSeconds: 1 },
  );
}

export function clientClosed(): ScorelineError {
  return new ScorelineError('client_closed', 'The client hung up.');
}

export function deadlineExceeded(): ScorelineError {
  return new ScorelineError(
    'deadline_exceeded',
    'Expected an answer before the deadline; none came. The workers are busy or not there yet: ask again, or allow more time.',
  );
}
