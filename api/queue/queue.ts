// The API's side of the queues: adds jobs, records cancellations, reads what workers report.

import { randomUUID } from 'node:crypto';
// biome-ignore lint/style/noRestrictedImports: this file is the door to BullMQ on this side.
import { Queue as BullQueue } from 'bullmq';
import { nowMs } from '../../shared/clock.js';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { type Logger, makeSeldom, type Seldom } from '../../shared/process/log.js';
import { type Counts, countNames, type Keys } from '../../shared/redis/keys.js';
import { explain, largeBytes, type Redis, repliesOf } from '../../shared/redis/redis.js';
import type { Registry } from '../../shared/registry/registry.js';
import { membersOf } from '../../shared/wire/item-id.js';
import { type BatchJob, encodeJob } from '../../shared/wire/job.js';
import { jobQueueOf, type Priority, priorities } from '../../shared/wire/priority.js';
import { Unanswered } from './unanswered.js';

/** How long a payload outlives the last deadline of its job. */
const payloadSpareMs = 10_000;
/** How long the cancellations and BullMQ's notes of a queue outlive the last process that uses them. */
const timeToLiveMs = 86_400_000;
/** How often the notes are kept for longer. */
const keepNotesEveryMs = 60_000;
/** What BullMQ leaves of a queue that has no jobs. None of it is needed, and it has no end of its own. */
const notes = ['meta', 'id', 'events'];

/** The jobs of a model, by priority. */
type JobQueues = Readonly<Record<Priority, BullQueue>>;

export class Queue {
  readonly #redis: Redis;
  readonly #carrier: Redis;
  readonly #keys: Keys;
  readonly #warn: Seldom;
  readonly #queues = new Map<string, JobQueues>();
  readonly #unanswered: Unanswered;
  readonly #unsubscribe: () => void;
  readonly #keeping: NodeJS.Timeout;

