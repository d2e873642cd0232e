// The queue of one model in Redis: BullMQ's jobs of one priority, and our own keys beside them (shared/redis/keys.ts),
// which are for both.

import type { Logger } from '../../shared/process/log.js';
import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import { jobQueueOf, type Priority } from '../../shared/wire/priority.js';
import { takeJobs } from './bullmq.js';
import type { Queue } from './queue.js';

const strikesTimeToLiveMs = 3_600_000;
/** Nobody waits for bulk, so its stalled jobs are looked for less often. */
const bulkStalledEveryMs = 1000;

export function makeQueue(options: {
  name: string;
  priority: Priority;
  redis: Redis;
  keys: Keys;
  log: Logger;
}): Queue {
  const { name, priority, redis, keys, log } = options;
  const jobQueue = jobQueueOf(name, priority);
  const readMembers = async (set: string, ids: readonly string[]) =>
    (await redis.zmscore(set, ...ids)).map((deadline) => deadline !== null);

  return {
    take: (given) =>
      takeJobs({
        ...{ ...given, name: jobQueue, redis, prefix: keys.prefix, log },
        ...(priority === 'bulk' && { stalledEveryMs: bulkStalledEveryMs }),
      }),
    placeOf(id) {
      const start = `${keys.prefix}:${jobQueue}`;
      return { id, job: `${start}:${id}`, active: `${start}:active` };
    },
    async readPayload(jobId, fields) {
      const values = await redis.hmgetBuffer(keys.payload(jobId), ...fields);
      const payload = new Map<string, Uint8Array>();
      for (const [at, value] of values.entries()) {
        if (value !== null) payload.set(fields[at] as string, value);
      }
      return payload;
    },
    dropPayload(jobId) {
      // Not awaited, because a payload that stays behind expires.
      redis.unlink(keys.payload(jobId)).catch(() => {});
    },
    readCancelled: (itemIds) => readMembers(keys.cancelled(name), itemIds),
    readUnanswered: (itemIds) => readMembers(keys.unanswered(name), itemIds),
    count(what, amount) {
      redis.hincrby(keys.counts(name), what, amount).catch(() => {});
    },
    async addStrike(jobId, itemId) {
      const strikes = await redis.hincrby(keys.strikes(jobId), itemId, 1);
      await redis.pexpire(keys.strikes(jobId), strikesTimeToLiveMs);
      return strikes;
    },
    async clearStrikes(jobId, itemId) {
      await redis.hdel(keys.strikes(jobId), itemId);
    },
  };
}
