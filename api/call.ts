// A call: one request, from its arrival to its answer.
//
// The HTTP edge opens it before the body is read, and everything below takes the call instead of
// an HTTP request. It knows when to stop: its `ending` comes when the client hangs up, when the deadline
// passes, or when this instance shuts down. It owns one permit, and holds it until the last *stage* has
// stopped. A stage is work that cannot be cut
// short, such as decoding a picture: its client may be answered before it stops.
//
// States: *open*, then *ended*, once. An ended call gives its permit back as soon as no stage runs.
// What later parts need to know about a request (its caller, priority or trace) becomes a field.

import { randomUUID } from 'node:crypto';
import { nowMs } from '../shared/clock.js';
import { ScorelineError } from '../shared/errors.js';
import type { Model } from '../shared/models.js';
import type { Admission, AdmissionRequest, Permit } from './admission/admission.js';
import type { ByteBudget } from './admission/byte-budget.js';
import { Ending } from './ending.js';

/** What the caller wants besides an answer. */
export interface CallOptions {
  /** The models that the request may be for; one, where its address names it. */
  readonly models: readonly Model[];
  /** Milliseconds since the epoch. */
  readonly arrivedAt: number;
  readonly deadlineAt: number;
  /** The caller's `Idempotency-Key`: the reply is kept for a repeat. */
  readonly key?: string | undefined;
}

export interface Calls {
  /**
   * Opens a call and takes its permit. Where there is no room, a call with a key is opened without
   * one, since its result may be there already.
   * @throws ScorelineError `overloaded`, `shutting_down`
   */
  open(options: CallOptions): Call;
  /**
   * A call like another one, whose permit and body it takes over, but which goes on when that
   * one's client hangs up.
   * @throws ScorelineError `overloaded` when the other one has no permit and there is no room
   */
  openFlight(call: Call): Call;
  /** Refuses new calls from now on. */
  shutDown(): void;
  readonly isShuttingDown: boolean;
  /** Ends all calls with `shutting_down`. */
  abortAll(): void;
  readonly size: number;
}

export function makeCalls(options: {
  admission: Admission;
  bodies: ByteBudget;
  /** Why no answer came before the deadline, as far as can be told at the deadline. */
  whyLate: () => ScorelineError;
}): Calls {
  const { admission, bodies, whyLate } = options;
  const calls = new Set<Call>();
  let isShuttingDown = false;

  const house: House = { bodies, whyLate, onEnd: (call) => calls.delete(call) };
  const start = (parts: CallParts): Call => {
    const call = new Call(parts, house);
    calls.add(call);
    return call;
  };

  const admit = (models: readonly Model[], count: number, deadlineMs: number): Permit => {
    return admission.admit(models.map((model) => toAdmit(model, { count, deadlineMs })));
  };

  return {
    open({ models, arrivedAt, deadlineAt, key }) {
      if (isShuttingDown) throw shuttingDown();
      let permit: Permit | undefined;
      try {
        permit = admit(models, 1, deadlineAt - arrivedAt);
      } catch (refusal) {
        if (key === undefined) throw refusal;
      }
      return start({ models, inputs: 1, arrivedAt, deadlineAt, key, permit });
    },
    openFlight(call) {
      const { models, inputs, arrivedAt, deadlineAt, key } = call;
      const permit = call.handOver() ?? admit(models, inputs, deadlineAt - nowMs());
      const flight = start({ models, inputs, arrivedAt, deadlineAt, key, permit });
      flight.takeBody(call);
      return flight;
    },
    shutDown() {
      isShuttingDown = true;
    },
    get isShuttingDown() {
      return isShuttingDown;
    },
    abortAll() {
      for (const call of [...calls]) call.abort(shuttingDown());
    },
    get size() {
      return calls.size;
    },
  };
}

interface CallParts {
  readonly models: readonly Model[];
  readonly inputs: number;
  readonly arrivedAt: number;
  readonly deadlineAt: number;
  readonly key: string | undefined;
  readonly permit: Permit | undefined;
}

/** What all calls of an instance share. */
interface House {
  readonly bodies: ByteBudget;
  readonly whyLate: () => ScorelineError;
  readonly onEnd: (call: Call) => void;
}

export class Call {
  /** A UUID; also the id of the call's first item. */
  readonly id = randomUUID();
  readonly arrivedAt: number;
  readonly key: string | undefined;
  /** The answer was kept from an earlier request with the same key. */
  isReplayed = false;
  /** Whether anybody waits for the answer, and why not. */
  readonly ending = new Ending();

  #models: readonly Model[];
  #inputs: number;
  #deadlineAt: number;
  #permit: Permit | undefined;
  /** Bytes of the body that are in memory, out of the budget of this process. */
  #bodyBytes = 0;
  readonly #house: House;
  #timer: NodeJS.Timeout;
  /** Stages that have not stopped. */
  #stages = 0;
  #isEnded = false;
  #isAnswered = false;

