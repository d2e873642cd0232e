// Admission: a permit before any work. A request is refused at once, rather than left to wait in
// vain, when as many inputs are in flight as there are permits; when the queue holds more jobs than
// it may; or when, at the rate at which the model's workers have been answering, it would not be
// answered before its deadline.
//
// The rate is measured only while a model has a backlog: a model that is asked once a minute
// answers once a minute, and can do more. Two batches are always let in, so that there is something
// to measure, and a rate that was low once cannot keep requests out for ever.

import { ScorelineError } from '../shared/errors.js';

const retryAfterSecondsMax = 60;
/** Busy time after which a measured answer counts half. */
const halfLifeMs = 10_000;
/** Busy time needed before the rate is believed. */
const measuredMsMin = 1000;
/** A longer time without an answer says that workers were away, not that they are slow. */
const gapMsMax = 5000;
/** The share of its deadline that a request may be expected to wait. */
const waitShareMax = 0.9;

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
}

export function makeAdmission(options: {
  permitsMax: number;
  jobsMax: number;
  /** Jobs in a queue, from every API instance; undefined while unknown. */
  jobsIn: (queue: string) => number | undefined;
  /** Milliseconds from any origin. */
  now: () => number;
}): Admission {
  const { permitsMax, jobsMax, jobsIn, now } = options;
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
    if (backlog.inFlight < 2 * request.batchMax) return undefined;
    const waitMs = backlog.waitMs();
    if (waitMs === undefined || waitMs <= request.deadlineMs * waitShareMax) return undefined;
    return `Expected an answer within ${Math.round(request.deadlineMs)} ms; the queue is ${Math.round(waitMs)} ms long.`;
  };

  const check = (request: AdmissionRequest) => {
    const backlog = backlogOf(request);
    const reason = whyNot(request, backlog);
    if (reason === undefined) return;
    const seconds = Math.ceil((backlog.waitMs() ?? 0) / 1000);
    throw new ScorelineError('overloaded', `${reason} Ask again after the time in Retry-After.`, {
      retryAfterSeconds: Math.min(Math.max(seconds, 1), retryAfterSecondsMax),
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
  };
}

interface Backlog {
  admit(count: number): void;
  release(count: number, isAnswered: boolean): void;
  readonly inFlight: number;
  /** How long what is in flight will take; undefined until the rate is known. */
  waitMs(): number | undefined;
}

function makeBacklog(batchMax: number, now: () => number): Backlog {
  let inFlight = 0;
  /** The last answer while there was a backlog; the time to the next one is time at work. */
  let answeredAt: number | undefined;
  // Both decay with busy time, so that their ratio is the rate of late.
  let busyMs = 0;
  let answered = 0;

  return {
    admit(count) {
      inFlight += count;
    },
    release(count, isAnswered) {
      const hadBacklog = inFlight >= batchMax;
      inFlight -= count;
      if (!hadBacklog) answeredAt = undefined;
      if (!hadBacklog || !isAnswered) return;
      const at = now();
      if (answeredAt !== undefined) {
        const elapsed = Math.min(at - answeredAt, gapMsMax);
        const kept = 0.5 ** (elapsed / halfLifeMs);
        busyMs = busyMs * kept + elapsed;
        answered = answered * kept + count;
      }
      answeredAt = at;
    },
    get inFlight() {
      return inFlight;
    },
    waitMs: () =>
      busyMs < measuredMsMin || answered === 0 ? undefined : (inFlight * busyMs) / answered,
  };
}
