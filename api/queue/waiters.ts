// Waiters: one entry for each item that waits for a reply from a worker.
//
// Invariant: an entry leaves the map exactly once, by a reply, by a failure, or because nobody waits
// any more, whichever is first; the others find nothing to do. The entry is made before the job is
// added, since a warm worker can answer before `add` resolves. Deadlines and hang-ups are the
// call's, which ends the waits of its items (api/queue/dispatcher.ts).

import { errorTable, ScorelineError } from '../../shared/errors.js';
import type { Reply } from '../../shared/reply.js';

export type ScoredReply = Extract<Reply, { outputs: unknown }>;
type FailedReply = Extract<Reply, { error: unknown }>;

interface Waiter {
  resolve(reply: ScoredReply): void;
  reject(error: ScorelineError): void;
}

export interface Waiters {
  /** Resolves with the reply to an item; rejects with the error that ends the wait. */
  expect(id: string): Promise<ScoredReply>;
  isExpected(id: string): boolean;
  /** Hands a reply to its waiter. False when nobody waits (any more). */
  settle(reply: Reply): boolean;
  /** Ends the wait with an error. False when nobody waits (any more). */
  fail(id: string, error: ScorelineError): boolean;
  failAll(error: ScorelineError): void;
  readonly size: number;
}

export function makeWaiters(): Waiters {
  const waiters = new Map<string, Waiter>();

  const leave = (id: string): Waiter | undefined => {
    const waiter = waiters.get(id);
    waiters.delete(id);
    return waiter;
  };

  const fail = (id: string, error: ScorelineError): boolean => {
    const waiter = leave(id);
    waiter?.reject(error);
    return waiter !== undefined;
  };

  return {
    expect: (id) =>
      new Promise((resolve, reject) => {
        waiters.set(id, { resolve, reject });
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
  // A worker of a later release may send codes that this release does not know.
  const isKnown = Object.hasOwn(errorTable, error.code);
  return new ScorelineError(isKnown ? error.code : 'internal_error', error.detail);
}
