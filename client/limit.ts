// The limits of one call: its time, and the AbortSignal of its caller. Whatever the call does, attempts and the
// pauses between them, ends with the signal of its limit.
//
// Invariant: when a call has ended, nothing of it is left: no timer, and no listener on the caller's signal.

import { misuse, ScorelineError } from './errors.js';

export interface LimitOptions {
  /** Ends the call. It rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
  /** The most time that the call may take, attempts and pauses together, in milliseconds. */
  readonly timeoutMs?: number | undefined;
}

export interface Limit {
  readonly signal: AbortSignal;
  /** Infinity if the call has no time limit. */
  remainingMs(): number;
}

/** A timer of more milliseconds than this would fire at once. */
const timerMsMax = 2 ** 31 - 1;

/** Opens the limit of a call. `close` ends what still runs under it, and can be called twice. */
export function openLimit(options: LimitOptions): Limit & { close(): void } {
  const { signal } = options;
  const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0))
    throw misuse('timeoutMs to be a number above 0', timeoutMs);
  signal?.throwIfAborted();
  const controller = new AbortController();
  const endsAt = performance.now() + timeoutMs;
  const abort = () => controller.abort(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const expire = () => controller.abort(timedOut(timeoutMs));
  const timer = timeoutMs <= timerMsMax ? setTimeout(expire, timeoutMs) : undefined;
  return {
    signal: controller.signal,
    remainingMs: () => Math.max(endsAt - performance.now(), 0),
    close() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      if (!controller.signal.aborted) controller.abort();
    },
  };
}

/** Waits. Rejects with the reason of the signal when it aborts. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(
      () => {
        signal.removeEventListener('abort', stop);
        resolve();
      },
      Math.min(ms, timerMsMax),
    );
    signal.addEventListener('abort', stop, { once: true });
  });
}

function timedOut(timeoutMs: number): ScorelineError {
  return new ScorelineError(
    `Expected an answer within ${timeoutMs} ms; got none. Raise timeoutMs, or submit a job and wait for it.`,
    { code: 'timed_out' },
  );
}
