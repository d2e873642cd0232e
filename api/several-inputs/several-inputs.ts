// Requests with several inputs, each of which is scored and fails on its own.
//
// Each input has a call, as the input of a request of its own would have. So it has its own permit, deadline,
// item and error, and counts as a request for the limits of its caller. The call of the request gives its permit
// and its slot to the first input, and ends all of them when its client hangs up.
//
// Inputs are let in one after the other. Nothing is read of an input before there is room for it:
//
// 1. fewer than `inFlightMax` inputs of the request are *in flight*: let in, and not yet taken by the client as an
//    answer. So a client that reads slowly, or not at all, stops its request, and few answers wait in memory.
// 2. its caller has a slot, which the input keeps until its answer is taken. While the limits of the caller are used
//    up, the request waits.
// 3. admission has a permit. While it has none, the input waits until its deadline, in line with those of other requests
//    (entrance.ts).
//
// An input that waits for 2 or 3 until its deadline, or that of the request, fails with the refusal.
//
// An input whose job is lost because Redis is away is sent again until its deadline, so a restart of Redis costs a
// long stream none of its inputs. Nothing else is tried again.
//
// The request ends when all of its inputs have an outcome. It stops early, once those in flight have one, when its
// source breaks, its client is gone, or this instance shuts down.

import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { InputName } from '../../shared/input-name.js';
import type { OutputWish } from '../../shared/wire/job.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import type { Slot } from '../access/limiter.js';
import type { Limits } from '../access/limits.js';
import type { Call } from '../call/call.js';
import type { Calls, PartOptions } from '../call/calls.js';
import type { RawInput } from '../kinds/kind.js';
import type { Scoring } from '../scoring.js';
import { askAgainMs, Entrance } from './entrance.js';

/** How long to wait before an input is sent again that the queue did not take. */
const sendAgainMs = 500;

type MaybePromise<T> = T | Promise<T>;

/** What is asked of one input. */
export interface Question {
  readonly input: RawInput;
  readonly wish: OutputWish;
  /** How long the input may take at most; as long as all others if undefined. */
  readonly deadlineMs?: number | undefined;
}

/** An input that has arrived. */
export interface Arrived {
  /** What its client calls it. */
  readonly name?: InputName | undefined;
  /** @throws ScorelineError if the input is malformed */
  read(): Question;
}

/** Where the inputs come from, in order. */
export interface Source {
  /**
   * Waits until another input begins, or none is left.
   * @throws ScorelineError if that will never be known
   */
  hasNext(): MaybePromise<boolean>;
  /** @throws ScorelineError if the source ends within the input */
  next(): MaybePromise<Arrived>;
}

/** What has become of an input. */
export type Outcome = { readonly index: number; readonly name: InputName | undefined } & (
  | Scored
  | { readonly error: ScorelineError }
);

interface Scored {
  readonly reply: ScoredReply;
  /** Whether the reply was kept from an earlier request with the same key. */
  readonly isReplayed: boolean;
}

export interface SeveralInputsOptions {
  readonly source: Source;
  /** Gets each outcome, in the order of finishing. Resolves once the client has taken it. */
  readonly deliver: (outcome: Outcome) => MaybePromise<void>;
}

/** How a request has ended. */
export interface SeveralInputsEnd {
  /** How many inputs have an outcome: the first ones. */
  readonly count: number;
  /** Why there are more inputs without one; undefined if there are none. */
  readonly stop: ScorelineError | undefined;
}

export type SeveralInputs = ReturnType<typeof makeSeveralInputs>;

interface Parts {
  readonly calls: Pick<Calls, 'openPart'>;
  readonly limits: Pick<Limits, 'admit'>;
  readonly scoring: Pick<Scoring, 'score'>;
  /** The most inputs of a request that are in flight. */
  readonly inFlightMax: number;
}

