// Admission: no work without a permit. A request is refused at once if waiting would be in vain:
//
// - the memory of Redis is all but full,
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
// Inputs of jobs hold no permits, but those that wait are behind them, so they count in the wait.
//
// The expected wait is the number of this instance's inputs in flight, divided by the rate at which
// workers answer them. This holds for several instances too, because a shared queue serves each in
// proportion to its inputs. The heartbeats of the other instances give a second estimate, and the longer
// wait counts. The first estimate never lags. The second is known even to an instance that has just
// started.
//
// Each priority has a backlog of its own, because workers take interactive items first: their wait does not depend
// on bulk, and that of bulk shows in the rate at which bulk is answered. Interactive requests are not counted
// behind unanswered bulk items either. And bulk leaves permits for them: together it holds at most as many as are
// still free.
//
// Two batches are always admitted. They give the rate something to measure, so one slow minute cannot
// keep requests out for ever.
//
// An input that can wait leaves half of the room: it is let in only while a half of each bound is free, so the
// inputs of one long request never keep out those of others.
//
// Retry-After estimates when the backlog drains. Advertising the next free slot would bring
// everyone back at once.

import { type OverloadReason, ScorelineError } from '../../shared/errors.js';
import { jobQueueOf, type Priority, priorities } from '../../shared/wire/priority.js';
import { Backlog } from './backlog.js';
import type { Peers, Traffic } from './peers.js';

/** The share of its deadline that a request may be expected to wait. The rest allows for a falling rate. */
const waitShareMax = 0.6;
/** The share of each bound that is open to inputs that can wait. */
const patientShare = 0.5;
/** How much of Redis' memory may be used when a request comes. The rest is for answers, and for what comes before the next look. */
const redisShareMax = { interactive: 0.9, bulk: 0.8 };

export interface AdmissionRequest {
  /** The model's queue. */
  readonly queue: string;
  /** The batch size of the model. Fewer inputs in flight than this are no backlog. */
  readonly batchMax: number;
  /** How many inputs the request has. */
  readonly count: number;
  /** Milliseconds from now. */
  readonly deadlineMs: number;
  /** Interactive if undefined. */
  readonly priority?: Priority | undefined;
  /** Whether it asks again when it is refused, and leaves room for others until then. */
  readonly isPatient?: boolean | undefined;
  /** The caller whose share it counts in; undefined if callers have no shares. */
  readonly caller?: string | undefined;
}

export interface AdmissionOptions {
  readonly permitsMax: number;
  /** The share of the permits, and of what a model may have of them, that one caller may hold. */
  readonly callerShare: number;
  /** The most unanswered items of a model, from all API instances. */
  readonly itemsMax: number;
  /**
   * Unanswered items of a queue that a request of this priority waits with, from all API instances: all of them
   * for bulk, and those that are not bulk for an interactive one. Undefined while unknown.
   */
  readonly unansweredIn: (queue: string, priority: Priority) => number | undefined;
  /** How many models share the permits. */
  readonly countModels: () => number;
  readonly peers: Pick<Peers, 'inFlight' | 'msFor'>;
  /** The share of Redis' memory that is used; undefined if it is not known or not limited. */
  readonly redisFullness?: () => number | undefined;
  /** Milliseconds from any origin. */
  readonly now: () => number;
}

