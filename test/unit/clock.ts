// A clock that stands still until a test moves it. `setImmediate` stays real. It runs after all
// microtasks, so it tells when everything has happened that needs no time.

import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';
import { onTestFinished, vi } from 'vitest';

/** Stops the clock until the test ends. */
export function stopClock(): void {
  setClockBack();
  const stopDelays = replaceDelay((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  onTestFinished(() => {
    stopDelays();
    vi.useRealTimers();
  });
}

/** Resets the stopped clock to its first time, and removes all timers. */
export function setClockBack(): void {
  vi.useRealTimers();
  vi.useFakeTimers({
    now: 1_700_000_000_000,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
}

/**
 * Replaces `setTimeout` of node:timers/promises, which vitest's fake timers leave alone. Returns a
 * function that restores it.
 */
function replaceDelay(delay: (ms?: number) => Promise<unknown>): () => void {
  const real = timersPromises.setTimeout;
  const replace = (by: unknown) => {
    Object.assign(timersPromises, { setTimeout: by });
    syncBuiltinESMExports();
  };
  replace(delay);
  return () => replace(real);
}

/** Resolves when no promise can make progress without the clock. */
export function everythingDone(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** So many timers mean that one of them sets the next for ever. */
const timersBound = 100_000;

/**
 * Moves the clock from timer to timer until none is left, or for `timersMax` timers.
 * @throws if they never end
 */
export async function runTimers(
  afterEach: () => void = () => {},
  timersMax = Number.POSITIVE_INFINITY,
): Promise<void> {
  await everythingDone();
  for (let timers = 0; vi.getTimerCount() > 0 && timers < timersMax; timers++) {
    if (timers === timersBound) throw new Error(`Timers never end, at ${performance.now()} ms`);
    vi.advanceTimersToNextTimer();
    await everythingDone();
    afterEach();
  }
}

/** Moves the clock forward by `ms`, timer by timer. */
export async function passMs(ms: number): Promise<void> {
  let reached = false;
  setTimeout(() => {
    reached = true;
  }, ms);
  await everythingDone();
  while (!reached) {
    vi.advanceTimersToNextTimer();
    await everythingDone();
  }
}
