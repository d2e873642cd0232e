// Reads how much memory processes and Redis use while a benchmark runs.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Redis } from '../shared/redis/redis.js';

const run = promisify(execFile);

/** Returns the resident memory of all the processes together, in MiB. */
export async function readProcessMegabytes(pids: readonly number[]): Promise<number> {
  const { stdout } = await run('ps', ['-o', 'rss=', '-p', pids.join(',')]);
  const kilobytes = stdout.trim().split(/\s+/).map(Number);
  return kilobytes.reduce((sum, each) => sum + each, 0) / 1024;
}

/** Returns `used_memory` of Redis, in MiB. */
export async function readRedisMegabytes(redis: Redis): Promise<number> {
  const information = await redis.info('memory');
  return Number(/^used_memory:(\d+)/m.exec(information)?.[1]) / 1024 ** 2;
}
