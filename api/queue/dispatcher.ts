// The dispatcher: from items to jobs.
//
// A *lane* is a model's way to the queue. It has at most one `add` in flight; the items that come
// meanwhile share the next job. A lane with fewer than two unanswered jobs sends at once, so a system
// that is not busy adds no delay. With two, one is being worked on and the other is next. The items that
// come then gather until one of the two is answered, a job is full, or `lingerMs` has passed,
// which is far less than they will wait anyway. If the last answered item had waited for long, items
// gather for a tenth of that time: under overload they are admitted one by one, and each would
// otherwise be a job of its own.
//
// A job costs API, Redis and worker about 1 ms of processor time together, however many items it
// holds. So where a model's batches take a few milliseconds, a job holds several of them.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { BatchJob, Item } from '../../shared/job.js';
import type { Model } from '../../shared/models.js';
import type { Tensor } from '../../shared/tensors.js';
import type { Ending } from '../ending.js';
import type { Queue } from './queue.js';
import type { ScoredReply, Waiters } from './waiters.js';

const lingerMsDefault = 6;
/** Items that wait in the queue for long gather for this share of that time, up to a limit. */
const lingerShare = 0.1;
const lingerMsMax = 250;
/** Unanswered jobs from which on the next items gather. */
const jobsAhead = 2;
/** The model time that one job may take. With more, work would not spread over workers. */
const jobComputeMsMax = 20;
const jobBatchesMax = 8;
/** The most bytes of inputs in one job. */
const jobBytesMax = 32 * 1024 * 1024;

/** What one call sends: items for one model, which share a deadline. */
export interface Submission {
  readonly model: Model;
  /** How many of the best classes are wanted. */
  readonly top: number;
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number;
  /** Ends the wait for all items, with its reason. */
  readonly ending: Ending;
  readonly items: readonly DispatchedItem[];
  /** How long the replies are kept; only then may an id be submitted again. */
  readonly keepMs?: number | undefined;
}

export interface DispatchedItem {
  readonly id: string;
  readonly inputs: readonly Tensor[];
}

export interface Dispatcher {
  /**
   * Sends items to the model's queue. The promises are in the order of the items; each rejects with
   * the error that ends its wait.
   */
  submit(submission: Submission): Promise<ScoredReply>[];
}

interface Lane {
  readonly model: Model;
  waiting: Entry[];
  sending: boolean;
  /** Jobs that have unsettled items. */
  unansweredJobs: number;
  /** The model's time for the last batch that was answered. */
  batchMs: number;
  /** How long the last item that was answered had waited for a worker. */
  queueMs: number;
  /** Ends the gathering. */
  hurry: () => void;
}

interface Entry {
  readonly item: Item;
  readonly bytes: number;
  /** The job in which the item was sent; undefined until then. */
  job: { unanswered: number } | undefined;
  /** Nobody waits any more. Its id may have been submitted again since then. */
  isSettled: boolean;
}

