// Waiting, for a time or for a condition.

export { setTimeout as delay } from 'node:timers/promises';

import { setTimeout as delay } from 'node:timers/promises';

/** Resolves to whether the condition came to hold within the time. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  withinMs: number,
): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > until) return false;
    await delay(20);
  }
  return true;
}
