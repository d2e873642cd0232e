// How full Redis is, at the last look of admission.

import type { Instruments } from '../../shared/metrics/instruments.js';
import type { RedisMemory } from '../admission/redis-memory.js';

export function observeRedisMemory(
  instruments: Instruments,
  memory: Pick<RedisMemory, 'usedBytes' | 'maxBytes'>,
): void {
  instruments.read('redisMemoryBytes', async () =>
    memory.usedBytes > 0 ? [[{}, memory.usedBytes]] : [],
  );
  instruments.read('redisMemoryMaxBytes', async () =>
    memory.maxBytes > 0 ? [[{}, memory.maxBytes]] : [],
  );
}