export function makeDispatcher(options: {
  /** The stream on which this API instance is answered. */
  instance: string;
  queue: Pick<Queue, 'add' | 'cancel'>;
  waiters: Waiters;
  /** How long items gather while earlier ones are unanswered. */
  lingerMs?: number;
}): Dispatcher {
  const { instance, queue, waiters, lingerMs = lingerMsDefault } = options;
  const lanes = new Map<string, Lane>();

  const laneOf = (model: Model): Lane => {
    const known = lanes.get(model.queue);
    if (known) return known;
    const lane: Lane = {
      model,
      waiting: [],
      sending: false,
      unansweredJobs: 0,
      batchMs: jobComputeMsMax,
      queueMs: 0,
      hurry: () => {},
    };
    lanes.set(model.queue, lane);
    return lane;
  };

  const send = async (lane: Lane) => {
    if (lane.sending) return;
    lane.sending = true;
    while (lane.waiting.length > 0) {
      if (isGathering(lane)) await linger(lane);
      lane.waiting = lane.waiting.filter((entry) => !entry.isSettled);
      const entries = takeEntries(lane);
      if (entries.length > 0) await sendJob(lane, entries);
    }
    lane.sending = false;
  };

  const isGathering = (lane: Lane) =>
    lingerMs > 0 && lane.unansweredJobs >= jobsAhead && lane.waiting.length < jobItemsMax(lane);

  const linger = (lane: Lane) =>
    new Promise<void>((resolve) => {
      const longMs = Math.min(lane.queueMs * lingerShare, lingerMsMax);
      const timer = setTimeout(resolve, Math.max(lingerMs, longMs));
      lane.hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const sendJob = async (lane: Lane, entries: readonly Entry[]) => {
    const { model } = lane;
    const job: BatchJob = { replyTo: instance, items: entries.map((entry) => entry.item) };
    const progress = { unanswered: entries.length };
    lane.unansweredJobs++;
    for (const entry of entries) entry.job = progress;
    try {
      await queue.add(model.queue, job);
    } catch (error) {
      // Items that came meanwhile would wait for the same: a cut network is noticed late.
      const refused = [...entries, ...lane.waiting.splice(0)];
      for (const { item } of refused) waiters.fail(item.id, error as ScorelineError);
    }
  };

  /** The lane learns from a reply, unless the reply was kept from an earlier request. */
  const learn = (lane: Lane, { timing, isKept }: ScoredReply) => {
    if (isKept) return;
    lane.batchMs = timing.computeMs;
    lane.queueMs = timing.queueMs;
  };

  const settle = (lane: Lane, entry: Entry) => {
    entry.isSettled = true;
    if (entry.job && --entry.job.unanswered === 0) lane.unansweredJobs--;
    if (!isGathering(lane)) lane.hurry();
  };

  /** Nobody waits for this item any more. */
  const abandon = (lane: Lane, entry: Entry, reason: ScorelineError) => {
    const { item, job, isSettled } = entry;
    if (isSettled || !waiters.fail(item.id, reason)) return;
    entry.isSettled = true;
    // An item that is past its deadline is dropped by itself. One that is kept may be submitted
    // again under its id, and would be dropped as cancelled then.
    const isLate = nowMs() >= item.deadlineAt;
    if (job && !isLate && item.keepMs === undefined)
      queue.cancel(lane.model.queue, item.id, item.deadlineAt).catch(() => {});
  };

  return {
    submit({ model, top, deadlineAt, ending, items, keepMs }) {
      const { reason } = ending;
      if (reason) return items.map(() => Promise.reject(reason));
      const lane = laneOf(model);
      const submittedAt = nowMs();
      const entries: Entry[] = [];
      const takeOff = ending.onEnd(() => {
        for (const entry of entries) abandon(lane, entry, ending.reason as ScorelineError);
      });
      let unsettled = items.length;
      const replies = items.map(({ id, inputs }) => {
        const reply = waiters.expect(id);
        const item: Item = { id, submittedAt, deadlineAt, inputs, top, ...(keepMs && { keepMs }) };
        const entry: Entry = { item, bytes: bytesOf(inputs), job: undefined, isSettled: false };
        entries.push(entry);
        lane.waiting.push(entry);
        const settled = () => {
          settle(lane, entry);
          if (--unsettled === 0) takeOff();
        };
        reply.then((scored) => {
          learn(lane, scored);
          settled();
        }, settled);
        return reply;
      });
      if (!isGathering(lane)) lane.hurry();
      void send(lane);
      return replies;
    },
  };
}

function bytesOf(inputs: readonly Tensor[]): number {
  let bytes = 0;
  for (const { data } of inputs) bytes += data.byteLength;
  return bytes;
}

/** How many items the next job may hold: whole batches. */
function jobItemsMax({ model, batchMs }: Lane): number {
  const batches = Math.floor(jobComputeMsMax / batchMs);
  return model.manifest.batch.max * Math.min(Math.max(batches, 1), jobBatchesMax);
}

/** Takes the entries of the next job off the lane. */
function takeEntries(lane: Lane): Entry[] {
  const max = jobItemsMax(lane);
  let bytes = 0;
  let count = 0;
  for (const entry of lane.waiting.slice(0, max)) {
    bytes += entry.bytes;
    if (count > 0 && bytes > jobBytesMax) break;
    count++;
  }
  return lane.waiting.splice(0, count);
}
