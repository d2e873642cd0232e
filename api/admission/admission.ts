// Admission: no work without a permit. A request is refused at once if waiting would be in vain:
//
// - all permits are taken by inputs in flight,
// - its model has as many unanswered inputs as it may have, or
// - its model's workers, at their measured rate, would not answer it before its deadline.
//
// The gate takes the permit before the body is read. If the address does not name the model, the permit
// counts for no model until the model is known. Such a request is refused only if none of its possible
// models has room.
//
// One model leaves room for the others: it may hold at most as many permits as are still free. So a
// model without workers takes half of the permits instead of all.
//
// The expected wait is the number of this instance's inputs in flight, divided by the rate at which
// workers answer them. This holds for several instances too, because a shared queue serves each in
// proportion to its inputs. The rate is measured only while a model has a backlog: a model that gets one
// request a minute answers one a minute, but could do more. The heartbeats of the other instances give a
// second estimate, and the longer wait counts. The first estimate never lags. The second is known even
// to an instance that has just started.
//
// Two batches are always admitted. They give the rate something to measure, so one slow minute cannot
// keep requests out for ever.
//
// Retry-After estimates when the backlog drains. Advertising the next free slot would bring
// everyone back at once.

import { ScorelineError } from '../../shared/errors.js';
import type { Peers, Traffic } from './peers.js';
import { makeRate } from './rate.js';

/** Longer gaps between answers are cut to this, because they mean missing workers, not slow ones. */
const gapMsMax = 5000;
/** The share of its deadline that a request may be expected to wait. The rest allows for a falling rate. */
const waitShareMax = 0.6;

export interface AdmissionRequest {
  /** The model's queue. */
  readonly queue: string;
  /** The batch size of the model. Fewer inputs in flight than this are no backlog. */
  readonly batchMax: number;
  /** How many inputs the request has. */
  readonly count: number;
  /** Milliseconds from now. */
  readonly deadlineMs: number;
}

export interface Permit {
  /**
   * Replaces the models that the request may be for, and its number of inputs.
   * @throws ScorelineError `overloaded` when none of the models has room; the permit stays as it was
   */
  assign(requests: readonly AdmissionRequest[]): void;
  /**
   * Gives the permit back. A second call does nothing.
   * @param isAnswered whether workers have answered, which the rate counts
   */
  release(isAnswered: boolean): void;
}

export interface Admission {
  /**
   * Takes a permit for a request to one of several models. The permit counts for a model only if there
   * is just one.
   * @throws ScorelineError `overloaded`, with `retryAfterSeconds`
   */
  admit(requests: readonly AdmissionRequest[]): Permit;
  readonly inFlight: number;
  traffic(queue: string): Traffic;
}

