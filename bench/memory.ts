// What processes and Redis hold in memory, looked at while a benchmark runs.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Redis } from '../shared/redis.js';

const run = promisify(execFile);

/** Resident memory of the processes together, in MB. */
export async function readProcessMegabytes(pids: readonly number[]): Promise<number> {
  const { stdout } = await run('ps', ['-o', 'rss=', '-p', pids.join(',')]);
  const kilobytes = stdout.trim().split(/\s+/).map(Number);
  return kilobytes.reduce((sum, each) => sum + each, 0) / 1024;
}

/** Redis' used_memory, in MB. */
export async function readRedisMegabytes(redis: Redis): Promise<number> {
  const information = await redis.info('memory');
  return Number(/^used_memory:(\d+)/m.exec(information)?.[1]) / 1024 ** 2;
}
