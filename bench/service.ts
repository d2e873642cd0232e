// Starts a Scoreline service for a benchmark: Redis, APIs and workers, each a process.

import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { spawnChild } from '../cli/children.js';
import { ensureRedisServer, startRedis } from '../cli/redis.js';

/** Resolves once every process is ready. */
export async function startBenchService(options: {
  /** Names, separated by commas. */
  models: string;
  modelsDirectory: string;
  /** One process per entry. One API and one worker unless given. */
  roles?: readonly ('api' | 'worker')[];
}) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-bench-'));
  const redis = await startRedis({ server: ensureRedisServer(console.error), directory });
  const environment = {
    ...process.env,
    REDIS_URL: redis.url,
    MODELS: options.models,
    MODELS_DIR: options.modelsDirectory,
    PORT: '0',
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn',
  };
  const roles = options.roles ?? (['api', 'worker'] as const);
  const children = roles.map((role) => spawnChild(role, environment));
  const reports = await Promise.all(children.map((child) => child.ready));
  const apis = children.flatMap(({ pid }, index) => {
    const port = reports[index]?.port;
    return port === undefined ? [] : [{ pid, url: `http://127.0.0.1:${port}` }];
  });
  return {
    redisUrl: redis.url,
    apis,
    url: apis[0]?.url ?? '',
    close: async () => {
      for (const child of children) await child.close();
      await redis.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
