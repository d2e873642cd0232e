// Attempts at a call. Only what says nothing about the call itself is tried again: an answer of 429 or 503, and a
// connection that was lost. The pause is at least the `Retry-After` of the answer. Beyond that it is drawn at random
// below a bound that doubles, so that clients that failed together do not come back together.

import { ScorelineError } from './errors.js';
import { type Limit, sleep } from './limit.js';

const firstPauseMs = 250;
const pauseMsMax = 10_000;

/**
 * Makes attempts until one succeeds, fails for good, or the limits are reached.
 * @throws ScorelineError of the last attempt; the reason of the limit's signal
 */
export async function tryRepeatedly<T>(
  { limit, retries }: { limit: Limit; retries: number },
  attempt: () => Promise<T>,
): Promise<T> {
  let last: unknown;
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (thrown) {
      if (limit.signal.aborted) throw reasonOf(limit.signal, last);
      last = thrown;
      const mayTryAgain = thrown instanceof ScorelineError && thrown.isRetryable;
      if (!mayTryAgain || failures >= retries) throw thrown;
      const pauseMs = pauseAfter(failures, thrown.retryAfterMs);
      // There is no time for another attempt, so what is known is told now.
      if (pauseMs >= limit.remainingMs()) throw thrown;
      await sleep(pauseMs, limit.signal);
    }
  }
}

/** Returns the pause after so many failures and one more. */
export function pauseAfter(
  failures: number,
  retryAfterMs = 0,
  random: () => number = Math.random,
): number {
  const boundMs = Math.min(firstPauseMs * 2 ** Math.min(failures, 20), pauseMsMax);
  return retryAfterMs + random() * boundMs;
}

/** A call that ran out of time says why its attempt before failed. */
function reasonOf({ reason }: AbortSignal, last: unknown): unknown {
  if (!(reason instanceof ScorelineError && last instanceof ScorelineError)) return reason;
  const message = `${reason.message} The attempt before failed: ${last.message}`;
  return new ScorelineError(message, {
    code: reason.code,
    requestId: last.requestId,
    cause: last,
  });
}
