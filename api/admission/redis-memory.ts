// How full the memory of Redis is. Admission stops before it is full: then workers cannot take jobs any more, so nothing would
// ever leave it.

import type { Redis } from '../../shared/redis.js';
import { parseInfo } from '../../shared/redis-check.js';

const lookEveryMs = 1000;
/** Pictures for which no worker is there fill a gigabyte within seconds. */
const lookOftenEveryMs = 200;
const oftenFrom = 0.6;

export class RedisMemory {
  readonly #redis: Pick<Redis, 'info'>;
  #fullness: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(redis: Pick<Redis, 'info'>) {
    this.#redis = redis;
    void this.#look();
  }

  /** The share of `maxmemory` that is used, at most a second ago; undefined if it is not known or not limited. */
  get fullness(): number | undefined {
    return this.#fullness;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    // Some services do not allow INFO.
    const text = await this.#redis.info('memory').catch(() => '');
    this.#fullness = fullnessOf(parseInfo(text));
    if (this.#isClosed) return;
    const isOften = (this.#fullness ?? 0) > oftenFrom;
    this.#timer = setTimeout(() => void this.#look(), isOften ? lookOftenEveryMs : lookEveryMs);
  }
}

/** Redis does not count the buffers of its file and its replicas when it refuses commands. */
function fullnessOf(info: Readonly<Record<string, string>>): number | undefined {
  const { maxmemory, used_memory: used, mem_not_counted_for_evict: uncounted = '0' } = info;
  const share = (Number(used) - Number(uncounted)) / Number(maxmemory);
  return Number.isFinite(share) ? share : undefined;
}
