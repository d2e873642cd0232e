// Replies go to the stream of the API instance that asked.

import { setTimeout as delay } from 'node:timers/promises';
import { type Keys, nowMs, type Reply } from '../shared/contract.js';
import { type Logger, makeSeldom } from '../shared/log.js';
import { explain, type Redis } from '../shared/redis.js';

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

export function makeSendReplies(options: { redis: Redis; keys: Keys; log: Logger }): SendReplies {
  const { redis, keys, log } = options;

  const warn = makeSeldom((fields, message) => log.warn(fields, message));

  const send = (instance: string, replies: readonly Reply[]) =>
    // NOMKSTREAM: the stream of an instance that is gone must not come back and stay for ever.
    redis.xadd(
      keys.replies(instance),
      'NOMKSTREAM',
      'MAXLEN',
      '~',
      streamEntriesMax,
      '*',
      'replies',
      JSON.stringify(replies),
    );

  const sendUntil = async (instance: string, replies: readonly Reply[], deadlineAt: number) => {
    for (;;) {
      try {
        await send(instance, replies);
        return;
      } catch (thrown) {
        const explained = explain(thrown);
        if (nowMs() > deadlineAt || redis.status === 'end') {
          log.error({ replies: replies.length, ...explained }, 'replies could not be sent in time');
          return;
        }
        warn({ replies: replies.length, ...explained }, 'replies cannot be sent; trying again');
        await delay(retryAfterMs);
      }
    }
  };

  return async (replies, deadlineAt) => {
    await Promise.all(
      [...replies].map(([instance, batch]) => sendUntil(instance, batch, deadlineAt)),
    );
  };
}
