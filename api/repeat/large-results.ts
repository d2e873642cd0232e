// Results that are too large to be read along with other things. All of one request may have a hundred megabytes, for
// which a command would take longer than those of other requests, behind it on the connection, may wait. They are read one
// after the other, so Redis answers others in between.

import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';

/** Reads the results of items; null for an item without one. Rejects with an error of Redis. */
export type ReadLarge = (ids: readonly string[]) => Promise<(Buffer | null)[]>;

/** @param redis a connection for these alone */
export function makeReadLarge(
  redis: Pick<Redis, 'getBuffer'>,
  keys: Pick<Keys, 'result'>,
): ReadLarge {
  return async (ids) => {
    const results: (Buffer | null)[] = [];
    for (const id of ids) results.push(await redis.getBuffer(keys.result(id)));
    return results;
  };
}
