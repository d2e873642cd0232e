// Presence: a worker announces itself in Redis, for each of its queues, every 2 s while it lives.
// In the same round trip it removes items that are past their deadlines from the unanswered sets.
//
// Presence is best effort. It expires by itself, so a leaving worker waits only briefly to remove
// it.

import { nowMs } from '../../shared/clock.js';
import { within } from '../../shared/process/within.js';
import type { Keys } from '../../shared/redis/keys.js';
import { type Redis, repliesOf } from '../../shared/redis/redis.js';

const renewEveryMs = 2000;
/** A worker that has not renewed its presence for this long counts as gone. */
const expiresMs = 10_000;
/** How long a leaving worker waits for Redis to remove its presence. */
const leaveMsMax = 500;

export interface Presence {
  /** Resolves when Redis lists the worker. */
  readonly announced: Promise<void>;
  /** Takes the worker off the list. Rejects with an error of Redis. */
  withdraw(): Promise<void>;
  /** Announces it again, unless it is closed. */
  resume(): void;
  close(): Promise<void>;
}

/** Announces a worker for its queues until `close`. */
export function announce(options: {
  redis: Redis;
  keys: Keys;
  queues: readonly string[];
  workerId: string;
}): Presence {
  const { redis, keys, queues, workerId } = options;
  let isRenewing = false;

  const renew = async () => {
    // While Redis is away, one renewal waits for it. More would pile up.
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

  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  const begin = async () => {
    if (isClosed) return;
    clearInterval(timer);
    timer = setInterval(() => void renew().catch(() => {}), renewEveryMs);
    return renew();
  };
  const withdraw = async () => {
    clearInterval(timer);
    const commands = redis.pipeline();
    for (const queue of queues) commands.zrem(keys.workers(queue), workerId);
    await repliesOf(commands);
  };
  return {
    announced: begin(),
    withdraw,
    resume: () => void begin().catch(() => {}),
    close: () => {
      isClosed = true;
      return within(withdraw(), leaveMsMax);
    },
  };
}