export function makeAdmission(options: {
  permitsMax: number;
  /** The most unanswered items of a model, from all API instances. */
  itemsMax: number;
  /** Unanswered items of a queue, from all API instances; undefined while unknown. */
  unansweredIn: (queue: string) => number | undefined;
  /** How many models share the permits. */
  countModels: () => number;
  peers: Pick<Peers, 'inFlight' | 'msFor'>;
  /** Milliseconds from any origin. */
  now: () => number;
}): Admission {
  const { permitsMax, itemsMax, unansweredIn, countModels, peers, now } = options;
  const backlogs = new Map<string, Backlog>();
  let inFlight = 0;

  const backlogOf = ({ queue, batchMax }: AdmissionRequest): Backlog => {
    const known = backlogs.get(queue);
    if (known) return known;
    const backlog = makeBacklog(batchMax, now);
    backlogs.set(queue, backlog);
    return backlog;
  };

  const whyNot = (request: AdmissionRequest, backlog: Backlog): string | undefined => {
    const free = permitsMax - inFlight;
    if (request.count > free) {
      return `Expected at most ${permitsMax} inputs in flight; there are ${inFlight} already.`;
    }
    if (countModels() > 1 && backlog.inFlight + request.count > free) {
      return `Expected one model to have at most as many inputs in flight as it leaves to the others, ${free}; it has ${backlog.inFlight} already.`;
    }
    const unanswered = unansweredIn(request.queue) ?? 0;
    if (unanswered >= itemsMax) {
      return `Expected at most ${itemsMax} unanswered inputs of this model; there are ${unanswered}.`;
    }
    const waitMs = knownWaitMs(request.queue, backlog, 2 * request.batchMax);
    if (waitMs === undefined || waitMs <= request.deadlineMs * waitShareMax) return undefined;
    return `Expected an answer within ${Math.round(request.deadlineMs)} ms; the queue is ${Math.round(waitMs)} ms long.`;
  };

  /**
   * How long until everything in flight is answered. Undefined if fewer than `atLeast` inputs are in
   * flight, or the rate is unknown.
   */
  const knownWaitMs = (queue: string, backlog: Backlog, atLeast: number): number | undefined => {
    const own = backlog.inFlight;
    const elsewhere = peers.inFlight(queue);
    const known = [
      own >= atLeast ? backlog.waitMs() : undefined,
      elsewhere > 0 && own + elsewhere >= atLeast ? peers.msFor(queue, own + elsewhere) : undefined,
    ].filter((ms) => ms !== undefined);
    return known.length > 0 ? Math.max(...known) : undefined;
  };

  const retryAfterSeconds = (queue: string, backlog: Backlog): number => {
    // While the rate is unknown, expect the wait to last as long again as it has lasted so far.
    const ms = knownWaitMs(queue, backlog, 1) ?? backlog.quietMs();
    return ms / 1000;
  };

  const refuse = (request: AdmissionRequest): ScorelineError | undefined => {
    const backlog = backlogOf(request);
    const reason = whyNot(request, backlog);
    if (reason === undefined) return undefined;
    return new ScorelineError('overloaded', `${reason} Ask again after the time in Retry-After.`, {
      retryAfterSeconds: retryAfterSeconds(request.queue, backlog),
    });
  };

  /** If none of the models has room, throws the refusal with the shortest `retryAfterSeconds`. */
  const check = (requests: readonly AdmissionRequest[]) => {
    let soonest: ScorelineError | undefined;
    for (const request of requests) {
      const refusal = refuse(request);
      if (!refusal) return;
      if (!soonest || secondsOf(refusal) < secondsOf(soonest)) soonest = refusal;
    }
    if (soonest) throw soonest;
  };

  /** Counts a request, and for its model if only one is possible. Returns a function that undoes it. */
  const hold = (requests: readonly AdmissionRequest[]) => {
    const [{ count } = { count: 1 }] = requests;
    const [only] = requests.length === 1 ? requests : [];
    const backlog = only && backlogOf(only);
    inFlight += count;
    backlog?.admit(count);
    return (isAnswered: boolean) => {
      inFlight -= count;
      backlog?.release(count, isAnswered);
    };
  };

  return {
    admit(requests) {
      check(requests);
      let held = requests;
      let releaseHeld: ((isAnswered: boolean) => void) | undefined = hold(requests);
      return {
        assign(others) {
          if (!releaseHeld) return;
          releaseHeld(false);
          try {
            check(others);
            held = others;
          } finally {
            releaseHeld = hold(held);
          }
        },
        release(isAnswered) {
          releaseHeld?.(isAnswered);
          releaseHeld = undefined;
        },
      };
    },
    get inFlight() {
      return inFlight;
    },
    traffic: (queue) => backlogs.get(queue) ?? { inFlight: 0, answered: 0 },
  };
}

function secondsOf({ retryAfterSeconds = 0 }: ScorelineError): number {
  return retryAfterSeconds;
}

interface Backlog extends Traffic {
  admit(count: number): void;
  release(count: number, isAnswered: boolean): void;
  /** How long the workers need for everything in flight; undefined until the rate is known. */
  waitMs(): number | undefined;
  /** How long the inputs in flight have waited without any answer; 0 if there are none. */
  quietMs(): number;
}

function makeBacklog(batchMax: number, now: () => number): Backlog {
  const rate = makeRate();
  let inFlight = 0;
  let answered = 0;
  /** When the last answer came during this backlog. From then to the next answer, workers are busy. */
  let answeredAt: number | undefined;
  let quietSince = now();

  return {
    admit(count) {
      if (inFlight === 0) quietSince = now();
      inFlight += count;
    },
    release(count, isAnswered) {
      const hadBacklog = inFlight >= batchMax;
      inFlight -= count;
      if (isAnswered) {
        answered += count;
        quietSince = now();
      }
      if (!hadBacklog) answeredAt = undefined;
      if (!hadBacklog || !isAnswered) return;
      const at = now();
      if (answeredAt !== undefined) rate.add(count, Math.min(at - answeredAt, gapMsMax));
      answeredAt = at;
    },
    get inFlight() {
      return inFlight;
    },
    get answered() {
      return answered;
    },
    waitMs: () => rate.msFor(inFlight),
    quietMs: () => (inFlight === 0 ? 0 : now() - quietSince),
  };
}
