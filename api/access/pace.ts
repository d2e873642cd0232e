// The pace of refusals.
//
// A refusal costs nearly as much as an answer, so a caller that goes on in spite of its refusals would slow
// the others down: 64 clients that asked again at once took half of the API's time and raised the p99 of
// another caller 2.5 times. So refusals beyond the pace wait, for up to a second, which is the least that
// Retry-After says. A client that waits for its answers then sends no more than that.

/** Refusals a second that do not wait. */
const perSecond = 200;
/** Refusals at once that do not wait. */
const burst = 50;
const delayMsMax = 1000;

export class Pace {
  readonly #now: () => number;
  /** When the next refusal would be due if all came at the pace. */
  #nextAt = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds from any origin */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Counts a refusal, and returns how many milliseconds it should wait. */
  next(): number {
    const now = this.#now();
    const intervalMs = 1000 / perSecond;
    const allowedAheadMs = burst * intervalMs;
    const dueAt = Math.min(Math.max(this.#nextAt, now), now + allowedAheadMs + delayMsMax);
    this.#nextAt = dueAt + intervalMs;
    return Math.max(0, dueAt - now - allowedAheadMs);
  }
}
