// A clock that stands still until a test moves it. `setImmediate` stays real: it comes after all
// microtasks, and so tells when everything that could happen without time has happened.

import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';
import { onTestFinished, vi } from 'vitest';

/** Stops the clock until the test has ended. */
export function stopClock(): void {
  setClockBack();
  const stopDelays = replaceDelay((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  onTestFinished(() => {
    stopDelays();
    vi.useRealTimers();
  });
}

/** Puts the stopped clock back to where it was at first, without timers. */
export function setClockBack(): void {
  vi.useRealTimers();
  vi.useFakeTimers({
    now: 1_700_000_000_000,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
}

/** `setTimeout` of node:timers/promises, which vitest leaves alone; returns what undoes it. */
function replaceDelay(delay: (ms?: number) => Promise<unknown>): () => void {
  const real = timersPromises.setTimeout;
  const replace = (by: unknown) => {
    Object.assign(timersPromises, { setTimeout: by });
    syncBuiltinESMExports();
  };
  replace(delay);
  return () => replace(real);
}

/** Resolves when no promise has anything left to do at the present time. */
export function everythingDone(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Moves the clock to each timer in turn, until there is none, or to `timersMax` of them. */
export async function runTimers(
  afterEach: () => void = () => {},
  timersMax = Number.POSITIVE_INFINITY,
): Promise<void> {
  await everythingDone();
  for (let timers = 0; vi.getTimerCount() > 0 && timers < timersMax; timers++) {
    vi.advanceTimersToNextTimer();
    await everythingDone();
    afterEach();
  }
}

/** Moves the clock on, timer by timer. */
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