export function makeSeveralInputs(parts: Parts) {
  const entrance = new Entrance();
  return {
    /** Scores the inputs of a request, and then ends its call. */
    async score(call: Call, options: SeveralInputsOptions): Promise<SeveralInputsEnd> {
      const run = new Run({ ...parts, entrance }, call, options);
      try {
        return await run.end();
      } finally {
        call.end('scored');
      }
    },
  };
}

class Run {
  readonly #parts: Parts & { readonly entrance: Entrance };
  readonly #call: Call;
  readonly #options: SeveralInputsOptions;
  /** The name of its line. */
  readonly #line: string;
  #count = 0;
  #inFlight = 0;
  /** Wait until an input has been delivered. */
  readonly #waiting = new Set<() => void>();
  /** A fault of our own, in the scoring of one input. */
  #fault: { readonly thrown: unknown } | undefined;

  constructor(
    parts: Parts & { readonly entrance: Entrance },
    call: Call,
    options: SeveralInputsOptions,
  ) {
    this.#parts = parts;
    this.#call = call;
    this.#options = options;
    this.#line = [call.priority, ...call.models.map(({ queue }) => queue)].join();
  }

  async end(): Promise<SeveralInputsEnd> {
    let stop: ScorelineError | undefined;
    try {
      await this.#letAllIn();
    } catch (thrown) {
      if (!(thrown instanceof ScorelineError)) throw thrown;
      stop = thrown;
    }
    while (this.#inFlight > 0) await this.#nextDelivery();
    if (this.#fault) throw this.#fault.thrown;
    return { count: this.#count, stop };
  }

  /** @throws ScorelineError when no more inputs are let in */
  async #letAllIn(): Promise<void> {
    const { source } = this.#options;
    for (;;) {
      while (this.#inFlight >= this.#parts.inFlightMax) await this.#nextDelivery();
      if (this.#fault || !(await source.hasNext())) return;
      const slot = await this.#takeSlot();
      try {
        await this.#letIn(await source.next(), slot);
      } catch (error) {
        slot?.release();
        throw error;
      }
    }
  }

  /** Lets an input in, and has it scored. Returns before it is. */
  async #letIn(arrived: Arrived, slot: Slot | undefined): Promise<void> {
    const arrivedAt = nowMs();
    let held = slot;
    let scored: Promise<Scored>;
    try {
      const question = arrived.read();
      const options = this.#optionsOf(question, { slot, arrivedAt });
      const part = await this.#open(options);
      // The work of a key goes on when the client hangs up, so its call has the slot.
      if (this.#call.key !== undefined) held = undefined;
      // Of a stream, only this input has been read.
      if (this.#call.isStream) part.takeBody(this.#call);
      scored = this.#scoreOne(part, question, options);
    } catch (error) {
      if (!(error instanceof ScorelineError) || this.#isStop(error)) throw error;
      if (this.#call.isStream) this.#call.dropBody();
      // The first input has no use for the permit of the request. While the next one is read, it is for others.
      this.#call.handOver()?.release(false);
      scored = Promise.reject(error);
    }
    const head = { index: this.#count++, name: arrived.name };
    this.#inFlight++;
    scored
      .then(
        (answer) => this.#options.deliver({ ...head, ...answer }),
        (error) => {
          if (!(error instanceof ScorelineError)) throw error;
          return this.#options.deliver({ ...head, error });
        },
      )
      .catch((thrown) => {
        this.#fault = { thrown };
      })
      .finally(() => {
        held?.release();
        this.#inFlight--;
        for (const wake of [...this.#waiting]) wake();
        this.#parts.entrance.advance(this.#line);
      });
  }

  /** Whether an error means that no further input is let in. */
  #isStop(error: ScorelineError): boolean {
    return error === this.#call.ending.reason || error.code === 'shutting_down';
  }

  async #scoreOne(first: Call, question: Question, options: PartOptions): Promise<Scored> {
    let part = first;
    for (;;) {
      try {
        const [reply] = await this.#parts.scoring.score(part, [question.input], question.wish);
        if (!reply) throw new Error('One input has one reply. This is a bug.');
        return { reply, isReplayed: part.isReplayed };
      } catch (error) {
        if (!isLost(error) || nowMs() + sendAgainMs >= options.deadlineAt) throw error;
        await delay(sendAgainMs);
        part = await this.#open({ ...options, slot: undefined });
      }
    }
  }

  /** Takes a slot for the next input: that of the request itself, or another one as soon as its caller has it. */
  async #takeSlot(): Promise<Slot | undefined> {
    const own = this.#call.handOverSlot();
    if (own) return own;
    const { caller } = this.#call;
    for (;;) {
      try {
        return await this.#parts.limits.admit(caller);
      } catch (error) {
        if (!isFull(error)) throw error;
        await this.#pause(error);
      }
    }
  }

  #optionsOf(
    { deadlineMs = Number.POSITIVE_INFINITY }: Question,
    { slot, arrivedAt }: { slot: Slot | undefined; arrivedAt: number },
  ): PartOptions {
    const { key, isStream, arrivedAt: begunAt, deadlineAt } = this.#call;
    // From its arrival, an input may take as long as the request. The deadline of that holds, too, unless it is a stream.
    const ownAt = arrivedAt + Math.min(deadlineAt - begunAt, deadlineMs);
    const head = { arrivedAt, deadlineAt: isStream ? ownAt : Math.min(ownAt, deadlineAt) };
    if (key === undefined) return head;
    // No key of a client has a newline, so none is taken for this one.
    return { ...head, slot, key: `${key}\n${this.#count}` };
  }

  /** Opens the call of an input as soon as there is a permit, and at the latest when its deadline has passed. */
  async #open(options: PartOptions): Promise<Call> {
    const { calls, entrance } = this.#parts;
    let refusal: unknown;
    const open = () => {
      if (refusal && hasPassed(options.deadlineAt)) throw refusal;
      return calls.openPart(this.#call, options);
    };
    // It has the permit of the request.
    if (this.#call.hasPermit) return open();
    return entrance.wait(this.#line, open, (thrown) => {
      if (isFull(thrown) && !hasPassed(options.deadlineAt)) {
        refusal = thrown;
        return undefined;
      }
      return thrown === this.#call.ending.reason ? this.#whyEnded(refusal) : thrown;
    });
  }

  /**
   * Waits for a moment, or until an input has been delivered.
   * @throws the refusal if the time of the request is up, since the refusal is why
   */
  async #pause(refusal: unknown): Promise<void> {
    await this.#nextDelivery(askAgainMs);
    const { ending, isStream, deadlineAt } = this.#call;
    if (ending.reason) throw this.#whyEnded(refusal);
    if (!isStream && hasPassed(deadlineAt)) throw refusal;
  }

  /** An input that was kept out until the deadline has not failed because it took long. */
  #whyEnded(refusal: unknown): unknown {
    const { reason } = this.#call.ending;
    return refusal && reason?.code === 'deadline_exceeded' ? refusal : reason;
  }

  /** Resolves when an input has been delivered, or after so long. */
  #nextDelivery(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(wake, ms);
      this.#waiting.add(wake);
    });
  }
}

/**
 * Whether a deadline has passed, of which the request may not have been told yet. Its inputs in flight end at the same
 * time, and what they make room for would end at once. Timers are up to a millisecond early.
 */
function hasPassed(deadlineAt: number): boolean {
  return nowMs() + 1 >= deadlineAt;
}

/** Whether an input did not reach a worker because of Redis. */
function isLost(thrown: unknown): boolean {
  if (!(thrown instanceof ScorelineError)) return false;
  return thrown.code === 'queue_unavailable' || thrown.code === 'queue_lost';
}

/** Whether an input is refused only for now. */
function isFull(thrown: unknown): boolean {
  if (!(thrown instanceof ScorelineError)) return false;
  const { code } = thrown;
  return code === 'overloaded' || code === 'rate_limited' || code === 'concurrency_limited';
}
