// The dispatcher: from items to jobs.
//
// A *lane* is a model's way to the queue. It has at most one `add` in flight; the items that come
// meanwhile share the next job, up to the model's batch size. A lane that nobody waits on sends at
// once, so an idle system adds no delay. While earlier items are unanswered, the next ones gather
// for up to `lingerMs`, which is far less than they will wait anyway: a job costs API, Redis and
// worker about 0.6 ms of processor time together, however many items it holds.

import { randomUUID } from 'node:crypto';
import { type BatchJob, type Item, nowMs } from '../shared/contract.js';
import type { ScorelineError } from '../shared/errors.js';
import type { Model } from '../shared/models.js';
import type { Queue } from './queue.js';
import { clientClosed, type Replies, type ScoredReply } from './replies.js';

const lingerMsDefault = 3;
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
  /** Items that are in a job and not settled. */
  unanswered: number;
  /** Ends the gathering. */
  hurry: () => void;
}

interface Entry {
  readonly item: Item;
  readonly bytes: Buffer | undefined;
  isSent: boolean;
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
    const lane: Lane = { model, waiting: [], sending: false, unanswered: 0, hurry: () => {} };
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
    lingerMs > 0 && lane.unanswered > 0 && lane.waiting.length < lane.model.manifest.batch.max;

  const linger = (lane: Lane) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, lingerMs);
      lane.hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const sendJob = async (lane: Lane, entries: readonly Entry[]) => {
    const { model } = lane;
    lane.unanswered += entries.length;
    const job: BatchJob = { replyTo: instance, items: entries.map((entry) => entry.item) };
    const payload = new Map<string, Buffer>();
    for (const entry of entries) {
      entry.isSent = true;
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
      const entry: Entry = { item, bytes, isSent: false };
      lane.waiting.push(entry);
      if (!isGathering(lane)) lane.hurry();
      void send(lane);
      const settled = () => {
        if (entry.isSent) lane.unanswered--;
        if (lane.unanswered === 0) lane.hurry();
      };
      reply.then(settled, settled);
      return {
        id,
        reply,
        cancel: () => {
          if (!replies.isExpected(id)) return;
          replies.fail(id, clientClosed());
          if (entry.isSent) queue.cancel(model.queue, id, deadlineAt).catch(() => {});
        },
      };
    },
  };
}

/** Takes the entries of the next job off the lane: as many as make a batch. */
function takeEntries(lane: Lane): Entry[] {
  const max = lane.model.manifest.batch.max;
  let bytes = 0;
  let count = 0;
  for (const entry of lane.waiting.slice(0, max)) {
    bytes += entry.bytes?.byteLength ?? 0;
    if (count > 0 && bytes > jobBytesMax) break;
    count++;
  }
  return lane.waiting.splice(0, count);
}
