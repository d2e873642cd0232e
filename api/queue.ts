// The queue, seen from the API: adds jobs, remembers cancellations.

import { randomUUID } from 'node:crypto';
import { Queue as BullQueue } from 'bullmq';
import type { BatchJob, Keys } from '../shared/contract.js';
import { ScorelineError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Redis } from '../shared/redis.js';

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
  /** Jobs that wait or run, as of the last look; undefined while unknown. */
  jobsIn(queue: string): number | undefined;
  /** How many items of a queue were dropped since nobody waited for them any more. */
  countDropped(queues: readonly string[]): Promise<number[]>;
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
  const look = async () => {
    for (const [name, queue] of queues) {
      depths.set(name, await queue.getJobCountByTypes('wait', 'prioritized', 'active'));
    }
  };
  // While Redis is away the depth is unknown, and adding says so itself.
  const depthTimer = setInterval(() => void look().catch(() => depths.clear()), depthEveryMs);

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
    jobsIn: (name) => depths.get(name),
    async countDropped(names) {
      const counts = await Promise.all(
        names.map((name) => redis.hget(keys.counts(name), 'dropped')),
      );
      return counts.map(Number);
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