  constructor(parts: CallParts, house: House) {
    this.#house = house;
    this.arrivedAt = parts.arrivedAt;
    this.key = parts.key;
    this.#models = parts.models;
    this.#inputs = parts.inputs;
    this.#deadlineAt = parts.deadlineAt;
    this.#permit = parts.permit;
    this.#timer = this.#startTimer();
  }

  /** Milliseconds since the epoch. */
  get deadlineAt(): number {
    return this.#deadlineAt;
  }

  /** The models that the call may be for. */
  get models(): readonly Model[] {
    return this.#models;
  }

  get model(): Model {
    const [model, ...others] = this.#models;
    if (!model || others.length > 0) throw new Error('The call has no model yet. This is a bug.');
    return model;
  }

  /** How many inputs the call has; 1 until that is known. */
  get inputs(): number {
    return this.#inputs;
  }

  /** Moves the deadline to an earlier time, which the body asked for. */
  hasten(deadlineAt: number): void {
    if (deadlineAt >= this.#deadlineAt || this.#isEnded) return;
    this.#deadlineAt = deadlineAt;
    clearTimeout(this.#timer);
    this.#timer = this.#startTimer();
  }

  /**
   * Says that the call is for one of these models only.
   * @throws ScorelineError `overloaded` when none of them has room
   */
  narrow(models: readonly Model[]): void {
    if (models.length === 0 || models.length === this.#models.length) return;
    this.#settleOn(models, 1);
  }

  /**
   * Says for which model the call is, and how many inputs it has.
   * @throws ScorelineError `overloaded` when there is no room for them
   */
  assign(model: Model, inputs: number): void {
    if (this.#models.length === 1 && inputs === 1) return;
    this.#settleOn([model], inputs);
  }

  #settleOn(models: readonly Model[], count: number): void {
    this.#models = models;
    this.#inputs = count;
    this.hasten(this.arrivedAt + Math.max(...models.map((model) => model.manifest.deadlineMs)));
    const deadlineMs = this.#deadlineAt - nowMs();
    this.#permit?.assign(models.map((model) => toAdmit(model, { count, deadlineMs })));
  }

  /**
   * Counts bytes of the body that arrive.
   * @throws ScorelineError `overloaded` when the bodies of all calls take too much memory
   */
  addBodyBytes(bytes: number): void {
    this.#house.bodies.take(bytes);
    this.#bodyBytes += bytes;
  }

  /** The body is not needed any more. */
  dropBody(): void {
    this.#house.bodies.giveBack(this.#bodyBytes);
    this.#bodyBytes = 0;
  }

  /** Takes over the body of another call, which is in memory until the inputs are prepared. */
  takeBody(other: Call): void {
    this.#bodyBytes += other.#bodyBytes;
    other.#bodyBytes = 0;
  }

  /** Runs a stage. The call keeps its permit until the stage has stopped. */
  async run<T>(stage: () => Promise<T>): Promise<T> {
    this.#stages++;
    try {
      return await stage();
    } finally {
      this.#stages--;
      this.#releaseWhenDone();
    }
  }

  /** Ends the call early. What still works on it stops as soon as it can. */
  abort(reason: ScorelineError): void {
    if (this.#isEnded) return;
    this.ending.end(reason);
    this.end(false);
  }

  /**
   * Ends the call. Does nothing when it has ended already.
   * @param isAnswered whether workers have answered all of its inputs
   */
  end(isAnswered: boolean): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#isAnswered = isAnswered;
    clearTimeout(this.#timer);
    // What still works on the call works for nobody.
    if (!isAnswered) this.ending.end(clientClosed());
    this.#releaseWhenDone();
    this.#house.onEnd(this);
  }

  /** Gives the permit away. The call goes on without one. */
  handOver(): Permit | undefined {
    const permit = this.#permit;
    this.#permit = undefined;
    return permit;
  }

  #releaseWhenDone(): void {
    if (!this.#isEnded || this.#stages > 0) return;
    this.dropBody();
    this.#permit?.release(this.#isAnswered);
  }

  #startTimer(): NodeJS.Timeout {
    const waitMs = Math.max(0, Math.ceil(this.#deadlineAt - nowMs()));
    return setTimeout(() => this.abort(this.#house.whyLate()), waitMs);
  }
}

function toAdmit(
  { queue, manifest }: Model,
  wanted: { count: number; deadlineMs: number },
): AdmissionRequest {
  return { queue, batchMax: manifest.batch.max, ...wanted };
}

export function clientClosed(): ScorelineError {
  return new ScorelineError('client_closed', 'The client hung up.');
}

function shuttingDown(): ScorelineError {
  return new ScorelineError(
    'shutting_down',
    'This instance is shutting down. Ask again: another one will answer.',
    { retryAfterSeconds: 1 },
  );
}