export class Admission {
  readonly #options: AdmissionOptions;
  /** By the queue of the jobs. */
  readonly #backlogs = new Map<string, Backlog>();
  /** Inputs in flight of callers. */
  readonly #held = new CallerInputs();
  #inFlight = 0;
  #bulkInFlight = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  traffic(queue: string, priority: Priority = 'interactive'): Traffic {
    return this.#backlogs.get(jobQueueOf(queue, priority)) ?? { inFlight: 0, answered: 0 };
  }

  /** What other instances are told: inputs in flight, and those of jobs. */
  toldTraffic(queue: string, priority: Priority = 'interactive'): Traffic {
    const backlog = this.#backlogs.get(jobQueueOf(queue, priority));
    if (!backlog) return { inFlight: 0, answered: 0 };
    return { inFlight: backlog.ahead, answered: backlog.answered };
  }

  /**
   * Counts an input of a job that has been queued, until it is known to be answered or given up. Returns a function that
   * says so.
   */
  holdJob(request: Pick<AdmissionRequest, 'queue' | 'batchMax' | 'priority'>) {
    const backlog = this.#backlogOf(request);
    backlog.admitJob();
    return (isScored: boolean) => backlog.releaseJob(isScored);
  }

  /**
   * How long the workers need for everything interactive in flight; undefined while their rate is unknown.
   */
  drainMs(queue: string): number | undefined {
    const { peers } = this.#options;
    const backlog = this.#backlogs.get(queue);
    const inFlight = (backlog?.ahead ?? 0) + peers.inFlight(queue);
    if (inFlight === 0) return 0;
    return backlog ? this.#knownWaitMs({ queue }, backlog, 1) : peers.msFor(queue, inFlight);
  }

  /**
   * Takes a permit for a request to one of several models. The permit counts for a model only if there
   * is just one.
   * @throws ScorelineError `overloaded`, with `retryAfterSeconds`
   */
  admit(requests: readonly AdmissionRequest[]): Permit {
    this.check(requests);
    return new Permit(this, requests);
  }

  /** @throws ScorelineError the refusal with the shortest `retryAfterSeconds` if no model has room */
  check(requests: readonly AdmissionRequest[]): void {
    let soonest: ScorelineError | undefined;
    for (const request of requests) {
      const refusal = this.#refuse(request);
      if (!refusal) return;
      if (!soonest || secondsOf(refusal) < secondsOf(soonest)) soonest = refusal;
    }
    if (soonest) throw soonest;
  }

  /**
   * Counts a request, and for its model if only one is possible. Returns a function that undoes it.
   * @param requests one for each possible model, alike but for the model
   */
  hold(requests: readonly AdmissionRequest[]): (isScored: boolean) => void {
    const { count, priority, caller } = requests[0] as AdmissionRequest;
    const only = requests.length === 1 ? requests[0] : undefined;
    const backlog = only && this.#backlogOf(only);
    const bulkCount = priority === 'bulk' ? count : 0;
    this.#inFlight += count;
    this.#bulkInFlight += bulkCount;
    backlog?.admit(count);
    if (caller !== undefined) this.#held.add(count, caller, only?.queue);
    return (isScored) => {
      if (caller !== undefined) this.#held.add(-count, caller, only?.queue);
      this.#inFlight -= count;
      this.#bulkInFlight -= bulkCount;
      backlog?.release(count, isScored);
    };
  }

  #backlogOf({
    queue,
    priority = 'interactive',
    batchMax,
  }: Pick<AdmissionRequest, 'queue' | 'batchMax' | 'priority'>): Backlog {
    const name = jobQueueOf(queue, priority);
    const known = this.#backlogs.get(name);
    if (known) return known;
    const { now, unansweredIn } = this.#options;
    const unanswered = () => unansweredIn(queue, priority) ?? Number.POSITIVE_INFINITY;
    const backlog = new Backlog(batchMax, now, unanswered);
    this.#backlogs.set(name, backlog);
    return backlog;
  }

  #refuse(request: AdmissionRequest): ScorelineError | undefined {
    const backlog = this.#backlogOf(request);
    const why = this.#whyNot(request, backlog);
    if (why === undefined) return undefined;
    const [reason, detail] = why;
    return new ScorelineError('overloaded', `${detail} Ask again after the time in Retry-After.`, {
      retryAfterSeconds: this.#retryAfterSeconds(request, backlog),
      reason,
    });
  }

  #whyNot(
    request: AdmissionRequest,
    backlog: Backlog,
  ): readonly [reason: OverloadReason, detail: string] | undefined {
    const { unansweredIn, countModels, redisFullness } = this.#options;
    const { queue, priority = 'interactive' } = request;
    const fullness = redisFullness?.() ?? 0;
    const redisMax = redisShareMax[request.isPatient ? 'bulk' : priority];
    if (fullness > redisMax) {
      return [
        'redis_memory',
        `Expected at most ${100 * redisMax} % of Redis' memory to be used; ${Math.floor(100 * fullness)} % are.`,
      ];
    }
    const share = request.isPatient ? patientShare : 1;
    const permitsMax = Math.ceil(this.#options.permitsMax * share);
    const itemsMax = Math.ceil(this.#options.itemsMax * share);
    const free = permitsMax - this.#inFlight;
    if (request.count > free) {
      return [
        'permits',
        `Expected at most ${permitsMax} inputs in flight; there are ${this.#inFlight} already, and this request has ${request.count}.`,
      ];
    }
    if (countModels() > 1 && backlog.inFlight + request.count > free) {
      return [
        'model_share',
        `Expected one model to have at most as many inputs in flight as are free for the others, ${free}; it has ${backlog.inFlight} already, and this request has ${request.count}.`,
      ];
    }
    const callerMax = this.#callerMaxOf(request, free + backlog.inFlight);
    if (callerMax !== undefined) {
      return [
        'caller_share',
        `Expected one caller to have at most ${callerMax} inputs in flight here, so that others have room; it has as many, or would have more.`,
      ];
    }
    const bulk = this.#bulkInFlight;
    // One request of bulk may need more than half of the permits.
    if (priority === 'bulk' && bulk > 0 && bulk + request.count > free) {
      return [
        'bulk_share',
        `Expected bulk to have at most as many inputs in flight as it leaves to others, ${free}; it has ${bulk} already.`,
      ];
    }
    // What all instances have was counted up to a second ago; what this one has is known.
    const inFlight = this.#inFlightFor(queue, priority);
    const unanswered = Math.max(unansweredIn(queue, priority) ?? 0, inFlight);
    if (unanswered >= itemsMax) {
      return [
        'queue_full',
        `Expected at most ${itemsMax} unanswered inputs of this model; there are ${unanswered}.`,
      ];
    }
    const waitMs = this.#knownWaitMs(request, backlog, 2 * request.batchMax);
    if (waitMs === undefined || waitMs <= request.deadlineMs * waitShareMax * share)
      return undefined;
    return [
      'wait_too_long',
      `Expected an answer within ${Math.round(request.deadlineMs)} ms; the queue is ${Math.round(waitMs)} ms long.`,
    ];
  }

  /** The inputs in flight that a request of this priority waits with, as far as they are known. */
  #inFlightFor(queue: string, priority: Priority): number {
    const { peers } = this.#options;
    let inFlight = 0;
    for (const each of priority === 'bulk' ? priorities : [priority]) {
      inFlight += this.traffic(queue, each).inFlight + peers.inFlight(queue, each);
    }
    return inFlight;
  }

  /**
   * Returns how many inputs a caller may have in flight, if a request would exceed that. One request alone may need more.
   * @param room the permits that the requests for other models have left
   */
  #callerMaxOf({ caller, queue, count }: AdmissionRequest, room: number): number | undefined {
    if (caller === undefined) return undefined;
    const { permitsMax, callerShare, countModels } = this.#options;
    const modelMax = countModels() > 1 ? room / 2 : room;
    const bounds = [
      [this.#held.of(caller), permitsMax],
      [this.#held.of(caller, queue), modelMax],
    ] as const;
    for (const [held, bound] of bounds) {
      const max = Math.ceil(bound * callerShare);
      if (held > 0 && held + count > max) return max;
    }
    return undefined;
  }

  /**
   * How long until everything in flight is answered. Undefined if fewer than `atLeast` inputs are in
   * flight, or the rate is unknown.
   */
  #knownWaitMs(
    { queue, priority = 'interactive' }: Pick<AdmissionRequest, 'queue' | 'priority'>,
    backlog: Backlog,
    atLeast: number,
  ): number | undefined {
    const { peers } = this.#options;
    const own = backlog.ahead;
    const elsewhere = peers.inFlight(queue, priority);
    const all = own + elsewhere;
    const known = [
      own >= atLeast ? backlog.msFor(own) : undefined,
      elsewhere > 0 && all >= atLeast ? peers.msFor(queue, all, priority) : undefined,
    ].filter((ms) => ms !== undefined);
    return known.length > 0 ? Math.max(...known) : undefined;
  }

  #retryAfterSeconds(request: AdmissionRequest, backlog: Backlog): number {
    // While the rate is unknown, expect the wait to last as long again as it has lasted so far.
    const ms = this.#knownWaitMs(request, backlog, 1) ?? backlog.quietMs();
    return ms / 1000;
  }
}

