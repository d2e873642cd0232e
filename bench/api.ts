// Adds an API process with an environment of its own to the Redis and the workers of a benchmark, and
// makes API keys there.

import { readFileSync } from 'node:fs';
import process from 'node:process';
import { hashApiKey, makeApiKey, makeApiKeyId } from '../api/access/api-key.js';
import { ApiKeyStore } from '../api/access/api-key-store.js';
import type { CallerLimits } from '../api/access/caller.js';
import { spawnChild } from '../cli/processes/children.js';
import { makeKeys } from '../shared/redis/keys.js';
import type { Redis } from '../shared/redis/redis.js';

export interface BenchApi {
  readonly pid: number;
  readonly url: string;
  close(): Promise<void>;
}

/** Resolves when the API is ready. */
export async function startBenchApi(environment: NodeJS.ProcessEnv): Promise<BenchApi> {
  const child = spawnChild('api', {
    ...process.env,
    PORT: '0',
    LOG_LEVEL: 'error',
    ...environment,
  });
  const { port } = await child.ready;
  return { pid: child.pid, url: `http://127.0.0.1:${port}`, close: () => child.close() };
}

/** Makes a key that may score, and returns it as the header that carries it. */
export async function makeBenchKey(
  redis: Redis,
  name: string,
  limits: CallerLimits = {},
): Promise<{ readonly 'X-API-Key': string }> {
  const id = makeApiKeyId();
  const key = makeApiKey(id);
  const sha256 = hashApiKey(key).toString('hex');
  const store = new ApiKeyStore(redis, makeKeys('scoreline'));
  await store.write({ id, name, sha256, scopes: ['score'], ...limits });
  return { 'X-API-Key': key };
}

/**
 * Returns the processor time that a process has taken, in milliseconds: in steps of ten, and only on
 * Linux. NaN elsewhere.
 */
export function readProcessorMs(pid: number): number {
  try {
    // After the name, which may hold blanks, user and system time are the 12th and 13th fields.
    const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ');
    const fields = rest.split(' ');
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return Number.NaN;
  }
}
