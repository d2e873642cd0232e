// What api and worker must agree on: the job in the queue, the reply on the stream, and the names
// of their keys in Redis.
//
// A job is a batch of items that were sent by one API instance for one model and version. The
// item is the unit of deadline, cancellation, failure and reply. Times are milliseconds since the
// epoch by the sender's clock, with fractions; the machines' clocks must agree to well below the
// deadlines in use.

import { Packr } from 'msgpackr';
import type { ErrorCode } from './errors.js';
import type { PackedScores } from './scores.js';

/** One input to be scored. */
export interface Item {
  readonly id: string;
  readonly submittedAt: number;
  readonly deadlineAt: number;
  /** How many of the best classes the caller wants. */
  readonly top: number;
  /** The input itself where it is text. Binary input lies beside the job, see `payloadKey`. */
  readonly text?: string;
  /** The caller may ask again: the reply is kept for this long, and the first one kept counts. */
  readonly keepMs?: number;
}

export interface BatchJob {
  /** The API instance that waits for the replies. */
  readonly replyTo: string;
  readonly items: readonly Item[];
}

export interface Timing {
  /** From the submission to the moment a worker took the item. */
  readonly queueMs: number;
  /** From there to the start of the batch. */
  readonly batchMs: number;
  /** The model's run, for the whole batch. */
  readonly computeMs: number;
  readonly batchSize: number;
}

export type Reply =
  | { readonly id: string; readonly scores: PackedScores; readonly timing: Timing }
  | { readonly id: string; readonly error: { code: ErrorCode; detail: string } };

const packr = new Packr({ useRecords: false });

/** Replies as they travel and are kept: in MessagePack, where the bytes of the scores stay bytes. */
export function packReplies(replies: readonly Reply[]): Buffer {
  return packr.pack(replies);
}

export function unpackReplies(bytes: Uint8Array): readonly Reply[] {
  return packr.unpack(bytes);
}

/** The names of a service's keys. Everything of ours in Redis begins with the prefix. */
export function makeKeys(prefix: string) {
  return {
    prefix,
    /** Stream of the replies to one API instance; each entry's field `replies` has some, packed. */
    replies: (instance: string) => `${prefix}:replies:${instance}`,
    /** Hash of the binary inputs of one job, by item id. */
    payload: (job: string) => `${prefix}:payload:${job}`,
    /** Sorted set of item ids nobody waits for any more, by deadline. */
    cancelled: (queue: string) => `${prefix}:cancelled:${queue}`,
    /** Hash of how often items of a job were tried in quarantine without coming back, by item id. */
    strikes: (job: string) => `${prefix}:strikes:${job}`,
    /** Hash of a queue's counts, by `CountName`. */
    counts: (queue: string) => `${prefix}:counts:${queue}`,
    /** The fingerprint of the request that a caller's key stands for. */
    fingerprint: (scope: string) => `${prefix}:fingerprint:${scope}`,
    /** The reply to one item, packed as an array of one, kept for a caller that asks again. */
    result: (item: string) => `${prefix}:result:${item}`,
    /** Sorted set of the items whose replies are kept or may come to be, by when they are gone. */
    results: `${prefix}:results`,
    /** Hash of what the API instances tell each other about a queue, by instance. */
    instances: (queue: string) => `${prefix}:instances:${queue}`,
    /** Sorted set of live workers of a queue, by the time their word expires. */
    workers: (queue: string) => `${prefix}:workers:${queue}`,
  };
}

export type Keys = ReturnType<typeof makeKeys>;

/**
 * Items that workers have counted: dropped since nobody waited for them any more, or failed with
 * `model_crashed`.
 */
export const countNames = ['dropped', 'crashed'] as const;
export type CountName = (typeof countNames)[number];
export type Counts = Record<CountName, number>;

/** The BullMQ queue of a model: a worker never gets items meant for another version. */
export function queueName(model: { name: string; version: string }): string {
  return `${model.name}@${model.version}`;
}

let clockOriginMs = performance.timeOrigin;

/**
 * The time now, in milliseconds since the epoch, with fractions. Follows the machine's clock when
 * that is set, which the process's own monotonic clock does not.
 */
export function nowMs(): number {
  const wallMs = Date.now();
  const monotonicMs = performance.now();
  if (Math.abs(clockOriginMs + monotonicMs - wallMs) > 2) clockOriginMs = wallMs - monotonicMs;
  return clockOriginMs + monotonicMs;
}
