// The dispatcher packs items into jobs.
//
// Each model has a *lane* to its queue. A lane has at most one `add` in flight, and items that arrive
// meanwhile share the next job. With fewer than two unanswered jobs, a lane sends at once, so an idle
// system adds no delay. With two, workers run one and have the other ready. Further items then gather
// until one of the two is answered, until a job is full, or for `lingerMs`, which is far less than they
// will wait anyway. If the last answered item had waited long, items gather for a tenth of that wait:
// under overload items are admitted one by one, and each would otherwise become its own job.
//
// A job costs API, Redis and worker about 1 ms of processor time together, no matter how many items it
// holds. So if a model's batches take a few milliseconds, a job holds several batches.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { BatchJob, Item } from '../../shared/job.js';
import type { Model } from '../../shared/models.js';
import type { Tensor } from '../../shared/tensors.js';
import type { Ending } from '../ending.js';
import type { Queue } from './queue.js';
import type { ScoredReply, Waiters } from './waiters.js';

const lingerMsDefault = 6;
/** Items gather for this share of the last wait in the queue, up to `lingerMsMax`. */
const lingerShare = 0.1;
const lingerMsMax = 250;
/** Items gather while at least this many jobs are unanswered. */
const jobsAhead = 2;
/** The most model time in one job. Longer jobs would not spread evenly over workers. */
const jobComputeMsMax = 20;
const jobBatchesMax = 8;
/** The most bytes of inputs in one job. */
const jobBytesMax = 32 * 1024 * 1024;

/** The items of one call, for one model, with one deadline. */
export interface Submission {
  readonly model: Model;
  /** How many of the best classes to answer with. */
  readonly top: number;
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number;
  /** When it comes, the wait for all items ends with its reason. */
  readonly ending: Ending;
  readonly items: readonly DispatchedItem[];
  /** How long workers keep the replies. Only an id with `keepMs` may be submitted again. */
  readonly keepMs?: number | undefined;
}

export interface DispatchedItem {
  readonly id: string;
  readonly inputs: readonly Tensor[];
}

export interface Dispatcher {
  /**
   * Sends items to the model's queue. Returns a promise for each item, in order. Each rejects with the
   * error of the reply, `queue_unavailable`, or the reason of the ending.
   */
  submit(submission: Submission): Promise<ScoredReply>[];
}

interface Lane {
  readonly model: Model;
  waiting: Entry[];
  sending: boolean;
  /** How many jobs have unsettled items. */
  unansweredJobs: number;
  /** The model time of the last answered batch. */
  batchMs: number;
  /** How long the last answered item had waited for a worker. */
  queueMs: number;
  /** Ends the gathering now. */
  hurry: () => void;
}

interface Entry {
  readonly item: Item;
  readonly bytes: number;
  /** The item's job; undefined until it is sent. */
  job: { unanswered: number } | undefined;
  /** Whether the wait has ended. After that, the id may have been submitted again. */
  isSettled: boolean;
}

export function makeDispatcher(options: {
  /** Names the stream for replies to this API instance. */
  instance: string;
  queue: Pick<Queue, 'add' | 'cancel' | 'uncount'>;
  waiters: Waiters;
  /** How long items gather at least while `jobsAhead` jobs are unanswered; 0 turns gathering off. */
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
      // Redis may have counted items only after their answers had come, which are read by then.
      setImmediate(uncountAnswered, model.queue, entries);
    } catch (error) {
      // Also refuse the items that arrived meanwhile. A cut connection is noticed late, and they would
      // only wait for the same error.
      const refused = [...entries, ...lane.waiting.splice(0)];
      for (const { item } of refused) waiters.fail(item.id, error as ScorelineError);
    }
  };

  const uncountAnswered = (queueName: string, entries: readonly Entry[]) => {
    const ids = entries.map(({ item }) => item.id).filter((id) => !waiters.isExpected(id));
    if (ids.length > 0) queue.uncount(queueName, ids);
  };

  /** Learns the times of a reply, unless it was kept from an earlier request. */
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

  /** Ends the wait for an item because its client no longer waits. */
  const abandon = (lane: Lane, entry: Entry, reason: ScorelineError) => {
    const { item, job, isSettled } = entry;
    if (isSettled || !waiters.fail(item.id, reason)) return;
    entry.isSettled = true;
    // Workers drop an item past its deadline anyway. An item with `keepMs` may be submitted again under
    // the same id, and a cancellation would then drop it.
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
      const removeListener = ending.onEnd(() => {
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
          if (--unsettled === 0) removeListener();
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

/** Returns the most items of the next job: a whole number of full batches. */
function jobItemsMax({ model, batchMs }: Lane): number {
  const batches = Math.floor(jobComputeMsMax / batchMs);
  return model.manifest.batch.max * Math.min(Math.max(batches, 1), jobBatchesMax);
}

/** Removes the entries of the next job from the lane. */
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
