// The queue, seen from the API: adds jobs, remembers cancellations.

import { randomUUID } from 'node:crypto';
import { Queue as BullQueue } from 'bullmq';
import { ScorelineError } from '../../shared/errors.js';
import { type Counts, countNames, type Keys } from '../../shared/keys.js';
import { type Logger, makeSeldom } from '../../shared/log.js';
import { explain, type Redis } from '../../shared/redis.js';
import type { BatchJob } from '../../shared/wire.js';

const depthEveryMs = 1000;
/** How long a payload outlives the last deadline of its job. */
const payloadSpareMs = 10_000;

export interface Queue {
  /**
   * Adds one job; `payload` holds the binary inputs by item id.
   * @throws ScorelineError `queue_unavailable`
   */
  add(queue: string, job: BatchJob, payload: ReadonlyMap<string, Buffer>): Promise<void>;
  /** Marks an item as one that nobody waits for any more. */
  cancel(queue: string, itemId: string, deadlineAt: number): Promise<void>;
  /** Whether Redis cannot be reached, as far as is known. */
  readonly isAway: boolean;
  /** Jobs that wait or run, as of the last look; undefined while unknown. */
  jobsIn(queue: string): number | undefined;
  /** What the workers of each queue have counted. */
  readCounts(queues: readonly string[]): Promise<Counts[]>;
  /** How many workers of each queue are alive. */
  countWorkers(queues: readonly string[]): Promise<number[]>;
  close(): Promise<void>;
}

export function makeQueue(options: {
  redis: Redis;
  keys: Keys;
  queues: readonly string[];
  log: Logger;
}): Queue {
  const { redis, keys, log } = options;
  const warn = makeSeldom((fields, message) => log.warn(fields, message));
  const queues = new Map(options.queues.map((name) => [name, openQueue(name)]));

  function openQueue(name: string): BullQueue {
    const queue = new BullQueue(name, {
      connection: redis,
      prefix: keys.prefix,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
      // Nobody reads BullMQ's own events; replies have their stream.
      streams: { events: { maxLen: 100 } },
    });
    queue.on('error', (error) => log.warn({ queue: name, reason: error.message }, 'queue error'));
    return queue;
  }

  const depths = new Map<string, number>();
  let isSilent = false;
  const look = async () => {
    try {
      for (const [name, queue] of queues) {
        depths.set(name, await queue.getJobCountByTypes('wait', 'prioritized', 'active'));
      }
      isSilent = false;
    } catch {
      // While Redis is away the depth is unknown, and adding says so itself.
      depths.clear();
      isSilent = true;
    }
  };
  const depthTimer = setInterval(() => void look(), depthEveryMs);

  return {
    async add(name, job, payload) {
      const jobId = randomUUID();
      const lastDeadlineAt = Math.max(...job.items.map((item) => item.deadlineAt));
      try {
        await Promise.all([
          payload.size > 0 && storePayload(redis, keys.payload(jobId), payload, lastDeadlineAt),
          queues.get(name)?.add('score', job, { jobId }),
        ]);
      } catch (cause) {
        warn(
          { queue: name, items: job.items.length, ...explain(cause) },
          'a job cannot be added; its requests are refused',
        );
        throw queueUnavailable(cause);
      }
    },
    async cancel(name, itemId, deadlineAt) {
      const key = keys.cancelled(name);
      await redis
        .multi()
        .zadd(key, deadlineAt, itemId)
        .zremrangebyscore(key, '-inf', Date.now())
        .pexpire(key, 86_400_000)
        .exec();
    },
    get isAway() {
      return isSilent || redis.status !== 'ready';
    },
    jobsIn: (name) => depths.get(name),
    async readCounts(names) {
      const read = async (name: string) => {
        const counts = await redis.hmget(keys.counts(name), ...countNames);
        return Object.fromEntries(
          countNames.map((count, index) => [count, Number(counts[index] ?? 0)]),
        ) as Counts;
      };
      return Promise.all(names.map(read)).catch((cause) => {
        throw queueUnavailable(cause);
      });
    },
    async countWorkers(names) {
      try {
        return await Promise.all(
          names.map((name) => redis.zcount(keys.workers(name), Date.now(), '+inf')),
        );
      } catch (cause) {
        throw queueUnavailable(cause);
      }
    },
    async close() {
      clearInterval(depthTimer);
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
}

async function storePayload(
  redis: Redis,
  key: string,
  payload: ReadonlyMap<string, Buffer>,
  deadlineAt: number,
): Promise<void> {
  const timeToLiveMs = Math.max(1, Math.ceil(deadlineAt - Date.now()) + payloadSpareMs);
  await redis.multi().hset(key, new Map(payload)).pexpire(key, timeToLiveMs).exec();
}

export function queueUnavailable(cause: unknown): ScorelineError {
  return new ScorelineError(
    'queue_unavailable',
    'The queue cannot be reached at the moment. Nothing was kept of this request: ask again shortly.',
    { cause, retryAfterSeconds: 1 },
  );
}
