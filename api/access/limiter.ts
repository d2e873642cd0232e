// The limiter of one caller at one API instance.
//
// Redis decides for all instances (usage.ts). Requests that come while Redis is being asked, or less than
// two milliseconds after it was, share the next question, so under load a round trip serves many of them:
// a question for each took 1.21 times the processor time of the API. Once Redis has said no, the limiter
// refuses at once and without a question, until the time that Redis named.
//
// Modes:
// - *asking*: Redis answers in time. Each request waits for its answer.
// - *alone*: Redis has not answered in time, or not at all. For a second, the limiter decides by itself,
//   within the share of the limits of one of the instances that were seen last. Then it asks again.
//
// Invariant: every slot that is given out counts in `#inFlight` until it is released.

import type { Limits } from './caller.js';
import { Pace } from './pace.js';
import { burstOf, type Grant, type Usage } from './usage.js';

const askEveryMs = 2;
/** How long requests wait for Redis before the limiter decides alone. */
const answerMsMax = 100;
const aloneMs = 1000;
/** A request may end at another instance at any time, so a refusal for want of a slot holds only this long. */
const fullMs = 50;

/** The place of one request among those of its caller that are in flight. */
export interface Slot {
  /** Gives the place back. A second call does nothing. */
  release(): void;
}

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

type Decision = Slot | Refusal;

/** A request that waits for Redis. */
interface Waiter {
  readonly answer: (decision: Decision) => void;
  /** Whether Redis has refused it once, for want of a slot. */
  wasRefused: boolean;
}

export class Limiter {
  /** Of the caller's refusals. */
  readonly pace = new Pace();
  readonly #caller: string;
  readonly #usage: Usage;
  #limits: Limits;
  #inFlight = 0;
  #waiting: Waiter[] = [];
  #isAsking = false;
  #askedAt = Number.NEGATIVE_INFINITY;
  #nextQuestion: NodeJS.Timeout | undefined;
  /** Whether requests have ended since Redis was told how many are in flight. */
  #hasNews = false;
  #block: { readonly by: Refusal['limitedBy']; readonly until: number } | undefined;
  #aloneUntil = Number.NEGATIVE_INFINITY;
  #elsewhere = 0;
  #instances = 1;
  /** What the token bucket held at `#tokensAt`. */
  #tokens: number;
  #tokensAt = performance.now();

  constructor(options: { caller: string; limits: Limits; usage: Usage }) {
    this.#caller = options.caller;
    this.#usage = options.usage;
    this.#limits = options.limits;
    this.#tokens = burstOf(options.limits);
  }