  /**
   * @param options.carrier a connection for large payloads; by default, they take the other one
   * @param options.registry the queue of each of its models can be used
   */
  constructor(options: {
    redis: Redis;
    carrier?: Redis;
    keys: Keys;
    registry: Registry;
    log: Logger;
  }) {
    const { redis, carrier = redis, keys, registry, log } = options;
    this.#redis = redis;
    this.#carrier = carrier;
    this.#keys = keys;
    this.#warn = makeSeldom(log);
    this.#unanswered = new Unanswered({ redis, keys, queues: () => this.#queues.keys() });
    this.#unsubscribe = registry.subscribe(({ added, removed }) => {
      for (const model of added) this.#open(model.queue);
      for (const model of removed) {
        for (const queue of Object.values(this.#queues.get(model.queue) ?? {})) {
          this.#keepNotes(queue);
          void queue.close();
        }
        this.#unanswered.leave(model.queue);
        this.#queues.delete(model.queue);
      }
    });
    this.#keeping = setInterval(() => {
      for (const queue of this.opened.values()) this.#keepNotes(queue);
    }, keepNotesEveryMs);
  }

  /** Whether Redis was unreachable at the last attempt. */
  get isAway(): boolean {
    return this.#unanswered.isSilent || this.#redis.status !== 'ready';
  }

  /** The queues that are in use, as BullMQ has them. */
  get opened(): ReadonlyMap<string, BullQueue> {
    const all = [...this.#queues.values()].flatMap((queues) => Object.values(queues));
    return new Map(all.map((queue) => [queue.name, queue]));
  }

  /** How many rows were unanswered at the last count, at most a second ago; undefined if unknown. */
  unansweredIn(queue: string): number | undefined {
    return this.#unanswered.in(queue);
  }

  /** How many of them were not bulk. */
  interactiveIn(queue: string): number | undefined {
    return this.#unanswered.interactiveIn(queue);
  }

  /**
   * Adds one job.
   * @param options.id names the job, if somebody needs to know where it is
   * @throws ScorelineError `queue_unavailable`
   */
  async add(
    name: string,
    job: BatchJob,
    { priority = 'interactive', id = randomUUID() }: { priority?: Priority; id?: string } = {},
  ): Promise<void> {
    try {
      await this.#send(name, job, priority, id);
    } catch (cause) {
      const ids = job.items.map(({ id }) => id);
      this.uncount(name, ids);
      this.#warn(
        { queue: name, items: ids.length, ...explain(cause) },
        'a job cannot be added; its requests are refused',
      );
      throw queueUnavailable(cause);
    }
  }

  /** Takes items out of the count of unanswered ones. They leave it at their deadlines otherwise. */
  uncount(queue: string, itemIds: readonly string[]): void {
    this.#unanswered.remove(queue, itemIds);
  }

  /**
   * Reads the ids of the jobs that wait, the next one first.
   * @param name that of the queue of jobs (shared/wire/priority.ts)
   * @throws ScorelineError `queue_unavailable`
   */
  async readWaiting(name: string, count: number): Promise<string[]> {
    const list = `${this.#keys.prefix}:${name}:wait`;
    const ids = await orUnavailable(this.#redis.lrange(list, -count, -1));
    return ids.toReversed();
  }

  /** The keys that tell where a job is: it is there until it is done, and among the active ones in between. */
  keysOf(name: string, jobId: string, priority: Priority): { job: string; active: string } {
    const queue = `${this.#keys.prefix}:${jobQueueOf(name, priority)}`;
    return { job: `${queue}:${jobId}`, active: `${queue}:active` };
  }

  /**
   * Marks an item as cancelled until its deadline, so workers drop it.
   * @param deadlineAt milliseconds since the epoch
   */
  async cancel(queue: string, itemId: string, deadlineAt: number): Promise<void> {
    const key = this.#keys.cancelled(queue);
    // No transaction: a full Redis would refuse all of it.
    await repliesOf(
      this.#redis
        .pipeline()
        .zrem(this.#keys.unanswered(queue), ...membersOf([itemId]))
        .zrem(this.#keys.unansweredBulk(queue), ...membersOf([itemId]))
        .zremrangebyscore(key, '-inf', nowMs())
        .zadd(key, deadlineAt, itemId)
        .pexpire(key, timeToLiveMs),
    );
  }

  /**
   * Reads the counts that the workers of each queue keep.
   * @throws ScorelineError `queue_unavailable`
   */
  readCounts(queues: readonly string[]): Promise<Counts[]> {
    const read = async (name: string) => {
      const counts = await this.#redis.hmget(this.#keys.counts(name), ...countNames);
      return Object.fromEntries(
        countNames.map((count, index) => [count, Number(counts[index] ?? 0)]),
      ) as Counts;
    };
    return orUnavailable(Promise.all(queues.map(read)));
  }

  /**
   * Counts the live workers of each queue.
   * @throws ScorelineError `queue_unavailable`
   */
  countWorkers(queues: readonly string[]): Promise<number[]> {
    const count = (name: string) => this.#redis.zcount(this.#keys.workers(name), nowMs(), '+inf');
    return orUnavailable(Promise.all(queues.map(count)));
  }

  async close(): Promise<void> {
    this.#unanswered.close();
    this.#unsubscribe();
    clearInterval(this.#keeping);
    await Promise.all([...this.opened.values()].map((queue) => queue.close()));
  }

  #open(name: string): void {
    const [interactive, bulk] = priorities.map((each) => this.#openJobs(jobQueueOf(name, each)));
    this.#queues.set(name, { interactive, bulk } as JobQueues);
  }

  #openJobs(name: string): BullQueue {
    const queue = new BullQueue(name, {
      connection: this.#redis,
      prefix: this.#keys.prefix,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
      // We have checked it. BullMQ would ask once, and refuse every job ever after if it got no answer.
      skipVersionCheck: true,
      // Nobody reads BullMQ's own events. Replies have their own stream.
      streams: { events: { maxLen: 100 } },
    });
    queue.on('error', (error) => {
      // While Redis is away, its connection says so.
      if (this.#redis.status === 'ready') {
        this.#warn({ queue: name, ...explain(error) }, 'queue error');
      }
    });
    return queue;
  }

  /** Versions come and go, and each has queues of its own. */
  #keepNotes({ name }: BullQueue): void {
    for (const note of notes) {
      this.#redis.pexpire(`${this.#keys.prefix}:${name}:${note}`, timeToLiveMs).catch(() => {});
    }
  }

  async #send(name: string, batch: BatchJob, priority: Priority, jobId: string): Promise<void> {
    const queue = this.#queues.get(name)?.[priority];
    if (!queue) throw new Error(`The queue ${name} is not served any more.`);
    const { job, payload } = encodeJob(batch);
    let bytes = 0;
    for (const { byteLength } of payload.values()) bytes += byteLength;
    const isLarge = bytes > largeBytes;
    if (isLarge) await this.#store(this.#carrier, jobId, { payload, batch });
    // Redis does these in this order.
    const [counted, stored, added] = await Promise.allSettled([
      this.#unanswered.add(name, batch, priority),
      bytes > 0 && !isLarge && this.#store(this.#redis, jobId, { payload, batch }),
      queue.add('score', job, { jobId }),
    ]);
    // The error of the job says most: a transaction only says that it was aborted.
    for (const each of [added, stored, counted]) {
      if (each.status === 'rejected') throw each.reason;
    }
  }

  #store(
    redis: Redis,
    jobId: string,
    { payload, batch }: { payload: ReadonlyMap<string, Buffer>; batch: BatchJob },
  ) {
    const key = this.#keys.payload(jobId);
    const lastDeadlineAt = Math.max(...batch.items.map(({ deadlineAt }) => deadlineAt));
    const timeToLiveMs = Math.max(1, Math.ceil(lastDeadlineAt - nowMs()) + payloadSpareMs);
    return redis.multi().hset(key, new Map(payload)).pexpire(key, timeToLiveMs).exec();
  }
}

/**
 * Waits for an answer of Redis.
 * @throws ScorelineError `queue_unavailable`
 */
export async function orUnavailable<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw queueUnavailable(cause);
  }
}

/** The error for a request that was not queued, or whose command got no answer. */
export function queueUnavailable(cause: unknown): ScorelineError {
  return new ScorelineError(
    'queue_unavailable',
    isRefused(coerceError(cause))
      ? 'The queue cannot be reached at the moment. Nothing of this request was kept. Ask again shortly.'
      : 'The queue did not answer in time, so it may or may not have kept this request. Ask again shortly: scoring twice does no harm.',
    { cause, retryAfterSeconds: 1 },
  );
}

/** Whether a command certainly did not run, because Redis refused it or it was never sent. */
function isRefused({ name, message }: Error): boolean {
  return name === 'ReplyError' || /enableOfflineQueue/.test(message);
}

/** The error for a request whose deadline passed while Redis was unreachable. */
export function queueAway(): ScorelineError {
  return new ScorelineError(
    'queue_unavailable',
    'The queue could not be reached before the deadline. Ask again shortly.',
    { retryAfterSeconds: 1 },
  );
}

/** The error of requests that waited when Redis lost its data. */
export function queueLost(): ScorelineError {
  return new ScorelineError(
    'queue_lost',
    'The queue has lost its contents, including this request. Ask again.',
    { retryAfterSeconds: 1 },
  );
}
