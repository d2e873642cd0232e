// Sends replies to the stream of the API instance that asked, and removes their items from the
// queue's unanswered sets.

import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../../shared/clock.js';
import { type Logger, makeSeldom } from '../../shared/process/log.js';
import type { Keys } from '../../shared/redis/keys.js';
import { explain, largeBytes, type Redis } from '../../shared/redis/redis.js';
import { countBytes } from '../../shared/tensors/tensors.js';
import { membersOf } from '../../shared/wire/item-id.js';
import type { Priority } from '../../shared/wire/priority.js';
import { packReplies, type Reply } from '../../shared/wire/reply.js';

/** More entries than an API instance can leave unread. Beyond it, the oldest are trimmed. */
const streamEntriesMax = 100_000;
const retryAfterMs = 200;
/** Redis takes values of up to 512 MB, and closes the connection over larger ones. */
const entryBytesMax = 384 * 1024 * 1024;
/** The most bytes of the outputs of one reply. */
export const replyBytesMax = 256 * 1024 * 1024;

/**
 * Sends replies, by API instance. Resolves when Redis has them, or after `deadlineAt`, the latest
 * of their deadlines in milliseconds since the epoch. Until then it tries again while Redis is away
 * or takes no writes.
 */
export type SendReplies = (
  replies: ReadonlyMap<string, readonly Reply[]>,
  deadlineAt: number,
) => Promise<void>;

/** Makes the sender for the items of one queue and priority. It packs replies in the queue's wire version. */
export function makeSendReplies(options: {
  queue: { readonly name: string; readonly wire: number };
  priority: Priority;
  redis: Redis;
  /** A connection for large replies. By default, they take the other one. */
  carrier?: Redis;
  keys: Keys;
  log: Logger;
}): SendReplies {
  const { queue, priority, redis, carrier = redis, keys, log } = options;
  const sets = [
    keys.unanswered(queue.name),
    ...(priority === 'bulk' ? [keys.unansweredBulk(queue.name)] : []),
  ];
  const tryUntil = makeTryUntil({ redis, log });

  // NOMKSTREAM, because otherwise the stream of an instance that is gone would stay forever.
  const send = async (instance: string, replies: readonly Reply[]) => {
    const limit = ['NOMKSTREAM', 'MAXLEN', '~', streamEntriesMax] as const;
    const packed = packReplies(replies, queue.wire);
    const connection = packed.byteLength > largeBytes ? carrier : redis;
    await connection.xadd(keys.replies(instance), ...limit, '*', 'replies', packed);
    // Only now, because the items go on to count as unanswered if Redis refuses the reply. Not awaited: this is
    // sent with the end of the job, in front of it, so the job is there until its items are out of the count.
    const members = membersOf(replies.map(({ id }) => id));
    for (const set of sets) redis.zrem(set, ...members).catch(() => {});
  };

  return async (replies, deadlineAt) => {
    await Promise.all(
      [...replies].flatMap(([instance, batch]) =>
        inEntries(batch).map((part) =>
          tryUntil(deadlineAt, part.length, () => send(instance, part)),
        ),
      ),
    );
  };
}

/** Divides replies among entries that Redis takes. Hardly ever are they more than one. */
export function inEntries(replies: readonly Reply[]): (readonly Reply[])[] {
  const entries: Reply[][] = [];
  let room = 0;
  for (const reply of replies) {
    const bytes = bytesOf(reply);
    if (bytes > room || entries.length === 0) {
      entries.push([]);
      room = entryBytesMax;
    }
    entries.at(-1)?.push(reply);
    room -= bytes;
  }
  return entries;
}

/** How many bytes the outputs of a reply have. */
export function bytesOf(reply: Reply): number {
  return 'outputs' in reply ? countBytes(reply.outputs) : 0;
}

/** Calls `send` until it succeeds. Resolves to undefined if `deadlineAt` passes first. */
type TryUntil = <T>(
  deadlineAt: number,
  replies: number,
  send: () => Promise<T>,
) => Promise<T | undefined>;

/**
 * Makes a `TryUntil` that waits 0.2 s between attempts and gives up if the connection has ended.
 */
export function makeTryUntil({ redis, log }: { redis: Redis; log: Logger }): TryUntil {
  const warn = makeSeldom(log);
  const giveUp = makeSeldom(log, 'error');

  return async (deadlineAt, replies, send) => {
    for (;;) {
      try {
        return await send();
      } catch (thrown) {
        const explained = explain(thrown);
        if (nowMs() > deadlineAt || redis.status === 'end') {
          giveUp({ replies, ...explained }, 'replies could not be sent in time');
          return undefined;
        }
        warn({ replies, ...explained }, 'replies cannot be sent; trying again');
        await delay(retryAfterMs);
      }
    }
  };
}
