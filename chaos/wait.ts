// Waits for a condition.

import { setTimeout as delay } from 'node:timers/promises';

/** Waits until the condition holds. Resolves to false if it does not hold within the time. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  withinMs: number,
  everyMs = 20,
): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > until) return false;
    await delay(everyMs);
  }
  return true;
}
