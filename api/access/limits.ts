// Fair shares: a rate and a number of requests in flight for each caller, over all API instances.

import { ScorelineError } from '../../shared/errors.js';
import type { Caller, CallerLimits } from './caller.js';
import { Limiter, type Slot } from './limiter.js';
import type { Refusal } from './share.js';
import { burstOf, sayEveryMs, type TakeUsage } from './usage.js';

export type Limits = ReturnType<typeof makeLimits>;

/** Two header fields, after draft-ietf-httpapi-ratelimit-headers-11. */
export interface LimitFields {
  readonly 'RateLimit-Policy': string;
  readonly RateLimit: string;
}

export function makeLimits(takeUsage: TakeUsage) {
  const limiters = new Map<string, Limiter>();
  const timer = setInterval(() => {
    for (const [id, limiter] of limiters) {
      if (limiter.isIdle) limiters.delete(id);
      else limiter.renew();
    }
  }, sayEveryMs);

  const limiterOf = (id: string, limits: CallerLimits): Limiter => {
    const known = limiters.get(id);
    if (known) return known;
    const limiter = new Limiter({ caller: id, limits, takeUsage });
    limiters.set(id, limiter);
    return limiter;
  };

  return {
    /**
     * Takes a slot for a request of a caller. Undefined if the caller has no limits.
     * @throws ScorelineError `rate_limited`, `concurrency_limited`, at once or as a rejection
     */
    admit(caller: Caller): Slot | undefined | Promise<Slot> {
      const { id, limits } = caller;
      if (!limits) return undefined;
      const decision = limiterOf(id, limits).admit(limits);
      if (!(decision instanceof Promise)) return slotOrThrow(decision, caller);
      return decision.then((later) => slotOrThrow(later, caller));
    },
    /** Returns what a caller with limits is told about them in each answer. */
    fieldsOf({ id, limits = {} }: Caller): LimitFields {
      const { requests, waitMs, slots } = limiterOf(id, limits).left;
      const rate = `"rate";r=${requests};t=${Math.max(1, Math.ceil(waitMs / 1000))}`;
      const concurrency = `"concurrency";r=${slots}`;
      return {
        'RateLimit-Policy': policyOf(limits),
        RateLimit: join(limits.perSecond && rate, limits.concurrent && concurrency),
      };
    },
    /** Counts a refusal of a caller, and returns how many milliseconds it should wait. */
    delayMs: ({ id, limits = {} }: Caller): number => limiterOf(id, limits).pace.next(),
    close: (): void => clearInterval(timer),
  };
}

function policyOf(limits: CallerLimits): string {
  const { perSecond, concurrent } = limits;
  const burst = burstOf(limits);
  return join(
    perSecond && `"rate";q=${burst};w=${Math.max(1, Math.ceil(burst / perSecond))}`,
    concurrent && `"concurrency";q=${concurrent};qu="concurrent-requests"`,
  );
}

/** Joins the members of a list that are there. */
function join(...members: readonly (string | 0 | undefined)[]): string {
  return members.filter((member) => member).join(', ');
}

function slotOrThrow(decision: Slot | Refusal, { name, limits = {} }: Caller): Slot {
  if ('release' in decision) return decision;
  // Rounded up: a second too early, and the caller is refused again.
  const retryAfterSeconds = Math.ceil(decision.retryAfterMs / 1000);
  if (decision.limitedBy === 'concurrency') {
    throw new ScorelineError(
      'concurrency_limited',
      `Expected at most ${limits.concurrent} requests in flight from ${name}; there are as many already. Wait for one of them to be answered.`,
      { retryAfterSeconds },
    );
  }
  throw new ScorelineError(
    'rate_limited',
    `Expected at most ${limits.perSecond} requests a second from ${name}, and ${burstOf(limits)} at once; got more. Ask again after the time in Retry-After.`,
    { retryAfterSeconds },
  );
}
