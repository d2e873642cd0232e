// Waiters: one entry for each item that waits for a worker's reply.
//
// Invariant: an entry leaves the map exactly once, by a reply or by a failure, whichever is first. Later
// ones find no entry and do nothing. The dispatcher makes the entry before it adds the job, because a
// warm worker can answer before `add` resolves. Deadlines and hang-ups end the call, and the dispatcher
// then fails the entries of its items.

import { errorTable, ScorelineError } from '../../shared/errors.js';
import type { Reply, ScoredReply } from '../../shared/wire/reply.js';

type FailedReply = Extract<Reply, { error: unknown }>;

interface Waiter {
  resolve(reply: ScoredReply): void;
  reject(error: ScorelineError): void;
}

export type Waiters = ReturnType<typeof makeWaiters>;

export function makeWaiters() {
  const waiters = new Map<string, Waiter>();

  const leave = (id: string): Waiter | undefined => {
    const waiter = waiters.get(id);
    waiters.delete(id);
    return waiter;
  };

  /** Ends the wait with an error. Returns false if the item has no waiter. */
  const fail = (id: string, error: ScorelineError): boolean => {
    const waiter = leave(id);
    waiter?.reject(error);
    return waiter !== undefined;
  };

  return {
    /** Resolves with the reply to an item, or rejects with the error that ends the wait. */
    expect: (id: string): Promise<ScoredReply> =>
      new Promise((resolve, reject) => {
        waiters.set(id, { resolve, reject });
      }),
    isExpected: (id: string): boolean => waiters.has(id),
    /** Hands a reply to its waiter. Returns false if the item has no waiter. */
    settle(reply: Reply): boolean {
      if ('error' in reply) return fail(reply.id, errorOfReply(reply));
      const waiter = leave(reply.id);
      waiter?.resolve(reply);
      return waiter !== undefined;
    },
    fail,
    failAll(error: ScorelineError): void {
      for (const id of [...waiters.keys()]) fail(id, error);
    },
    get size(): number {
      return waiters.size;
    },
  };
}

/** Returns the error that a worker replied with. An unknown code becomes `internal_error`. */
export function errorOfReply({ error }: FailedReply): ScorelineError {
  // Workers of a later release may send codes that this release does not know.
  const isKnown = Object.hasOwn(errorTable, error.code);
  return new ScorelineError(isKnown ? error.code : 'internal_error', error.detail);
}
