// The queue of a model: items that were admitted and are not answered. Whether an item is admitted is
// decided by the API's own code, here for one instance with the permits of all.

import { Admission, type Permit } from '../api/admission/admission.js';
import { ScorelineError } from '../shared/errors.js';
import type { Events } from './events.js';

export interface QueueOptions {
  readonly events: Events;
  readonly batchMax: number;
  readonly deadlineMs: number;
  readonly permitsMax: number;
  readonly itemsMax: number;
  /** Called when an item was answered, or refused, or has passed its deadline. */
  readonly onSettled: (isAnswered: boolean) => void;
}

export interface Item {
  readonly arrivedAtMs: number;
  readonly permit: Permit;
}

export class Queue {
  readonly #options: QueueOptions;
  readonly #admission: Admission;
  #waiting: Item[] = [];
  /** Items before this index have left. */
  #first = 0;
  #running = 0;
  /** From arrival to answer, in milliseconds. */
  readonly waitsMs: number[] = [];
  arrived = 0;
  refused = 0;
  expired = 0;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#admission = new Admission({
      permitsMax: options.permitsMax,
      callerShare: 1,
      itemsMax: options.itemsMax,
      unansweredIn: () => this.unanswered,
      countModels: () => 1,
      peers: { inFlight: () => 0, msFor: () => undefined },
      now: () => options.events.nowMs,
    });
  }

  /** What KEDA and the autoscaler see: waiting items and those that are scored. */
  get unanswered(): number {
    this.#expire();
    return this.#waiting.length - this.#first + this.#running;
  }

  get isEmpty(): boolean {
    this.#expire();
    return this.#waiting.length === this.#first;
  }

  arrive(): void {
    const { events, batchMax, deadlineMs, onSettled } = this.#options;
    this.arrived++;
    this.#expire();
    const request = { queue: 'model', batchMax, count: 1, deadlineMs };
    try {
      this.#waiting.push({
        arrivedAtMs: events.nowMs,
        permit: this.#admission.admit([request]),
      });
    } catch (error) {
      if (!(error instanceof ScorelineError)) throw error;
      this.refused++;
      onSettled(false);
    }
  }

  /** Takes a batch, as large as it can be. */
  take(): readonly Item[] {
    const end = Math.min(this.#first + this.#options.batchMax, this.#waiting.length);
    const batch = this.#waiting.slice(this.#first, end);
    this.#first = end;
    this.#running += batch.length;
    this.#compact();
    return batch;
  }

  answer(batch: readonly Item[]): void {
    this.#running -= batch.length;
    for (const { arrivedAtMs, permit } of batch) {
      const waitMs = this.#options.events.nowMs - arrivedAtMs;
      const isInTime = waitMs <= this.#options.deadlineMs;
      permit.release(true);
      if (isInTime) this.waitsMs.push(waitMs);
      else this.expired++;
      this.#options.onSettled(isInTime);
    }
  }

  /** Puts the batch of a lost worker back to the front. */
  putBack(batch: readonly Item[]): void {
    this.#running -= batch.length;
    this.#waiting = [...batch, ...this.#waiting.slice(this.#first)];
    this.#first = 0;
  }

  /** Drops waiting items past their deadline. All have the same time, so the oldest is first. */
  #expire(): void {
    const { events, deadlineMs, onSettled } = this.#options;
    for (;;) {
      const item = this.#waiting[this.#first];
      if (!item || events.nowMs - item.arrivedAtMs <= deadlineMs) break;
      this.#first++;
      this.expired++;
      item.permit.release(false);
      onSettled(false);
    }
    this.#compact();
  }

  #compact(): void {
    if (this.#first < 1000 || this.#first < this.#waiting.length / 2) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }
}
