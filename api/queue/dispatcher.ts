// The dispatcher: from items to jobs.
//
// A *lane* is a model's way to the queue. It has at most one `add` in flight; the items that come
// meanwhile share the next job. A lane with fewer than two jobs unanswered sends at once, so a
// system that is not busy adds no delay. With two, one is worked on and the other is next, and the
// items that come gather until one of the two is answered, a job is full, or `lingerMs` has passed,
// which is far less than they will wait anyway. Where the last answer had waited for long, a tenth of
// that is no more: under overload, admitted one by one, they would otherwise be as many jobs.
//
// A job costs API, Redis and worker about 1 ms of processor time together, however many items it
// holds. So where a model's batches take a few milliseconds, a job holds several of them.

import { randomUUID } from 'node:crypto';
import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/models.js';
import type { BatchJob, Item } from '../../shared/wire.js';
import type { Queue } from './queue.js';
import { clientClosed, type Replies, type ScoredReply } from './waiters.js';

const lingerMsDefault = 6;
/** Where items wait in the queue for long, they gather for this share of it, up to a limit. */
const lingerShare = 0.1;
const lingerMsMax = 250;
/** Jobs that are unanswered before the next items gather. */
const jobsAhead = 2;
/** A job holds as many batches as this model time has room for, so that work still spreads. */
const jobComputeMsMax = 20;
const jobBatchesMax = 8;
/** The most bytes of binary input in one job. */
const jobBytesMax = 32 * 1024 * 1024;

/** An input as it travels: text inside the job, bytes beside it. */
export type PreparedInput = { readonly text: string } | { readonly bytes: Buffer };

export interface Submission {
  readonly model: Model;
  readonly input: PreparedInput;
  readonly top: number;
  readonly deadlineAt: number;
  /** For an item whose reply is kept: its id, which nobody else may wait for, and for how long. */
  readonly keep?: { readonly id: string; readonly keepMs: number } | undefined;
}

export interface Ticket {
  readonly id: string;
  readonly reply: Promise<ScoredReply>;
  /** Nobody waits for the answer any more. */
  cancel(): void;
}

export interface Dispatcher {
  submit(submission: Submission): Ticket;
}

interface Lane {
  readonly model: Model;
  waiting: Entry[];
  sending: boolean;
  /** Jobs with items that are not settled. */
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
  readonly bytes: Buffer | undefined;
  /** Undefined until it is sent. */
  job: { unanswered: number } | undefined;
}

export function makeDispatcher(options: {
  /** The stream on which this API instance is answered. */
  instance: string;
  queue: Pick<Queue, 'add' | 'cancel'>;
  replies: Replies;
  /** How long items gather while earlier ones are unanswered. */
  lingerMs?: number;
}): Dispatcher {
  const { instance, queue, replies, lingerMs = lingerMsDefault } = options;
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
      lane.waiting = lane.waiting.filter((entry) => replies.isExpected(entry.item.id));
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
    const payload = new Map<string, Buffer>();
    for (const entry of entries) {
      entry.job = progress;
      if (entry.bytes) payload.set(entry.item.id, entry.bytes);
    }
    try {
      await queue.add(model.queue, job, payload);
    } catch (error) {
      // Those that came meanwhile would wait for the same: a network that is cut is noticed late.
      const refused = [...entries, ...lane.waiting.splice(0)];
      for (const { item } of refused) replies.fail(item.id, error as ScorelineError);
    }
  };

  return {
    submit({ model, input, top, deadlineAt, keep }) {
      const id = keep?.id ?? randomUUID();
      const reply = replies.expect(id, deadlineAt);
      const text = 'text' in input ? { text: input.text } : {};
      const kept = keep === undefined ? undefined : { keepMs: keep.keepMs };
      const item: Item = { id, submittedAt: nowMs(), deadlineAt, top, ...text, ...kept };
      const lane = laneOf(model);
      const bytes = 'bytes' in input ? input.bytes : undefined;
      const entry: Entry = { item, bytes, job: undefined };
      lane.waiting.push(entry);
      if (!isGathering(lane)) lane.hurry();
      void send(lane);
      const settled = () => {
        if (entry.job && --entry.job.unanswered === 0) lane.unansweredJobs--;
        if (!isGathering(lane)) lane.hurry();
      };
      reply.then(({ timing }) => {
        lane.batchMs = timing.computeMs;
        lane.queueMs = timing.queueMs;
        settled();
      }, settled);
      return {
        id,
        reply,
        cancel: () => {
          if (!replies.isExpected(id)) return;
          replies.fail(id, clientClosed());
          if (entry.job) queue.cancel(model.queue, id, deadlineAt).catch(() => {});
        },
      };
    },
  };
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
    bytes += entry.bytes?.byteLength ?? 0;
    if (count > 0 && bytes > jobBytesMax) break;
    count++;
  }
  return lane.waiting.splice(0, count);
}
