// Replies go to the stream of the API instance that asked. With them, their items leave the set of
// those that wait for an answer.

import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../../shared/clock.js';
import type { Keys } from '../../shared/keys.js';
import { type Logger, makeSeldom } from '../../shared/log.js';
import { explain, type Redis } from '../../shared/redis.js';
import { packReplies, type Reply } from '../../shared/reply.js';

/** More entries than an API instance can leave unread; the oldest go first. */
const streamEntriesMax = 100_000;
const retryAfterMs = 200;

/**
 * Sends replies, by API instance. Resolves when Redis has them, or when the deadline of all of
 * them has passed: a connection that is lost is waited for, and so is a Redis that takes no writes.
 */
export type SendReplies = (
  replies: ReadonlyMap<string, readonly Reply[]>,
  deadlineAt: number,
) => Promise<void>;

/** For the replies to the items of one queue, in the version of its jobs. */
export function makeSendReplies(options: {
  queue: { readonly name: string; readonly wire: number };
  redis: Redis;
  keys: Keys;
  log: Logger;
}): SendReplies {
  const { queue, redis, keys, log } = options;
  const tryUntil = makeTryUntil({ redis, log });

  const send = (instance: string, replies: readonly Reply[]) => {
    // NOMKSTREAM: the stream of an instance that is gone must not come back and stay for ever.
    const sent = redis.xadd(
      keys.replies(instance),
      'NOMKSTREAM',
      'MAXLEN',
      '~',
      streamEntriesMax,
      '*',
      'replies',
      packReplies(replies, queue.wire),
    );
    // Afterwards, when nobody waits for it any more; it goes with the end of the job. An item that this
    // misses leaves the set at its deadline.
    sent
      .then(() => redis.zrem(keys.unanswered(queue.name), ...replies.map(({ id }) => id)))
      .catch(() => {});
    return sent;
  };

  return async (replies, deadlineAt) => {
    await Promise.all(
      [...replies].map(([instance, batch]) =>
        tryUntil(deadlineAt, batch.length, () => send(instance, batch)),
      ),
    );
  };
}

/** Tries until it works. Undefined when the deadline of the replies has passed before that. */
type TryUntil = <T>(
  deadlineAt: number,
  replies: number,
  send: () => Promise<T>,
) => Promise<T | undefined>;

export function makeTryUntil({ redis, log }: { redis: Redis; log: Logger }): TryUntil {
  const warn = makeSeldom((fields, message) => log.warn(fields, message));

  return async (deadlineAt, replies, send) => {
    for (;;) {
      try {
        return await send();
      } catch (thrown) {
        const explained = explain(thrown);
        if (nowMs() > deadlineAt || redis.status === 'end') {
          log.error({ replies, ...explained }, 'replies could not be sent in time');
          return undefined;
        }
        warn({ replies, ...explained }, 'replies cannot be sent; trying again');
        await delay(retryAfterMs);
      }
    }
  };
}
