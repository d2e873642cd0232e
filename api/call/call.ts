// A call: one request, from its arrival to its answer.
//
// The HTTP edge opens the call before it reads the body. All other code takes the call and never sees
// the HTTP request. The call's `ending` comes when the client hangs up, when the deadline passes, or
// when this instance shuts down. The call owns one permit and holds it until its last *stage* has
// stopped. A stage is work that cannot be cut short, such as decoding a picture, so the client may get
// its answer before the stage stops.
//
// States: *open*, then *ended*, once. An ended call gives its permit back as soon as no stage runs. An open
// call is in one *phase* after the other, and an answer that is late names the phase that took the time.
// A property of the request that later code needs, such as its priority, is a field here.

import { randomUUID } from 'node:crypto';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Manifest } from '../../shared/manifest/manifest.js';
import type { Model } from '../../shared/registry/models.js';
import { makeItemId } from '../../shared/wire/item-id.js';
import type { Priority } from '../../shared/wire/priority.js';
import type { Timing } from '../../shared/wire/reply.js';
import { type Caller, shareOf } from '../access/caller.js';
import type { Slot } from '../access/limiter.js';
import type { AdmissionRequest, Permit } from '../admission/admission.js';
import type { ByteBudget } from '../admission/byte-budget.js';
import type { CacheNote } from '../cache/cache-note.js';
import type { Freshness } from '../cache/freshness.js';
import type { RequestTrace } from '../traces/request-trace.js';
import type { Phase } from './deadline.js';
import type { Deferral, DeferralOptions } from './deferral.js';
import { Ending } from './ending.js';

export interface CallOptions {
  readonly caller: Caller;
  /** The call's place among its caller's requests in flight, which it gives back with its permit. */
  readonly slot?: Slot | undefined;
  /** The models that the request may be for: exactly one if its address names the model. */
  readonly models: readonly Model[];
  /** Milliseconds since the epoch. */
  readonly arrivedAt: number;
  readonly deadlineAt: number;
  /** The caller's `Idempotency-Key`. With a key, the reply is kept for repeats. */
  readonly key?: string | undefined;
  /** Set if the client takes the answer later. */
  readonly deferral?: DeferralOptions | undefined;
  /** Set if the request is traced. */
  readonly trace?: RequestTrace | undefined;
  /** The priority that the request asks for. Without one, it is bulk if its client does not wait. */
  readonly priority?: Priority | undefined;
  /** Set if the client does not take every cached answer. */
  readonly freshness?: Freshness | undefined;
  /** Whether the request goes on for as long as its client sends inputs. */
  readonly isStream?: boolean | undefined;
}

export interface CallParts extends Omit<CallOptions, 'deferral' | 'priority'> {
  readonly inputs: number;
  readonly permit: Permit | undefined;
  readonly deferral?: Deferral | undefined;
  readonly priority: Priority;
  /** The call that a flight works for. It is in the phase that the flight is in. */
  readonly leader?: Call;
  /** The call of the request that this one is a part of. */
  readonly request?: Call;
}

/** What all calls of an instance share. */
export interface CallContext {
  readonly bodies: ByteBudget;
  readonly whyLate: (phase: Phase) => ScorelineError;
  readonly refusalOf: (models: readonly Model[]) => ScorelineError | undefined;
  readonly onEnd: (call: Call) => void;
}

/**
 * How a call ends: `scored` by workers, whose rate counts it, `cached` with an answer that was there already, or
 * `abandoned`, so whoever still works on it stops.
 */
export type CallEnd = 'scored' | 'cached' | 'abandoned';

export class Call {
  /** A UUID. The call's first item has the same id if it is of one row, unless the request has a key. */
  readonly id = randomUUID();
  readonly caller: Caller;
  readonly arrivedAt: number;
  readonly key: string | undefined;
  /** Set if the client takes the answer later. */
  readonly deferral: Deferral | undefined;
  /** Set if the request is traced. */
  readonly trace: RequestTrace | undefined;
  /** Where the time of its slowest input went; undefined until all are scored. */
  timing: Timing | undefined;
  /** Set if the client does not take every cached answer. */
  readonly freshness: Freshness | undefined;
  /** Whether each of its inputs has a call with a deadline of its own. This one has none, and ends with its client. */
  readonly isStream: boolean;
  /** Whether the answer was kept from an earlier request with the same key. */
  isReplayed = false;
  /** How the response cache has served the call; undefined if it has not. */
  cacheNote: CacheNote | undefined = undefined;
  /** Tells whether the client still waits. */
  readonly ending = new Ending();