  /** Whether nothing is lost when the limiter is forgotten. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && !this.#isAsking && !this.#nextQuestion && !this.#refusal();
  }

  get left(): Left {
    const { concurrent = 0, perSecond = 1 } = this.#limits;
    const nextAt = this.#tokensAt + ((1 - this.#tokens) * 1000) / perSecond;
    return {
      requests: Math.floor(this.#tokens),
      waitMs: this.#tokens >= 1 ? 0 : Math.max(0, nextAt - performance.now()),
      slots: Math.max(0, concurrent - this.#inFlight - this.#elsewhere),
    };
  }

  /** Decides about one request: at once where that is possible, and otherwise when Redis has answered. */
  admit(limits: Limits): Decision | Promise<Decision> {
    this.#limits = limits;
    const refusal = this.#refusal();
    if (refusal) return refusal;
    if (this.#isAlone()) return this.#decideAlone();
    return new Promise((resolve) => {
      this.#waiting.push({ answer: resolve, wasRefused: false });
      this.#askSoon();
    });
  }

  /** Tells Redis how many requests are in flight here, if that is limited. */
  report(): void {
    if (this.#limits.concurrent === undefined || this.#isAlone()) return;
    this.#hasNews = true;
    this.#askSoon();
  }

  #askSoon(): void {
    if (this.#isAsking || this.#nextQuestion) return;
    const waitMs = this.#askedAt + askEveryMs - performance.now();
    if (waitMs <= 0) void this.#ask();
    else this.#nextQuestion = setTimeout(() => void this.#ask(), waitMs);
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#nextQuestion);
    this.#nextQuestion = undefined;
    this.#isAsking = true;
    this.#askedAt = performance.now();
    this.#hasNews = false;
    const asked = this.#waiting.splice(0);
    const grant = await this.#take(asked.length);
    this.#isAsking = false;
    if (grant) this.#settle(asked, grant);
    else {
      this.#aloneUntil = performance.now() + aloneMs;
      for (const { answer } of [...asked, ...this.#waiting.splice(0)]) answer(this.#decideAlone());
    }
    if (this.#waiting.length > 0 || (this.#hasNews && !this.#isAlone())) this.#askSoon();
  }

  /** Resolves to undefined when Redis does not answer in time. */
  async #take(wanted: number): Promise<Grant | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), answerMsMax);
    });
    const wish = { limits: this.#limits, wanted, inFlight: this.#inFlight };
    const grant = this.#usage.take(this.#caller, wish).catch(() => undefined);
    try {
      return await Promise.race([grant, tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }

  #settle(asked: readonly Waiter[], grant: Grant): void {
    const { granted, limitedBy, tokens, elsewhere, instances } = grant;
    const now = performance.now();
    this.#tokens = tokens;
    this.#tokensAt = now;
    this.#elsewhere = elsewhere;
    this.#instances = instances;
    for (const { answer } of asked.slice(0, granted)) answer(this.#openSlot());
    if (!limitedBy) return;

    // A request that ended at another instance a moment ago may be on its way to Redis, so ask again.
    const isWorthwhile = limitedBy === 'concurrency' && elsewhere > 0;
    const retryAfterMs = limitedBy === 'rate' ? grant.waitMs : fullMs;
    for (const waiter of asked.slice(granted)) {
      if (isWorthwhile && !waiter.wasRefused) {
        waiter.wasRefused = true;
        this.#waiting.push(waiter);
      } else {
        waiter.answer({ limitedBy, retryAfterMs });
        this.#block = { by: limitedBy, until: now + retryAfterMs };
      }
    }
  }

  /** Decides by this instance's share of the limits. */
  #decideAlone(): Decision {
    const { perSecond, concurrent } = this.#limits;
    if (concurrent !== undefined) {
      const share = Math.max(1, Math.floor(concurrent / this.#instances));
      if (this.#inFlight >= share) return { limitedBy: 'concurrency', retryAfterMs: fullMs };
    }
    if (perSecond !== undefined) {
      const rate = perSecond / this.#instances;
      const burst = Math.max(1, burstOf(this.#limits) / this.#instances);
      const now = performance.now();
      const refilled = this.#tokens + ((now - this.#tokensAt) * rate) / 1000;
      this.#tokens = Math.min(burst, refilled);
      this.#tokensAt = now;
      if (this.#tokens < 1) {
        return { limitedBy: 'rate', retryAfterMs: ((1 - this.#tokens) * 1000) / rate };
      }
      this.#tokens--;
    }
    return this.#openSlot();
  }

  #openSlot(): Slot {
    this.#inFlight++;
    let isOpen = true;
    return {
      release: () => {
        if (!isOpen) return;
        isOpen = false;
        const wasFull = this.left.slots === 0;
        this.#inFlight--;
        if (this.#block?.by === 'concurrency') this.#block = undefined;
        // The caller's next request may come to another instance, which would refuse it.
        if (wasFull) this.#askedAt = Number.NEGATIVE_INFINITY;
        this.report();
      },
    };
  }

  #isAlone(): boolean {
    return performance.now() < this.#aloneUntil;
  }

  #refusal(): Refusal | undefined {
    const left = this.#block ? this.#block.until - performance.now() : 0;
    if (this.#block && left > 0) return { limitedBy: this.#block.by, retryAfterMs: left };
    this.#block = undefined;
    return undefined;
  }
}
