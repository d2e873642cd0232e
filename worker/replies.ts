// Replies go to the stream of the API instance that asked.

import type { Keys, Reply } from '../shared/contract.js';
import type { Redis } from '../shared/redis.js';

/** More entries than an API instance can leave unread; the oldest go first. */
const streamEntriesMax = 100_000;

/** Sends the replies of one batch. Resolves when Redis has them, however long that takes. */
export type SendReplies = (replies: ReadonlyMap<string, readonly Reply[]>) => Promise<void>;

export function makeSendReplies(redis: Redis, keys: Keys): SendReplies {
  return async (replies) => {
    await Promise.all(
      [...replies].map(([instance, batch]) =>
        // NOMKSTREAM: the stream of an instance that is gone must not come back and stay forever.
        redis.xadd(
          keys.replies(instance),
          'NOMKSTREAM',
          'MAXLEN',
          '~',
          streamEntriesMax,
          '*',
          'replies',
          JSON.stringify(batch),
        ),
      ),
    );
  };
}
