// The queue of one model: the interface through which a consumer uses BullMQ and Redis.

import type { JobPlace } from '../../shared/redis/kept-results.js';
import type { CountName } from '../../shared/redis/keys.js';

/** A job that a worker has taken and locked. */
export interface TakenJob {
  readonly id: string;
  /** The job's data, not decoded yet; `Unparsed` if it is not JSON. */
  readonly data: unknown;
  /** How many workers have taken the job and not finished it. One that any did is a suspect. */
  readonly losses: number;
  /** Returns the job to the queue. After that, `process` must reject with `GivenBack`. */
  giveBack(): Promise<void>;
}

/** Stands for the data of a job that is not JSON. */
export class Unparsed {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** The job was given back to the queue, so it must not be completed here. */
export class GivenBack extends Error {
  override readonly name = 'GivenBack';
}

export interface TakeOptions {
  /**
   * Called before each look for a job that does not follow a wait for one, and before a wait beside a job. It waits until
   * this resolves, to false if it is of no use, because a job has ended meanwhile and its end brings the next one.
   */
  beforeTake(): Promise<boolean>;
  /**
   * Works on a job, which is locked meanwhile and done once this resolves. If this rejects, the job
   * is tried again once its lock has run out. The same job can be delivered more than once.
   */
  process(job: TakenJob): Promise<void>;
}

export interface Taking {
  /** Sets how many jobs may be in process at a time. It is 1 at first. */
  setJobsMax(jobs: number): void;
  /** Takes no more jobs, and resolves when none is in process. */
  close(): Promise<void>;
}

export interface Queue {
  /** Takes jobs until it is closed. */
  take(options: TakeOptions): Taking;
  /** Tells where a job is. */
  readonly placeOf: (jobId: string) => JobPlace;
  /** Reads these fields of a job's payload. Fields that have expired are left out. */
  readPayload(jobId: string, fields: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Deletes a job's payload, without waiting for it. */
  dropPayload(jobId: string): void;
  /** Returns for each item whether it was cancelled. */
  readCancelled(itemIds: readonly string[]): Promise<readonly boolean[]>;
  /** Returns for each item whether it counts as unanswered. */
  readUnanswered(itemIds: readonly string[]): Promise<readonly boolean[]>;
  /** Adds to the queue's counts, without waiting for it. */
  count(what: CountName, amount: number): void;
  /** Counts a try of an item alone, before it starts, and returns the number of tries so far. */
  addStrike(jobId: string, itemId: string): Promise<number>;
  /** Forgets an item's tries. */
  clearStrikes(jobId: string, itemId: string): Promise<void>;
}
