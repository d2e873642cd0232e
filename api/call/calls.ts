// The calls that are open: opens them, takes their permits, and ends them when this instance shuts down.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import { shareOf } from '../access/caller.js';
import type { Admission, Permit } from '../admission/admission.js';
import {
  Call,
  type CallContext,
  type CallOptions,
  type CallParts,
  shuttingDown,
  toAdmit,
  type Wanted,
} from './call.js';
import { Deferral } from './deferral.js';

/** What the call of one of several inputs has of its own. */
export type PartOptions = Pick<CallOptions, 'slot' | 'arrivedAt' | 'deadlineAt' | 'key'>;

export class Calls {
  readonly #admission: Pick<Admission, 'admit'>;
  readonly #context: CallContext;
  /** In the order in which they came. */
  readonly #calls = new Set<Call>();
  /** Why models are refused, by queue. */
  #refused: ReadonlyMap<string, ScorelineError> = new Map();
  #isLeaving = false;
  #isShuttingDown = false;

  /** @param options.whyLate the error for a call whose deadline passes in this phase */
  constructor({
    admission,
    ...shared
  }: Pick<CallContext, 'bodies' | 'whyLate'> & { admission: Pick<Admission, 'admit'> }) {
    this.#admission = admission;
    this.#context = {
      ...shared,
      refusalOf: (models) => this.#refusalOf(models),
      onEnd: (call) => this.#calls.delete(call),
    };
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Whether this instance is about to end. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  get isShuttingDown(): boolean {
    return this.#isShuttingDown;
  }

  /**
   * Opens a call and takes its permit. If there is no room, a call with a key opens without a permit,
   * because its result may be there already.
   * @throws ScorelineError `overloaded`, `shutting_down`, the reason of `refuse`
   */
  open(options: CallOptions): Call {
    const { caller, slot, models, arrivedAt, deadlineAt, key, freshness, isStream } = options;
    const { deferral: asked, priority: wish, trace } = options;
    if (this.#isShuttingDown) throw shuttingDown();
    const priority = wish ?? (asked?.waitMs === 0 ? 'bulk' : 'interactive');
    const deadlineMs = asked ? Number.POSITIVE_INFINITY : deadlineAt - arrivedAt;
    let permit: Permit | undefined;
    try {
      const share = shareOf(caller.id);
      permit = this.#admit(models, { count: 1, deadlineMs, priority, caller: share });
    } catch (refusal) {
      if (key === undefined) throw refusal;
    }
    const deferral = asked && new Deferral(asked);
    return this.#start({
      // Without spreads: two of them took 5 µs.
      caller,
      slot,
      models,
      inputs: 1,
      arrivedAt,
      deadlineAt,
      key,
      permit,
      deferral,
      priority,
      freshness,
      isStream,
      trace,
    });
  }

  /**
   * Takes the permit of a call that was opened without one.
   * @throws ScorelineError `overloaded`
   */
  admit(call: Call): void {
    if (!call.hasPermit) call.takePermit(this.#admit(call.models, call.wanted));
  }

  /**
   * Opens a flight: a copy of a call that goes on when the call's client hangs up. The flight takes over
   * the call's permit, slot and body.
   * @throws ScorelineError `overloaded` when the call has no permit and there is no room
   */
  openFlight(call: Call): Call {
    const { caller, models, inputs, arrivedAt, deadlineAt, key, priority, freshness } = call;
    const permit = call.handOver() ?? this.#admit(models, call.wanted);
    const slot = call.handOverSlot();
    const flight = this.#start({
      ...{ caller, slot, models, inputs, arrivedAt, deadlineAt, key, permit, priority },
      freshness,
      trace: call.trace,
      leader: call,
    });
    flight.takeBody(call);
    return flight;
  }

  /**
   * Opens the call of one of a request's inputs. It ends when the request's own call ends early. The first one
   * takes over the permit of the request; the others leave room for other requests.
   * @throws ScorelineError `overloaded`; `shutting_down` if the request is a stream, which then takes no more;
   * the reason of its ending
   */
  openPart(call: Call, { slot, arrivedAt, deadlineAt, key }: PartOptions): Call {
    const { reason } = call.ending;
    if (reason) throw reason;
    if (this.#isShuttingDown && call.isStream) throw shuttingDown();
    const { caller, models, priority, freshness } = call;
    const own = { count: 1, deadlineMs: deadlineAt - nowMs(), isPatient: true };
    const permit = call.handOver() ?? this.#admit(models, { ...call.wanted, ...own });
    return this.#start({
      ...{ caller, slot, models, inputs: 1, arrivedAt, deadlineAt, key, permit, priority },
      freshness,
      trace: call.trace,
      request: call,
    });
  }

  /**
   * Ends the calls that wait for these models alone, and refuses new ones until it is called again. Jobs that are
   * queued stay there.
   * @param reasons why, by queue
   */
  refuse(reasons: ReadonlyMap<string, ScorelineError>): void {
    this.#refused = reasons;
    for (const call of [...this.#calls]) {
      // A stream goes on: each of its inputs has a call of its own. A job may wait for a worker.
      if (call.isStream || call.deferral) continue;
      const refusal = this.#refusalOf(call.models);
      if (refusal) call.abort(refusal);
    }
  }

  isRefused(model: Model): boolean {
    return this.#refusalOf([model]) !== undefined;
  }

  /** Notes that this instance is about to end. Calls are still opened. */
  leave(): void {
    this.#isLeaving = true;
  }

  /** Makes `open` refuse all calls from now on. */
  shutDown(): void {
    this.#isLeaving = true;
    this.#isShuttingDown = true;
  }

  /** Ends all calls with `shutting_down`. */
  abortAll(): void {
    for (const call of [...this.#calls]) call.abort(shuttingDown());
  }

  /**
   * How long the oldest interactive call has been open that is for this model alone, streams aside; 0 if there
   * is none.
   */
  oldestMs(model: Model): number {
    for (const { models, arrivedAt, priority, isStream } of this.#calls) {
      const isOnly = models.length === 1 && models[0]?.queue === model.queue;
      const isWaiting = priority === 'interactive' && !isStream;
      if (isOnly && isWaiting) return Math.max(0, nowMs() - arrivedAt);
    }
    return 0;
  }

  /** Whether any open call may be for this model. */
  isInUse({ queue }: Model): boolean {
    for (const { models } of this.#calls)
      if (models.some((model) => model.queue === queue)) return true;
    return false;
  }

  #start(parts: CallParts): Call {
    const call = new Call(parts, this.#context);
    this.#calls.add(call);
    return call;
  }

  #admit(models: readonly Model[], wanted: Wanted): Permit {
    const refusal = this.#refusalOf(models);
    if (refusal) throw refusal;
    return this.#admission.admit(models.map((model) => toAdmit(model, wanted)));
  }

  /** Returns why none of these models can be scored; undefined if one can. */
  #refusalOf(models: readonly Model[]): ScorelineError | undefined {
    if (this.#refused.size === 0) return undefined;
    const reasons = models.map(({ queue }) => this.#refused.get(queue));
    return reasons.includes(undefined) ? undefined : reasons[0];
  }
}
