// How full Redis is, read with each scrape.

import type { Instruments, Labels } from '../../shared/metrics/instruments.js';
import type { Redis } from '../../shared/redis.js';
import { parseInfo } from '../../shared/redis-check.js';

type Memory = Readonly<Record<string, string>>;

export function observeRedisMemory(instruments: Instruments, redis: Pick<Redis, 'info'>): void {
  let asking: Promise<Memory> | undefined;
  /** Both metrics of a scrape ask at the same moment, so one question answers both. */
  const ask = () => {
    asking ??= redis
      .info('memory')
      .then(parseInfo, () => ({}))
      .finally(() => {
        asking = undefined;
      });
    return asking;
  };
  const seriesOf = (bytes: string | undefined): [Labels<'redisMemoryBytes'>, number][] =>
    Number(bytes) > 0 ? [[{}, Number(bytes)]] : [];
  instruments.read('redisMemoryBytes', async () => seriesOf((await ask()).used_memory));
  // It says 0 if there is no limit.
  instruments.read('redisMemoryMaxBytes', async () => seriesOf((await ask()).maxmemory));
}