/** How many inputs callers have in flight: all of them, and those for a model. */
class CallerInputs {
  readonly #counts = new Map<string, number>();

  of(caller: string, queue?: string): number {
    return this.#counts.get(nameOf(caller, queue)) ?? 0;
  }

  /** @param queue that of the model; undefined if the input may be for several */
  add(count: number, caller: string, queue: string | undefined): void {
    this.#add(count, nameOf(caller));
    if (queue !== undefined) this.#add(count, nameOf(caller, queue));
  }

  #add(count: number, name: string): void {
    const left = (this.#counts.get(name) ?? 0) + count;
    if (left === 0) this.#counts.delete(name);
    else this.#counts.set(name, left);
  }
}

/** The name of a queue has no blank. */
function nameOf(caller: string, queue = ''): string {
  return `${queue} ${caller}`;
}

/** A permit of one request, held until it is released. */
export class Permit {
  readonly #admission: Admission;
  #held: readonly AdmissionRequest[];
  #releaseHeld: ((isScored: boolean) => void) | undefined;

  constructor(admission: Admission, requests: readonly AdmissionRequest[]) {
    this.#admission = admission;
    this.#held = requests;
    this.#releaseHeld = admission.hold(requests);
  }

  /**
   * Replaces the models that the request may be for, and its number of inputs.
   * @throws ScorelineError `overloaded` when none of the models has room; the permit stays as it was
   */
  assign(requests: readonly AdmissionRequest[]): void {
    if (!this.#releaseHeld) return;
    this.#releaseHeld(false);
    try {
      this.#admission.check(requests);
      this.#held = requests;
    } finally {
      this.#releaseHeld = this.#admission.hold(this.#held);
    }
  }

  /**
   * Gives the permit back. A second call does nothing.
   * @param isScored whether workers have answered, which the rate counts
   */
  release(isScored: boolean): void {
    this.#releaseHeld?.(isScored);
    this.#releaseHeld = undefined;
  }
}

function secondsOf({ retryAfterSeconds = 0 }: ScorelineError): number {
  return retryAfterSeconds;
}
