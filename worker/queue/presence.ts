// Presence: a live worker says so in Redis, for each of its queues, as long as it lives.

import type { Keys } from '../../shared/keys.js';
import type { Redis } from '../../shared/redis.js';

const renewEveryMs = 2000;
/** A worker that has not said so for this long counts as gone. */
const expiresMs = 10_000;

export interface Presence {
  close(): Promise<void>;
}

export async function announce(options: {
  redis: Redis;
  keys: Keys;
  queues: readonly string[];
  workerId: string;
}): Promise<Presence> {
  const { redis, keys, queues, workerId } = options;

  const renew = async () => {
    const commands = redis.multi();
    for (const queue of queues) {
      const key = keys.workers(queue);
      commands.zadd(key, Date.now() + expiresMs, workerId);
      commands.zremrangebyscore(key, '-inf', Date.now());
      commands.pexpire(key, expiresMs * 2);
    }
    await commands.exec();
  };

  await renew();
  const timer = setInterval(() => void renew().catch(() => {}), renewEveryMs);
  return {
    close: async () => {
      clearInterval(timer);
      const commands = redis.multi();
      for (const queue of queues) commands.zrem(keys.workers(queue), workerId);
      await commands.exec();
    },
  };
}
