// The limiter of one caller at one API instance.
//
// Redis decides for all instances (usage.ts). While less than half of the limits is used, the limiter lets
// requests in and tells Redis afterwards (share.ts). Otherwise they wait for the answer of Redis, which is
// asked once a millisecond, apart from a few questions at once: requests that come meanwhile share the next
// question. Once Redis has said no, the limiter refuses at once and without a question, until the time that
// Redis named.
//
// Modes:
// - *asking*: Redis answers in time.
// - *alone*: Redis has not answered in time, or not at all. For a second, the limiter decides by itself,
//   within the share of one of the instances that were seen last. Then it asks again.
//
// Invariant: every slot that is given out counts in `#inFlight` until it is released.

import { within } from '../../shared/process/within.js';
import type { CallerLimits } from './caller.js';
import { Pace } from './pace.js';
import { fullMs, type Left, type Refusal, Share } from './share.js';
import { forgottenAfterMs, type Grant, type TakeUsage } from './usage.js';

/** How long requests wait for Redis before the limiter decides alone. */
const answerMsMax = 100;
const aloneMs = 1000;
const askEveryMs = 1;
/** How many questions may come faster than that after a pause. */
const askBurst = 4;
/** How long Redis may be behind the counts of this instance. */
const newsMs = 20;

/** The place of one request among those of its caller that are in flight. */
export interface Slot {
  /** Gives the place back. A second call does nothing. */
  release(): void;
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
  readonly #takeUsage: TakeUsage;
  readonly #share: Share;
  #limits: CallerLimits;
  #inFlight = 0;
  /** Requests that were let in since Redis was asked, and that it does not know of. */
  #spent = 0;
  #waiting: Waiter[] = [];
  #isAsking = false;
  /** When the next question would be due if all had come at the pace. */
  #dueAt = Number.NEGATIVE_INFINITY;
  #nextQuestion: { readonly at: number; readonly timer: NodeJS.Timeout } | undefined;
  /** Whether something has happened since Redis was asked. */
  #hasNews = false;
  #block: { readonly by: Refusal['limitedBy']; readonly until: number } | undefined;
  #aloneUntil = Number.NEGATIVE_INFINITY;
  /** Until when Redis may count requests in flight here that have ended. */
  #countedUntil = Number.NEGATIVE_INFINITY;

  constructor(options: { caller: string; limits: CallerLimits; takeUsage: TakeUsage }) {
    this.#caller = options.caller;
    this.#takeUsage = options.takeUsage;
    this.#limits = options.limits;
    this.#share = new Share(options.limits);
  }

  /** Whether nothing is lost when the limiter is forgotten. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && !this.#isAsking && !this.#nextQuestion && !this.#refusal();
  }

  get left(): Left {
    return this.#share.left(this.#limits, this.#inFlight);
  }

  /** Decides about one request: at once where that is possible, and otherwise when Redis has answered. */
  admit(limits: CallerLimits): Decision | Promise<Decision> {
    this.#limits = limits;
    const refusal = this.#refusal();
    if (refusal) return refusal;
    if (this.#isAlone()) return this.#decideAlone({ wasAsked: false });
    if (this.#share.takeUnasked()) {
      this.#spent++;
      this.#report(newsMs);
      return this.#openSlot();
    }
    return new Promise((resolve) => {
      this.#waiting.push({ answer: resolve, wasRefused: false });
      this.#askWithin(this.#dueAt - askBurst * askEveryMs - performance.now());
    });
  }

  /** Tells Redis that the requests in flight here are still in flight. */
  renew(): void {
    if (this.#inFlight > 0 && this.#limits.concurrent !== undefined) this.#report(0);
  }

  #report(withinMs: number): void {
    this.#hasNews = true;
    this.#askWithin(Math.max(withinMs, this.#aloneUntil - performance.now()));
  }

  #askWithin(ms: number): void {
    const at = performance.now() + ms;
    if (this.#isAsking || (this.#nextQuestion && this.#nextQuestion.at <= at)) return;
    clearTimeout(this.#nextQuestion?.timer);
    if (ms <= 0) void this.#ask();
    else this.#nextQuestion = { at, timer: setTimeout(() => void this.#ask(), ms).unref() };
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#nextQuestion?.timer);
    this.#nextQuestion = undefined;
    this.#isAsking = true;
    this.#dueAt = Math.max(this.#dueAt, performance.now()) + askEveryMs;
    this.#hasNews = false;
    const asked = this.#waiting.splice(0);
    if (this.#limits.concurrent !== undefined && this.#inFlight + asked.length > 0) {
      this.#countedUntil = performance.now() + forgottenAfterMs;
    }
    const grant = await this.#take(asked.length);
    this.#isAsking = false;
    if (grant) this.#settle(asked, grant);
    else {
      this.#aloneUntil = performance.now() + aloneMs;
      // Redis may not know what it was told.
      if (performance.now() < this.#countedUntil) this.#hasNews = true;
      for (const { answer } of asked) answer(this.#decideAlone({ wasAsked: true }));
      for (const { answer } of this.#waiting.splice(0)) {
        answer(this.#decideAlone({ wasAsked: false }));
      }
    }
    if (this.#waiting.length > 0) this.#askWithin(askEveryMs);
    else if (this.#hasNews) this.#report(newsMs);
  }

  /** Resolves to undefined when Redis does not answer in time. */
  async #take(wanted: number): Promise<Grant | undefined> {
    const spent = this.#spent + this.#share.reportAlone(this.#limits);
    const wish = { limits: this.#limits, wanted, spent, inFlight: this.#inFlight };
    this.#spent = 0;
    return within(this.#takeUsage(this.#caller, wish), answerMsMax);
  }

  #settle(asked: readonly Waiter[], grant: Grant): void {
    const { granted, limitedBy, waitMs, elsewhere } = grant;
    for (const { answer } of asked.slice(0, granted)) answer(this.#openSlot());
    this.#share.learn(this.#limits, grant, { inFlight: this.#inFlight, spent: this.#spent });
    if (!limitedBy) return;

    // A request that ended at another instance a moment ago may be on its way to Redis, so ask again.
    const isWorthwhile = limitedBy === 'concurrency' && elsewhere > 0;
    const retryAfterMs = limitedBy === 'rate' ? waitMs : fullMs;
    for (const waiter of asked.slice(granted)) {
      if (isWorthwhile && !waiter.wasRefused) {
        waiter.wasRefused = true;
        this.#waiting.push(waiter);
      } else {
        waiter.answer({ limitedBy, retryAfterMs });
        this.#block = { by: limitedBy, until: performance.now() + retryAfterMs };
      }
    }
  }

  #decideAlone({ wasAsked }: { wasAsked: boolean }): Decision {
    const refusal = this.#share.takeAlone(this.#limits, this.#inFlight, wasAsked);
    if (refusal) return refusal;
    // Report soon. A late report would charge the request to tokens that have come into the bucket since.
    if (!wasAsked && this.#limits.perSecond !== undefined) this.#report(newsMs);
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
        if (this.#limits.concurrent === undefined) return;
        // Where no slot was left, the caller's next request may be at another instance already.
        this.#report(wasFull ? 0 : newsMs);
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
