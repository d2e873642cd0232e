// The calls that are open: opens them, takes their permits, and ends them when this instance shuts down.

import { nowMs } from '../shared/clock.js';
import type { ScorelineError } from '../shared/errors.js';
import type { Model } from '../shared/registry/models.js';
import { shareOf } from './access/caller.js';
import type { Admission, Permit } from './admission/admission.js';
import type { ByteBudget } from './admission/byte-budget.js';
import {
  Call,
  type CallContext,
  type CallOptions,
  type CallParts,
  shuttingDown,
  toAdmit,
  type Wanted,
} from './call.js';
import type { Phase } from './deadline.js';
import { Deferral } from './deferral.js';

/** What the call of one of several inputs has of its own. */
export type PartOptions = Pick<CallOptions, 'slot' | 'arrivedAt' | 'deadlineAt' | 'key'>;

export interface Calls {
  /**
   * Opens a call and takes its permit. If there is no room, a call with a key opens without a permit,
   * because its result may be there already.
   * @throws ScorelineError `overloaded`, `shutting_down`, the reason of `refuse`
   */
  open(options: CallOptions): Call;
  /**
   * Takes the permit of a call that was opened without one.
   * @throws ScorelineError `overloaded`
   */
  admit(call: Call): void;
  /**
   * Opens a flight: a copy of a call that goes on when the call's client hangs up. The flight takes over
   * the call's permit, slot and body.
   * @throws ScorelineError `overloaded` when the call has no permit and there is no room
   */
  openFlight(call: Call): Call;
  /**
   * Opens the call of one of a request's inputs. It ends when the request's own call ends early. The first one
   * takes over the permit of the request; the others leave room for other requests.
   * @throws ScorelineError `overloaded`; `shutting_down` if the request is a stream, which then takes no more;
   * the reason of its ending
   */
  openPart(call: Call, options: PartOptions): Call;
  /**
   * Ends the calls that wait for these models alone, and refuses new ones until it is called again. Jobs that are
   * queued stay there.
   * @param reasons why, by queue
   */
  refuse(reasons: ReadonlyMap<string, ScorelineError>): void;
  isRefused(model: Model): boolean;
  /** Notes that this instance is about to end. Calls are still opened. */
  leave(): void;
  readonly isLeaving: boolean;
  /** Makes `open` refuse all calls from now on. */
  shutDown(): void;
  readonly isShuttingDown: boolean;
  /** Ends all calls with `shutting_down`. */
  abortAll(): void;
  readonly size: number;
  /**
   * How long the oldest interactive call has been open that is for this model alone, streams aside; 0 if there
   * is none.
   */
  oldestMs(model: Model): number;
  /** Whether any open call may be for this model. */
  isInUse(model: Model): boolean;
}

export function makeCalls(options: {
  admission: Admission;
  bodies: ByteBudget;
  /** The error for a call whose deadline passes in this phase. */
  whyLate: (phase: Phase) => ScorelineError;
}): Calls {
  const { admission, bodies, whyLate } = options;
  const calls = new Set<Call>();
  let isLeaving = false;
  let isShuttingDown = false;
  let refused: ReadonlyMap<string, ScorelineError> = new Map();

  /** Returns why none of these models can be scored; undefined if one can. */
  const refusalOf = (models: readonly Model[]): ScorelineError | undefined => {
    if (refused.size === 0) return undefined;
    const reasons = models.map(({ queue }) => refused.get(queue));
    return reasons.includes(undefined) ? undefined : reasons[0];
  };
  const onEnd = (call: Call) => calls.delete(call);
  const context: CallContext = { bodies, whyLate, refusalOf, onEnd };
  const start = (parts: CallParts): Call => {
    const call = new Call(parts, context);
    calls.add(call);
    return call;
  };

  const admit = (models: readonly Model[], wanted: Wanted): Permit => {
    const refusal = refusalOf(models);
    if (refusal) throw refusal;
    return admission.admit(models.map((model) => toAdmit(model, wanted)));
  };

  return {
    open(options) {
      const { caller, slot, models, arrivedAt, deadlineAt, key, freshness, isStream } = options;
      const { deferral: asked, priority: wish, trace } = options;
      if (isShuttingDown) throw shuttingDown();
      const priority = wish ?? (asked?.waitMs === 0 ? 'bulk' : 'interactive');
      const deadlineMs = asked ? Number.POSITIVE_INFINITY : deadlineAt - arrivedAt;
      let permit: Permit | undefined;
      try {
        const share = shareOf(caller.id);
        permit = admit(models, { count: 1, deadlineMs, priority, caller: share });
      } catch (refusal) {
        if (key === undefined) throw refusal;
      }
      const deferral = asked && new Deferral(asked);
      return start({
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
    },
    admit(call) {
      if (!call.hasPermit) call.takePermit(admit(call.models, call.wanted));
    },
    openFlight(call) {
      const { caller, models, inputs, arrivedAt, deadlineAt, key, priority, freshness } = call;
      const permit = call.handOver() ?? admit(models, call.wanted);
      const slot = call.handOverSlot();
      const flight = start({
        ...{ caller, slot, models, inputs, arrivedAt, deadlineAt, key, permit, priority },
        freshness,
        trace: call.trace,
        leader: call,
      });
      flight.takeBody(call);
      return flight;
    },
    openPart(call, { slot, arrivedAt, deadlineAt, key }) {
      const { reason } = call.ending;
      if (reason) throw reason;
      if (isShuttingDown && call.isStream) throw shuttingDown();
      const { caller, models, priority, freshness } = call;
      const own = { count: 1, deadlineMs: deadlineAt - nowMs(), isPatient: true };
      const permit = call.handOver() ?? admit(models, { ...call.wanted, ...own });
      return start({
        ...{ caller, slot, models, inputs: 1, arrivedAt, deadlineAt, key, permit, priority },
        freshness,
        trace: call.trace,
        request: call,
      });
    },
    refuse(reasons) {
      refused = reasons;
      for (const call of [...calls]) {
        // A stream goes on: each of its inputs has a call of its own. A job may wait for a worker.
        if (call.isStream || call.deferral) continue;
        const refusal = refusalOf(call.models);
        if (refusal) call.abort(refusal);
      }
    },
    isRefused: (model) => refusalOf([model]) !== undefined,
    leave() {
      isLeaving = true;
    },
    get isLeaving() {
      return isLeaving;
    },
    shutDown() {
      isLeaving = true;
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
    oldestMs(model) {
      // A set keeps the order in which calls came.
      for (const { models, arrivedAt, priority, isStream } of calls) {
        const isOnly = models.length === 1 && models[0]?.queue === model.queue;
        const isWaiting = priority === 'interactive' && !isStream;
        if (isOnly && isWaiting) return Math.max(0, nowMs() - arrivedAt);
      }
      return 0;
    },
    isInUse({ queue }) {
      for (const { models } of calls)
        if (models.some((model) => model.queue === queue)) return true;
      return false;
    },
  };
}
