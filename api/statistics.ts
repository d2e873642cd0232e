// Statistics: for each model, how many requests this process has scored since its start, and where their
// time went. They are counted once a request, from what replies say anyway (0.12 µs, measured).

import { nowMs } from '../shared/clock.js';
import type { Model } from '../shared/registry/models.js';
import { rowsOfItem } from '../shared/wire/item-id.js';
import type { ScoredReply, Timing } from '../shared/wire/reply.js';
import type { Call } from './call/call.js';

/** How often something took time, and how much together. */
export interface Duration {
  readonly count: number;
  readonly ms: number;
}

export interface ModelStatistics {
  /** Milliseconds since the epoch; 0 if there was none. */
  readonly lastInferenceAt: number;
  /** Inputs that were scored: the rows of all requests. */
  readonly inferences: number;
  /** Runs of the model. Of a run that several API processes share, each counts its part. */
  readonly executions: number;
  /** Requests, from their arrival to their answer. */
  readonly success: Duration;
  readonly fail: Duration;
  /** Requests that were answered with a result of another one, kept or in flight. They are successes too. */
  readonly replayed: Duration;
  /** Of scored requests, by their slowest input: until a worker took it, ... */
  readonly queue: Duration;
  /** ... until its run began, ... */
  readonly computeInput: Duration;
  /** ... the run, ... */
  readonly computeInfer: Duration;
  /** ... and until its reply was here. */
  readonly computeOutput: Duration;
}

export class Statistics {
  readonly #counters = new Map<string, Counters>();

  /** Counts an answered request, whose call has its timing. */
  succeed(call: Call, replies: readonly ScoredReply[]): void {
    const counters = this.#countersOf(call.model);
    const now = nowMs();
    add(counters.success, now - call.arrivedAt);
    const { outcome } = call.cacheNote ?? {};
    const isKept = call.isReplayed || outcome === 'hit' || outcome === 'collapsed';
    if (isKept) add(counters.replayed, now - call.arrivedAt);
    else countWork(counters, { call, replies, now });
  }

  /** Counts a request that was let in and could not be answered. */
  fail(call: Call): void {
    add(this.#countersOf(call.model).fail, nowMs() - call.arrivedAt);
  }

  of(model: Model): ModelStatistics {
    return this.#countersOf(model);
  }

  #countersOf({ queue }: Model): Counters {
    const known = this.#counters.get(queue);
    if (known) return known;
    const counters = makeCounters();
    this.#counters.set(queue, counters);
    return counters;
  }
}

type Counter = { -readonly [K in keyof Duration]: Duration[K] };
type Counters = {
  -readonly [K in keyof ModelStatistics]: ModelStatistics[K] extends Duration ? Counter : number;
};

function makeCounters(): Counters {
  return {
    lastInferenceAt: 0,
    inferences: 0,
    executions: 0,
    success: { count: 0, ms: 0 },
    fail: { count: 0, ms: 0 },
    replayed: { count: 0, ms: 0 },
    queue: { count: 0, ms: 0 },
    computeInput: { count: 0, ms: 0 },
    computeInfer: { count: 0, ms: 0 },
    computeOutput: { count: 0, ms: 0 },
  };
}

/** Counts what a request has cost its model. */
function countWork(
  counters: Counters,
  { call, replies, now }: { call: Call; replies: readonly ScoredReply[]; now: number },
): void {
  counters.lastInferenceAt = now;
  counters.inferences += call.inputs;
  for (const { id, timing } of replies) {
    counters.executions += rowsOfItem(id) / timing.batchSize;
  }
  const { timing } = call;
  if (!timing) return;
  add(counters.queue, timing.queueMs);
  add(counters.computeInput, timing.batchMs);
  add(counters.computeInfer, timing.computeMs);
  add(counters.computeOutput, Math.max(0, now - call.scoringSince - totalMs(timing)));
}

function add(counter: Counter, ms: number): void {
  counter.count++;
  counter.ms += ms;
}

/** Returns how long an input took, from the queue to the end of its run. */
export function totalMs({ queueMs, batchMs, computeMs }: Timing): number {
  return queueMs + batchMs + computeMs;
}
