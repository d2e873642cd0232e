// A lane: the way of one model's items of one priority from the API to the model's queue.
//
// A lane has at most one `add` in flight, and items that arrive meanwhile share the next job. With fewer
// than two unanswered jobs, a lane sends at once, so an idle system adds no delay. With two, workers run
// one and have the other ready. Further items then gather until one of the two is answered, until a job
// is full, or for `lingerMs`, which is far less than they will wait anyway. If the last answered item had
// waited long, items gather for a tenth of that wait: under overload items are admitted one by one, and
// each would otherwise become its own job.
//
// A job costs API, Redis and worker about 1 ms of processor time together, no matter how many items it
// holds. So if a model's batches take a few milliseconds, a job holds several batches. The size of a job
// is the number of its rows.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import { countRowsOf, rowsOfItem } from '../../shared/wire/item-id.js';
import type { BatchJob, Item } from '../../shared/wire/job.js';
import type { Priority } from '../../shared/wire/priority.js';
import type { ScoredReply } from '../../shared/wire/reply.js';
import type { ItemTrace } from '../traces/request-trace.js';
import type { Queue } from './queue.js';
import type { Waiters } from './waiters.js';

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

/** What all lanes of an API instance share. */
export interface LaneContext {
  /** Names the stream for replies to this API instance. */
  readonly instance: string;
  readonly queue: Pick<Queue, 'add' | 'cancel'>;
  readonly waiters: Waiters;
  /** How long items gather at least while `jobsAhead` jobs are unanswered; 0 turns gathering off. */
  readonly lingerMs: number;
}

/** An item on its way. */
export interface Entry extends Pick<Item, 'id' | 'deadlineAt' | 'keepMs'> {
  /** Undefined once it is sent, so its inputs can be collected while its reply is awaited. */
  item: Item | undefined;
  /** Bytes of its inputs. */
  readonly bytes: number;
  /** The item's job; undefined until it is sent. */
  job: { unanswered: number } | undefined;
  /** Whether the wait has ended. After that, the id may have been submitted again. */
  isSettled: boolean;
  /** Set if the item is traced. */
  readonly sending?: ItemTrace | undefined;
}

export class Lane {
  readonly #model: Model;
  readonly #priority: Priority;
  readonly #context: LaneContext;
  #waiting: Entry[] = [];
  #waitingRows = 0;
  #isSending = false;
  /** How many jobs have unsettled items. */
  #unansweredJobs = 0;
  /** The model time of the last answered batch. */
  #batchMs = jobComputeMsMax;
  /** How long the last answered item had waited for a worker. */
  #queueMs = 0;
  /** Ends the gathering now. */
  #endGathering = () => {};

  constructor(model: Model, priority: Priority, context: LaneContext) {
    this.#model = model;
    this.#priority = priority;
    this.#context = context;
  }

  /** Queues an entry for the next job. Call `send` after the last entry. */
  push(entry: Entry): void {
    this.#waiting.push(entry);
    this.#waitingRows += rowsOfItem(entry.id);
  }

  /** Sends what waits, or lets it gather. Errors go to the waiters of the items. */
  send(): void {
    this.#hurry();
    if (!this.#isSending) void this.#sendAll();
  }

  /** Notes that the wait for an entry has ended. Can be called twice. */
  settle(entry: Entry): void {
    if (entry.isSettled) return;
    entry.isSettled = true;
    if (entry.job && --entry.job.unanswered === 0) this.#unansweredJobs--;
    this.#hurry();
  }

  /** Learns the times of a reply, unless it was kept from an earlier request. */
  learn({ timing, isKept }: ScoredReply): void {
    if (isKept) return;
    this.#batchMs = timing.computeMs;
    this.#queueMs = timing.queueMs;
  }

  /** Ends the wait for an item because its client no longer waits. */
  abandon(entry: Entry, reason: ScorelineError): void {
    const { id, deadlineAt, keepMs, job, isSettled } = entry;
    const { waiters, queue } = this.#context;
    if (isSettled || !waiters.fail(id, reason)) return;
    this.settle(entry);
    // Workers drop an item past its deadline anyway. An item with `keepMs` may be submitted again under
    // the same id, and a cancellation would then drop it.
    const isLate = nowMs() >= deadlineAt;
    if (job && !isLate && keepMs === undefined)
      queue.cancel(this.#model.queue, id, deadlineAt).catch(() => {});
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    while (this.#waiting.length > 0) {
      if (this.#isGathering()) await this.#gather();
      this.#waiting = this.#waiting.filter((entry) => !entry.isSettled);
      const entries = this.#takeJob();
      this.#waitingRows = countRowsOf(this.#waiting);
      if (entries.length > 0) await this.#sendJob(entries);
    }
    this.#isSending = false;
  }

  #isGathering(): boolean {
    return (
      this.#context.lingerMs > 0 &&
      this.#unansweredJobs >= jobsAhead &&
      this.#waitingRows < this.#jobRowsMax()
    );
  }

  #gather(): Promise<void> {
    return new Promise((resolve) => {
      const longMs = Math.min(this.#queueMs * lingerShare, lingerMsMax);
      const timer = setTimeout(resolve, Math.max(this.#context.lingerMs, longMs));
      this.#endGathering = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #hurry(): void {
    if (!this.#isGathering()) this.#endGathering();
  }

  async #sendJob(entries: readonly Entry[]): Promise<void> {
    const { instance, queue, waiters } = this.#context;
    const job: BatchJob = { replyTo: instance, items: entries.map(takeItem) };
    const progress = { unanswered: entries.length };
    this.#unansweredJobs++;
    for (const entry of entries) entry.job = progress;
    try {
      await queue.add(this.#model.queue, job, { priority: this.#priority });
      for (const { sending } of entries) sending?.end();
    } catch (error) {
      // Also refuse the items that arrived meanwhile. A cut connection is noticed late, and they would
      // only wait for the same error.
      const refused = [...entries, ...this.#waiting.splice(0)];
      this.#waitingRows = 0;
      for (const { id, sending } of refused) {
        sending?.fail(error as ScorelineError);
        waiters.fail(id, error as ScorelineError);
      }
    }
  }

  /** Returns the most rows of the next job: a whole number of full batches. */
  #jobRowsMax(): number {
    const batches = Math.floor(jobComputeMsMax / this.#batchMs);
    return this.#model.manifest.batch.max * Math.min(Math.max(batches, 1), jobBatchesMax);
  }

  /** Removes the entries of the next job from those that wait. */
  #takeJob(): Entry[] {
    const max = this.#jobRowsMax();
    let rows = 0;
    let bytes = 0;
    let count = 0;
    for (const entry of this.#waiting) {
      rows += rowsOfItem(entry.id);
      bytes += entry.bytes;
      if (rows > max || bytes > jobBytesMax) break;
      count++;
    }
    // An item alone may be larger.
    if (count === 0 && this.#waiting.length > 0) count = 1;
    return this.#waiting.splice(0, count);
  }
}

function takeItem(entry: Entry): Item {
  const { item } = entry;
  if (!item) throw new Error('An item is sent once. This is a bug.');
  entry.item = undefined;
  return item;
}
