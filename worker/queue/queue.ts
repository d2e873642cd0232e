// The queue of one model, seen from a worker: what the consumer needs of BullMQ and Redis.

import type { CountName } from '../../shared/keys.js';

export interface TakenJob {
  readonly id: string;
  /** What came out of the queue, to be decoded; `Unparsed` where it is not even JSON. */
  readonly data: unknown;
  /** It was taken before, and its worker did not finish it. */
  readonly isSuspect: boolean;
  /** Gives the job back, for another worker; `process` is then to reject with `GivenBack`. */
  giveBack(): Promise<void>;
}

/** The data of a job that is not JSON. */
export class Unparsed {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

export class GivenBack extends Error {
  override readonly name = 'GivenBack';
}

export interface TakeOptions {
  /** Called before the queue is asked for a job; it is asked when this resolves. */
  beforeTake(): Promise<void>;
  /**
   * A job is locked until this resolves, and then done. When this rejects, the job is tried again
   * once its lock has run out. The same job can come again.
   */
  process(job: TakenJob): Promise<void>;
}

export interface Taking {
  /** How many jobs may be in process at a time; 1 at first. */
  setJobsMax(jobs: number): void;
  /** Takes no more, and resolves when nothing is in process. */
  close(): Promise<void>;
}

export interface Queue {
  take(options: TakeOptions): Taking;
  /** What lies beside a job in these fields; those that are gone are left out. */
  readPayload(jobId: string, fields: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>>;
  dropPayload(jobId: string): void;
  /** Whether nobody waits for these items any more. */
  readCancelled(itemIds: readonly string[]): Promise<readonly boolean[]>;
  count(what: CountName, items: number): void;
  /** How often this item was about to be tried alone, with this time. */
  addStrike(jobId: string, itemId: string): Promise<number>;
  clearStrikes(jobId: string, itemId: string): Promise<void>;
}
