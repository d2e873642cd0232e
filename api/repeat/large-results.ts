// Results that are too large to be read along with other things. All of one request may have a hundred megabytes, for which a
// command would take longer than those of other requests, behind it on the connection, may wait.

import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';

export class LargeResults {
  readonly #redis: Pick<Redis, 'getBuffer'>;
  readonly #keys: Pick<Keys, 'result'>;

  /** @param options.redis a connection for these alone */
  constructor({ redis, keys }: { redis: Pick<Redis, 'getBuffer'>; keys: Pick<Keys, 'result'> }) {
    this.#redis = redis;
    this.#keys = keys;
  }

  /**
   * Reads results one after the other, so Redis answers others in between. Null for an item without one.
   * @throws Error of ioredis
   */
  async read(ids: readonly string[]): Promise<(Buffer | null)[]> {
    const results: (Buffer | null)[] = [];
    for (const id of ids) results.push(await this.#redis.getBuffer(this.#keys.result(id)));
    return results;
  }
}
