// How full the memory of Redis is. Admission stops before it is full, because workers cannot take jobs from a full Redis,
// and nothing would ever leave it.

import { parseInfo } from '../../shared/redis/check.js';
import type { Redis } from '../../shared/redis/redis.js';

const lookEveryMs = 1000;
/** Pictures for which no worker is there fill a gigabyte within seconds. */
const lookOftenEveryMs = 200;
const oftenFrom = 0.6;

export class RedisMemory {
  readonly #redis: Pick<Redis, 'info'>;
  /** What Redis has said of its memory, at most a second ago. Empty if it does not say. */
  #info: Readonly<Record<string, string>> = {};
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(redis: Pick<Redis, 'info'>) {
    this.#redis = redis;
    void this.#look();
  }

  /** 0 if it is not known. */
  get usedBytes(): number {
    return Number(this.#info.used_memory ?? 0);
  }

  /** 0 if it is not known or not limited. */
  get maxBytes(): number {
    return Number(this.#info.maxmemory ?? 0);
  }

  /** The share of `maxmemory` that is used; undefined if it is not known or not limited. */
  get fullness(): number | undefined {
    // Redis does not count the buffers of its file and its replicas when it refuses commands.
    const uncounted = Number(this.#info.mem_not_counted_for_evict ?? 0);
    return this.maxBytes > 0 ? (this.usedBytes - uncounted) / this.maxBytes : undefined;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    // Some services do not allow INFO.
    this.#info = await this.#redis.info('memory').then(parseInfo, () => ({}));
    if (this.#isClosed) return;
    const isOften = (this.fullness ?? 0) > oftenFrom;
    this.#timer = setTimeout(() => void this.#look(), isOften ? lookOftenEveryMs : lookEveryMs);
  }
}
