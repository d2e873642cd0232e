// Admission: a permit before any work. A request is refused at once, rather than left to wait in
// vain, when as many inputs are in flight as there are permits; when its model has as many
// unanswered inputs as it may; or when, at the rate at which the model's workers have been
// answering, it would not be answered before its deadline.
//
// A permit is taken before the body is read. Where the address does not name the model, the permit
// counts for none until the model is known, and it is refused only when every model it could be for
// has no room.
//
// One model leaves room for the others: it may have at most as many inputs in flight as are still
// free. So a model whose workers are away takes half of the permits, and not all of them.
//
// How long a request would wait follows from how many inputs of this instance are in flight and the
// rate at which the workers answer them. This holds with several instances too: of a queue that all
// share, each instance is answered in proportion to what it has put in. The rate is measured only
// while a model has a backlog: a model that is asked once a minute answers once a minute, and can do
// more. The heartbeats of the other instances give a second estimate, and the longer wait counts.
// The first estimate never lags; the second is known to an instance that has just been started.
//
// Two batches are always let in. So there is something to measure, and a rate that was low once
// cannot keep requests out for ever.
//
// Retry-After estimates when the backlog drains. Advertising the next free slot would bring
// everyone back at once.

import { ScorelineError } from '../../shared/errors.js';
import type { Peers, Traffic } from './peers.js';
import { makeRate } from './rate.js';

/** A longer time without an answer means that workers were away, not that they are slow. */
const gapMsMax = 5000;
/** The share of its deadline that a request may be expected to wait; the rest is for a rate that falls. */
const waitShareMax = 0.6;

export interface AdmissionRequest {
  /** The model's queue. */
  readonly queue: string;
  /** The batch size of the model; less in flight than this is no backlog. */
  readonly batchMax: number;
  readonly count: number;
  readonly deadlineMs: number;
}

export interface Permit {
  /**
   * Says which of these models the request is for, and how many inputs it has.
   * @throws ScorelineError `overloaded` when none of them has room; the permit stays as it was
   */
  assign(requests: readonly AdmissionRequest[]): void;
  /** Gives the permit back, saying whether the workers have answered; a second call does nothing. */
  release(isAnswered: boolean): void;
}

export interface Admission {
  /**
   * Takes a permit for a request to one of several models, which counts for a model once there is
   * only one.
   * @throws ScorelineError `overloaded` with the time after which asking again makes sense
   */
  admit(requests: readonly AdmissionRequest[]): Permit;
  readonly inFlight: number;
  traffic(queue: string): Traffic;
}

export function makeAdmission(options: {
  permitsMax: number;
  /** The most unanswered items of a model, from every API instance. */
  itemsMax: number;
  /** Unanswered items of a queue, from every API instance; undefined while unknown. */
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
      return `Expected at most as many inputs of one model in flight as are left for the others, ${free}; there are ${backlog.inFlight} already.`;
    }
    const unanswered = unansweredIn(request.queue) ?? 0;
    if (unanswered >= itemsMax) {
      return `Expected at most ${itemsMax} unanswered inputs of this model; there are ${unanswered}.`;
    }
    const waitMs = knownWaitMs(request.queue, backlog, 2 * request.batchMax);
    if (waitMs === undefined || waitMs <= request.deadlineMs * waitShareMax) return undefined;
    return `Expected an answer within ${Math.round(request.deadlineMs)} ms; the queue is ${Math.round(waitMs)} ms long.`;
  };

  /** Until everything is answered that is in flight, where that is as many as this. */
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
    // A wait that has already lasted this long is likely to last as long again.
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

  /** Throws the refusal that ends soonest, where none of the models has room. */
  const check = (requests: readonly AdmissionRequest[]) => {
    let soonest: ScorelineError | undefined;
    for (const request of requests) {
      const refusal = refuse(request);
      if (!refusal) return;
      if (!soonest || secondsOf(refusal) < secondsOf(soonest)) soonest = refusal;
    }
    if (soonest) throw soonest;
  };

  /** Counts a request; it counts for a model once it can be for that one only. */
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
      let letGo: ((isAnswered: boolean) => void) | undefined = hold(requests);
      return {
        assign(others) {
          if (!letGo) return;
          letGo(false);
          try {
            check(others);
            held = others;
          } finally {
            letGo = hold(held);
          }
        },
        release(isAnswered) {
          letGo?.(isAnswered);
          letGo = undefined;
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
  /** How long what is in flight will take; undefined until the rate is known. */
  waitMs(): number | undefined;
  /** For how long what is in flight has seen no answer. */
  quietMs(): number;
}

function makeBacklog(batchMax: number, now: () => number): Backlog {
  const rate = makeRate();
  let inFlight = 0;
  let answered = 0;
  /** The last answer while there was a backlog; the time to the next one is time at work. */
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
