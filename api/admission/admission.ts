// Admission: a permit before any work. A request is refused at once, rather than left to wait in
// vain, when as many inputs are in flight as there are permits; when the queue holds more jobs than
// it may; or when, at the rate at which the model's workers have been answering, it would not be
// answered before its deadline.
//
// How long a request would wait follows from how many inputs of this instance are in flight and the
// rate at which the workers answer them. That holds with several instances too: of a queue that all
// share, each is answered as large a part as it has put in. The rate is measured only while a model
// has a backlog: a model that is asked once a minute answers once a minute, and can do more. The
// same follows from what the other instances say, and the longer of both counts: the first is
// never behind the time, the second is known to an instance that has just been started.
//
// Two batches are always let in, so that there is something to measure, and a rate that was low once
// cannot keep requests out for ever.
//
// Retry-After is the time in which everything that is in flight will have been answered, so that
// who asks again then need not wait. To ask as soon as the next single request would be let in has
// no use: everyone who was refused is told the same.

import { ScorelineError } from '../../shared/errors.js';
import type { Peers, Traffic } from './peers.js';
import { makeRate } from './rate.js';

/** A longer time without an answer says that workers were away, not that they are slow. */
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
  /** Gives the permit back, saying whether the workers have answered; a second call does nothing. */
  release(isAnswered: boolean): void;
}

export interface Admission {
  /** @throws ScorelineError `overloaded` with the time after which asking again makes sense */
  admit(request: AdmissionRequest): Permit;
  /** Throws what `admit` would throw now, and takes nothing. */
  check(request: AdmissionRequest): void;
  readonly inFlight: number;
  traffic(queue: string): Traffic;
}

export function makeAdmission(options: {
  permitsMax: number;
  jobsMax: number;
  /** Jobs in a queue, from every API instance; undefined while unknown. */
  jobsIn: (queue: string) => number | undefined;
  peers: Pick<Peers, 'inFlight' | 'msFor'>;
  /** Milliseconds from any origin. */
  now: () => number;
}): Admission {
  const { permitsMax, jobsMax, jobsIn, peers, now } = options;
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
    if (inFlight + request.count > permitsMax) {
      return `Expected at most ${permitsMax} inputs in flight; there are ${inFlight} already.`;
    }
    const jobs = jobsIn(request.queue) ?? 0;
    if (jobs >= jobsMax) return `Expected at most ${jobsMax} jobs in the queue; there are ${jobs}.`;
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
    // Who has waited for so long in vain is as likely as not to wait for as long again.
    const ms = knownWaitMs(queue, backlog, 1) ?? backlog.quietMs();
    return ms / 1000;
  };

  const check = (request: AdmissionRequest) => {
    const backlog = backlogOf(request);
    const reason = whyNot(request, backlog);
    if (reason === undefined) return;
    throw new ScorelineError('overloaded', `${reason} Ask again after the time in Retry-After.`, {
      retryAfterSeconds: retryAfterSeconds(request.queue, backlog),
    });
  };

  return {
    check,
    admit(request) {
      check(request);
      const backlog = backlogOf(request);
      inFlight += request.count;
      backlog.admit(request.count);
      let released = false;
      return {
        release: (isAnswered) => {
          if (released) return;
          released = true;
          inFlight -= request.count;
          backlog.release(request.count, isAnswered);
        },
      };
    },
    get inFlight() {
      return inFlight;
    },
    traffic: (queue) => backlogs.get(queue) ?? { inFlight: 0, answered: 0 },
  };
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
