// Presence: a live worker says so in Redis, for each of its queues, as long as it lives. At the same
// time it sweeps the sets of unanswered items: what is past its deadline waits no more.
//
// Presence is best effort. It expires by itself, so nothing waits long for it to be taken back.

import { nowMs } from '../../shared/clock.js';
import type { Keys } from '../../shared/keys.js';
import type { Redis } from '../../shared/redis.js';
import { within } from './within.js';

const renewEveryMs = 2000;
/** A worker that has not said so for this long counts as gone. */
const expiresMs = 10_000;
/** How long a worker that leaves waits until Redis knows. */
const leaveMsMax = 500;

export interface Presence {
  /** Resolves when Redis knows that the worker is there. */
  readonly announced: Promise<void>;
  close(): Promise<void>;
}

export function announce(options: {
  redis: Redis;
  keys: Keys;
  queues: readonly string[];
  workerId: string;
}): Presence {
  const { redis, keys, queues, workerId } = options;
  let isRenewing = false;

  const renew = async () => {
    // While Redis is away, one renewal waits for it; more would only pile up.
    if (isRenewing) return;
    isRenewing = true;
    const commands = redis.pipeline();
    const now = nowMs();
    for (const queue of queues) {
      const key = keys.workers(queue);
      commands.zadd(key, Math.round(now + expiresMs), workerId);
      commands.zremrangebyscore(key, '-inf', Math.round(now));
      commands.pexpire(key, expiresMs * 2);
      commands.zremrangebyscore(keys.unanswered(queue), '-inf', now);
    }
    await commands.exec().finally(() => {
      isRenewing = false;
    });
  };

  const timer = setInterval(() => void renew().catch(() => {}), renewEveryMs);
  return {
    announced: renew(),
    close: async () => {
      clearInterval(timer);
      const commands = redis.pipeline();
      for (const queue of queues) commands.zrem(keys.workers(queue), workerId);
      await within(commands.exec(), leaveMsMax);
    },
  };
}
