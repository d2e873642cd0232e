// What one API instance knows of a caller's limits, and what it may give out by itself.
//
// While less than half of the limits is used, an instance lets requests in before it asks Redis: a part of
// the upper half, divided by the instances that the caller has requests at. Redis takes them off afterwards.
// So with several instances, half as many again as the burst may pass at once, and then fewer follow: over
// time the rate is exact. While Redis is slow, an instance has its part of everything, and Redis takes that off, too:
// its bucket has filled meanwhile, and would be a second burst.

import type { CallerLimits } from './caller.js';
import { burstOf, type Grant } from './usage.js';

/** For so long after an answer of Redis an instance may let requests in by itself. */
const validMs = 1000;
/** A request may end at another instance at any time, so a refusal for want of a slot holds only this long. */
export const fullMs = 50;

export interface Refusal {
  readonly limitedBy: 'rate' | 'concurrency';
  readonly retryAfterMs: number;
}

/** What is left of the limits, as far as this instance knows. */
export interface Left {
  /** Requests that may come at once, by the rate. */
  readonly requests: number;
  /** How long until one more may come; 0 if one may come now. */
  readonly waitMs: number;
  readonly slots: number;
}

export class Share {
  /** What the token bucket held at `#at`. */
  #tokens: number;
  #at = performance.now();
  /** Requests in flight at other instances. */
  #elsewhere = 0;
  #instances = 1;
  /** How many requests may be let in before Redis is asked, until `#at` plus `validMs`. */
  #unasked = 0;
  /** Requests that were let in alone, and that Redis does not know of. */
  #alone = 0;

  constructor(limits: CallerLimits) {
    this.#tokens = burstOf(limits);
  }

  /**
   * Takes over what Redis has answered.
   * @param inFlight requests in flight at this instance
   * @param spent requests that this instance has let in since it asked
   */
  learn(
    limits: CallerLimits,
    grant: Grant,
    { inFlight, spent }: { inFlight: number; spent: number },
  ): void {
    this.#tokens = grant.tokens - spent;
    this.#at = performance.now();
    this.#elsewhere = grant.elsewhere;
    this.#instances = grant.instances;
    const { perSecond, concurrent } = limits;
    const spare = Math.min(
      perSecond === undefined ? Number.POSITIVE_INFINITY : this.#tokens - burstOf(limits) / 2,
      concurrent === undefined
        ? Number.POSITIVE_INFINITY
        : concurrent / 2 - inFlight - grant.elsewhere,
    );
    this.#unasked = Math.floor(spare / grant.instances);
  }

  left({ perSecond = 1, concurrent = 0 }: CallerLimits, inFlight: number): Left {
    const nextAt = this.#at + ((1 - this.#tokens) * 1000) / perSecond;
    return {
      requests: Math.max(0, Math.floor(this.#tokens)),
      waitMs: this.#tokens >= 1 ? 0 : Math.max(0, nextAt - performance.now()),
      slots: Math.max(0, concurrent - inFlight - this.#elsewhere),
    };
  }

  /** Takes one of the requests that may be let in before Redis is asked. */
  takeUnasked(): boolean {
    if (this.#unasked < 1 || performance.now() - this.#at > validMs) return false;
    this.#unasked--;
    this.#tokens--;
    return true;
  }

  /**
   * Returns how many requests were let in alone since the last time, for Redis. No more than this instance's part of
   * the bucket: a Redis that was long away has a full one, and nothing more to take them from.
   */
  reportAlone(limits: CallerLimits): number {
    const alone = Math.min(this.#alone, Math.floor(burstOf(limits) / this.#instances));
    this.#alone = 0;
    return alone;
  }

  /**
   * Takes a request from this instance's part of the limits. Returns a refusal if that is used up.
   * @param wasAsked whether Redis was asked about it, and may count it without a word to us
   */
  takeAlone(limits: CallerLimits, inFlight: number, wasAsked: boolean): Refusal | undefined {
    const { perSecond, concurrent } = limits;
    if (concurrent !== undefined) {
      const part = Math.max(1, Math.floor(concurrent / this.#instances));
      if (inFlight >= part) return { limitedBy: 'concurrency', retryAfterMs: fullMs };
    }
    if (perSecond === undefined) return undefined;
    const rate = perSecond / this.#instances;
    const burst = Math.max(1, burstOf(limits) / this.#instances);
    const now = performance.now();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) * rate) / 1000);
    this.#at = now;
    if (this.#tokens < 1) {
      return { limitedBy: 'rate', retryAfterMs: ((1 - this.#tokens) * 1000) / rate };
    }
    this.#tokens--;
    if (!wasAsked) this.#alone++;
    return undefined;
  }
}
