// When a webhook is tried again: after 1 s, and then after four times as long each time, up to an hour.

const firstMs = 1000;
const factor = 4;
export const pauseMsMax = 3_600_000;
/** By how much a pause is shorter or longer at random, so a receiver that comes back is not asked for all at once. */
const jitter = 0.25;

/**
 * Returns how long to wait after a failed attempt.
 * @param attempts how many have failed
 * @param retryAfterMs what the receiver asks for
 * @param random from 0 to 1
 */
export function pauseMs(attempts: number, retryAfterMs = 0, random = Math.random()): number {
  const growing = Math.min(firstMs * factor ** (attempts - 1), pauseMsMax);
  const spread = growing * (1 - jitter + 2 * jitter * random);
  return Math.round(Math.max(spread, Math.min(retryAfterMs, pauseMsMax)));
}

/** Reads the header `Retry-After`: seconds, or a date. */
export function readRetryAfterMs(text: string | undefined, now: Date): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const ms = Date.parse(text) - now.getTime();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