  #models: readonly Model[];
  #inputs: number;
  #priority: Priority;
  #deadlineAt: number;
  #permit: Permit | undefined;
  #slot: Slot | undefined;
  /** Bytes of the body in memory, which this call has taken from the budget of the process. */
  #bodyBytes = 0;
  readonly #context: CallContext;
  readonly #leader: Call | undefined;
  #phase: Phase = 'receiving';
  #scoringSince = 0;
  #preparingSince: number | undefined;
  #preparingMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Ends the call with that of its request; undefined if it is no part of one. */
  readonly #leaveRequest: (() => void) | undefined;
  readonly #request: Call | undefined;
  #hasDeparted = false;
  /** How many stages have not stopped. */
  #stages = 0;
  #isEnded = false;
  #isScored = false;

  constructor(parts: CallParts, context: CallContext) {
    this.#context = context;
    this.caller = parts.caller;
    this.#slot = parts.slot;
    this.arrivedAt = parts.arrivedAt;
    this.key = parts.key;
    this.deferral = parts.deferral;
    this.trace = parts.trace;
    this.freshness = parts.freshness;
    this.#models = parts.models;
    this.#inputs = parts.inputs;
    this.#priority = parts.priority;
    this.#deadlineAt = parts.deadlineAt;
    this.#permit = parts.permit;
    this.#leader = parts.leader;
    this.isStream = parts.isStream ?? false;
    this.#timer = this.#startTimer();
    const { request } = parts;
    this.#request = request;
    this.#leaveRequest = request?.ending.onEnd(() =>
      this.abort(request.ending.reason as ScorelineError),
    );
  }

  /** Milliseconds since the epoch. */
  get deadlineAt(): number {
    return this.#deadlineAt;
  }

  /** The models that the call may still be for. */
  get models(): readonly Model[] {
    return this.#models;
  }

  /** The only model that the call may be for. Read it only once that is settled. */
  get model(): Model {
    const [model, ...others] = this.#models;
    if (!model || others.length > 0) throw new Error('The call has no model yet. This is a bug.');
    return model;
  }

  /** How many inputs the call has; 1 until the body is read. */
  get inputs(): number {
    return this.#inputs;
  }

  get priority(): Priority {
    return this.#priority;
  }

  /** When the call began to wait for workers, in milliseconds since the epoch; 0 before that. */
  get scoringSince(): number {
    return this.#scoringSince;
  }

  /** How long its inputs took to prepare; undefined if they are not prepared, or needed nothing. */
  get preparingMs(): number | undefined {
    return this.#preparingMs;
  }

  /** When that began, in milliseconds since the epoch. */
  get preparingSince(): number | undefined {
    const since = this.#preparingSince;
    return since === undefined ? undefined : nowMs() - (performance.now() - since);
  }

  /** What the call asks of admission now. */
  get wanted(): Wanted {
    // A job waits for hours, so the rate at which workers answer says nothing about it.
    const deadlineMs = this.deferral ? Number.POSITIVE_INFINITY : this.#deadlineAt - nowMs();
    const caller = shareOf(this.caller.id);
    return { count: this.#inputs, deadlineMs, priority: this.#priority, caller };
  }

  /** Returns the id of one of its items, unless the request has a key. */
  itemId(index: number, rows: number): string {
    return makeItemId(index === 0 ? this.id : `${this.id}.${index}`, rows);
  }

  /** Says what the call waits for from now on. */
  enter(phase: Phase): void {
    if (phase === 'preparing') this.#preparingSince = performance.now();
    else if (this.#preparingSince !== undefined && this.#phase === 'preparing') {
      this.#preparingMs = performance.now() - this.#preparingSince;
    }
    this.#phase = phase;
    if (phase === 'scoring') this.#scoringSince = nowMs();
    this.#leader?.enter(phase);
  }

  /** Moves the deadlines of the call and of its job to an earlier time. A later time changes nothing. */
  limitDeadline(deadlineAt: number): void {
    this.deferral?.limitJobDeadline(deadlineAt);
    this.#limitOwnDeadline(deadlineAt);
  }

  #limitOwnDeadline(deadlineAt: number): void {
    if (deadlineAt >= this.#deadlineAt || this.#isEnded) return;
    this.#deadlineAt = deadlineAt;
    clearTimeout(this.#timer);
    this.#timer = this.#startTimer();
  }

  /**
   * Changes the priority of the call.
   * @throws ScorelineError `overloaded` when there is no room at that priority
   */
  prioritise(priority: Priority): void {
    if (priority === this.#priority) return;
    this.#priority = priority;
    this.#settleOn(this.#models, this.#inputs);
  }

  /**
   * Limits the call to these models.
   * @throws ScorelineError `overloaded` when none of them has room
   */
  narrow(models: readonly Model[]): void {
    if (models.length === 0) return;
    const isSame = models.every(({ queue }, at) => queue === this.#models[at]?.queue);
    if (isSame && models.length === this.#models.length) return;
    this.#settleOn(models, 1);
  }

  /**
   * Sets the model of the call and its number of inputs.
   * @throws ScorelineError `overloaded` when there is no room for the inputs
   */
  assign(model: Model, inputs: number): void {
    if (this.#models.length === 1 && inputs === 1) return;
    this.#settleOn([model], inputs);
  }

  #settleOn(models: readonly Model[], count: number): void {
    const refusal = this.#permit && this.#context.refusalOf(models);
    if (refusal) throw refusal;
    this.#models = models;
    this.#inputs = count;
    const longest = (of: (manifest: Manifest) => number) =>
      this.arrivedAt + Math.max(...models.map(({ manifest }) => of(manifest)));
    this.#limitOwnDeadline(longest((manifest) => manifest.deadlineMs));
    this.deferral?.limitJobDeadline(longest((manifest) => manifest.jobs.deadlineMs));
    const { wanted } = this;
    this.#permit?.assign(models.map((model) => toAdmit(model, wanted)));
  }

  /**
   * Counts bytes of the body as they arrive. Does nothing once the call has ended, since nobody would give them
   * back.
   * @throws ScorelineError `overloaded` when the bodies of all calls would take too much memory
   */
  addBodyBytes(bytes: number): void {
    if (this.#isEnded) return;
    this.#context.bodies.take(bytes);
    this.#bodyBytes += bytes;
  }

  /** Gives the bytes of the body back to the budget, because nothing needs the body any more. */
  dropBody(): void {
    this.#context.bodies.giveBack(this.#bodyBytes);
    this.#bodyBytes = 0;
  }

  /** Takes over the count of another call's body, which stays in memory until the inputs are prepared. */
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

  /** Ends the call early with a reason, which everyone who listens to its ending gets. */
  abort(reason: ScorelineError): void {
    if (this.#isEnded) return;
    this.ending.end(reason);
    this.end('abandoned');
  }

  /** Ends the call. Does nothing if it has ended already. */
  end(how: CallEnd): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#isScored = how === 'scored';
    clearTimeout(this.#timer);
    this.#leaveRequest?.();
    if (how === 'abandoned') this.ending.end(clientClosed());
    this.#releaseWhenDone();
    this.#context.onEnd(this);
  }

  /** Ends the call because its answer is sent or its client is gone. */
  depart(): void {
    this.#hasDeparted = true;
    this.end('abandoned');
  }

  /** Whether nobody takes an answer any more. A stage that only works on the answer stops. */
  get hasDeparted(): boolean {
    return this.#hasDeparted || (this.#request?.hasDeparted ?? false);
  }

  get hasPermit(): boolean {
    return this.#permit !== undefined;
  }

  takePermit(permit: Permit): void {
    if (this.#isEnded) permit.release(false);
    else this.#permit = permit;
  }

  /** Hands the permit to the caller of this method. The call goes on without one. */
  handOver(): Permit | undefined {
    const permit = this.#permit;
    this.#permit = undefined;
    return permit;
  }

  /** Hands the slot to the caller of this method. The call goes on without one. */
  handOverSlot(): Slot | undefined {
    const slot = this.#slot;
    this.#slot = undefined;
    return slot;
  }

  #releaseWhenDone(): void {
    if (!this.#isEnded || this.#stages > 0) return;
    this.dropBody();
    this.#permit?.release(this.#isScored);
    this.#slot?.release();
  }

  #startTimer(): NodeJS.Timeout | undefined {
    if (this.isStream) return undefined;
    const waitMs = Math.max(0, Math.ceil(this.#deadlineAt - nowMs()));
    return setTimeout(() => this.abort(this.#context.whyLate(this.#phase)), waitMs);
  }
}

/** What a call wants of each of its models. */
export type Wanted = Omit<AdmissionRequest, 'queue' | 'batchMax'>;

/** Asks for a place in the queue of a model. */
export function toAdmit({ queue, manifest }: Model, wanted: Wanted): AdmissionRequest {
  return { queue, batchMax: manifest.batch.max, ...wanted };
}

export function clientClosed(): ScorelineError {
  return new ScorelineError('client_closed', 'The client hung up.');
}

export function shuttingDown(): ScorelineError {
  return new ScorelineError(
    'shutting_down',
    'This instance is shutting down. Ask again: another instance will answer.',
    { retryAfterSeconds: 1 },
  );
}
