// The API's side of the queues: adds jobs, records cancellations, counts unanswered items.
//
// The unanswered items of a queue are a sorted set by deadline. The API adds an item in the round trip of
// its job. The worker removes it in the round trip of its reply. Each reader removes items past their
// deadline. So the size of the set stays right, whichever process dies.

import { randomUUID } from 'node:crypto';
// biome-ignore lint/style/noRestrictedImports: this file is the door to BullMQ on this side.
import { Queue as BullQueue } from 'bullmq';
import { nowMs } from '../../shared/clock.js';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import { type BatchJob, encodeJob } from '../../shared/job.js';
import { type Counts, countNames, type Keys } from '../../shared/keys.js';
import { type Logger, makeSeldom } from '../../shared/log.js';
import { explain, type Redis } from '../../shared/redis.js';
import type { Registry } from '../../shared/registry.js';

/** How often the unanswered items are counted. */
const lookEveryMs = 1000;
/** How long a payload outlives the last deadline of its job. */
const payloadSpareMs = 10_000;
/** How long the keys of a queue outlive the last process that uses them. */
const queueTimeToLiveMs = 86_400_000;

export interface Queue {
  /**
   * Adds one job.
   * @throws ScorelineError `queue_unavailable`
   */
  add(queue: string, job: BatchJob): Promise<void>;
  /** Takes items out of the count of unanswered ones. They leave it at their deadlines otherwise. */
  uncount(queue: string, itemIds: readonly string[]): void;
  /**
   * Marks an item as cancelled until its deadline, so workers drop it.
   * @param deadlineAt milliseconds since the epoch
   */
  cancel(queue: string, itemId: string, deadlineAt: number): Promise<void>;
  /** Whether Redis was unreachable at the last attempt. */
  readonly isAway: boolean;
  /** How many items were unanswered at the last count, at most a second ago; undefined if unknown. */
  unansweredIn(queue: string): number | undefined;
  /**
   * Reads the counts that the workers of each queue keep.
   * @throws ScorelineError `queue_unavailable`
   */
  readCounts(queues: readonly string[]): Promise<Counts[]>;
  /**
   * Counts the live workers of each queue.
   * @throws ScorelineError `queue_unavailable`
   */
  countWorkers(queues: readonly string[]): Promise<number[]>;
  close(): Promise<void>;
}

export function makeQueue(options: {
  redis: Redis;
  keys: Keys;
  registry: Registry;
  log: Logger;
}): Queue {
  const { redis, keys, registry, log } = options;
  const warn = makeSeldom((fields, message) => log.warn(fields, message));
  const queues = new Map<string, BullQueue>();
  const unanswered = new Map<string, number>();
  let isSilent = false;

  const open = (name: string) => {
    const queue = new BullQueue(name, {
      connection: redis,
      prefix: keys.prefix,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
      // Nobody reads BullMQ's own events. Replies have their own stream.
      streams: { events: { maxLen: 100 } },
    });
    queue.on('error', (error) => warn({ queue: name, ...explain(error) }, 'queue error'));
    queues.set(name, queue);
  };
  const unsubscribe = registry.subscribe(({ added, removed }) => {
    for (const model of added) open(model.queue);
    for (const model of removed) {
      void queues.get(model.queue)?.close();
      queues.delete(model.queue);
      unanswered.delete(model.queue);
    }
  });

  const look = async () => {
    const names = [...queues.keys()];
    try {
      const counts = await Promise.all(names.map(countUnanswered));
      for (const [index, name] of names.entries()) {
        if (queues.has(name)) unanswered.set(name, counts[index] ?? 0);
      }
      isSilent = false;
    } catch {
      // While Redis is unreachable, the count is unknown. Adding a job reports the fault.
      unanswered.clear();
      isSilent = true;
    }
  };

  const countUnanswered = async (name: string): Promise<number> => {
    const key = keys.unanswered(name);
    const [, , count] = await Promise.all([
      redis.zremrangebyscore(key, '-inf', Math.floor(nowMs())),
      redis.pexpire(key, queueTimeToLiveMs),
      redis.zcard(key),
    ]);
    return count;
  };
  const timer = setInterval(() => void look(), lookEveryMs);

  const send = async (name: string, batch: BatchJob): Promise<void> => {
    const queue = queues.get(name);
    if (!queue) throw new Error(`The queue ${name} is not served any more.`);
    const jobId = randomUUID();
    const { job, payload } = encodeJob(batch);
    const [stored, added, counted] = await Promise.allSettled([
      payload.size > 0 && store(jobId, payload, batch),
      queue.add('score', job, { jobId }),
      count(name, batch),
    ]);
    // The error of the job says most: a transaction only says that it was aborted.
    for (const each of [added, stored, counted]) {
      if (each.status === 'rejected') throw each.reason;
    }
  };

  /** Counts the items of a job, right behind the job: the worker need not wait for this. */
  const count = async (name: string, { items }: BatchJob): Promise<void> => {
    // Whole milliseconds, because Redis takes 3.6 times as long for fractions (measured).
    const scores = items.flatMap(({ id, deadlineAt }) => [Math.ceil(deadlineAt), id]);
    await new Promise(setImmediate);
    await redis.zadd(keys.unanswered(name), ...scores);
  };

  const store = (jobId: string, payload: ReadonlyMap<string, Buffer>, { items }: BatchJob) => {
    const key = keys.payload(jobId);
    const lastDeadlineAt = Math.max(...items.map(({ deadlineAt }) => deadlineAt));
    const timeToLiveMs = Math.max(1, Math.ceil(lastDeadlineAt - nowMs()) + payloadSpareMs);
    return redis.multi().hset(key, new Map(payload)).pexpire(key, timeToLiveMs).exec();
  };

  const uncount = (name: string, itemIds: readonly string[]) => {
    redis.zrem(keys.unanswered(name), ...itemIds).catch(() => {});
  };

  return {
    uncount,
    async add(name, job) {
      try {
        await send(name, job);
      } catch (cause) {
        const ids = job.items.map(({ id }) => id);
        uncount(name, ids);
        warn(
          { queue: name, items: ids.length, ...explain(cause) },
          'a job cannot be added; its requests are refused',
        );
        throw queueUnavailable(cause);
      }
    },
    async cancel(name, itemId, deadlineAt) {
      const key = keys.cancelled(name);
      await redis
        .multi()
        .zrem(keys.unanswered(name), itemId)
        .zadd(key, deadlineAt, itemId)
        .zremrangebyscore(key, '-inf', nowMs())
        .pexpire(key, queueTimeToLiveMs)
        .exec();
    },
    get isAway() {
      return isSilent || redis.status !== 'ready';
    },
    unansweredIn: (name) => unanswered.get(name),
    readCounts(names) {
      const read = async (name: string) => {
        const counts = await redis.hmget(keys.counts(name), ...countNames);
        return Object.fromEntries(
          countNames.map((count, index) => [count, Number(counts[index] ?? 0)]),
        ) as Counts;
      };
      return orUnavailable(Promise.all(names.map(read)));
    },
    countWorkers(names) {
      const count = (name: string) => redis.zcount(keys.workers(name), nowMs(), '+inf');
      return orUnavailable(Promise.all(names.map(count)));
    },
    async close() {
      clearInterval(timer);
      unsubscribe();
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
}

async function orUnavailable<T>(answer: Promise<T>): Promise<T> {
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
