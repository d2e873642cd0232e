// Starts a Scoreline service for a benchmark: Redis, APIs and workers, each a process.

import { rmSync } from 'node:fs';
import process from 'node:process';
import { type Build, spawnChild, thisBuild } from '../cli/processes/children.js';
import { startRedis } from '../cli/redis/private-redis.js';
import { ensureRedisServer } from '../cli/redis/redis.js';
import { makeTemporary } from '../cli/temporary.js';
import { makeLogger } from '../shared/process/log.js';
import { connectProducer, type Redis, waitUntilReady } from '../shared/redis/redis.js';

export type BenchService = Awaited<ReturnType<typeof startBenchService>>;

/** Resolves once every process is ready. When one fails to start, the others are ended. */
export async function startBenchService(options: {
  /** Names, separated by commas. */
  models: string;
  modelsDirectory: string;
  /** One process per entry. One API and one worker unless given. */
  roles?: readonly ('api' | 'worker')[];
  /** Whose processes they are: this checkout's where no other is named. */
  build?: Build;
  /** Whether the processes reach Redis by its port and not by its socket, which older builds do not know. */
  byPort?: boolean;
  /** More settings of the processes. */
  environment?: NodeJS.ProcessEnv;
}) {
  const directory = makeTemporary('bench');
  const say = console.error;
  const redis = await startRedis({ server: ensureRedisServer(say), directory, say });
  const environment = {
    ...process.env,
    REDIS_URL: options.byPort ? redis.tcpUrl : redis.url,
    MODELS: options.models,
    MODELS_DIR: options.modelsDirectory,
    PORT: '0',
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn',
    ...options.environment,
  };
  const roles = options.roles ?? (['api', 'worker'] as const);
  const build = options.build ?? thisBuild;
  const children = roles.map((role) => spawnChild(role, environment, 'inherit', build));
  const close = async () => {
    for (const child of children) await child.close();
    await redis.close();
    rmSync(directory, { recursive: true, force: true });
  };
  let reports: Readonly<Record<string, unknown>>[];
  try {
    reports = await Promise.all(children.map((child) => child.ready));
  } catch (error) {
    await close();
    throw error;
  }
  const apis = children.flatMap(({ pid }, index) => {
    const port = reports[index]?.port;
    return port === undefined ? [] : [{ pid, url: `http://127.0.0.1:${port}` }];
  });
  return {
    redisUrl: redis.url,
    apis,
    workers: children.flatMap(({ pid }, index) => (roles[index] === 'worker' ? [{ pid }] : [])),
    url: apis[0]?.url ?? '',
    close,
  };
}

export async function connectToRedis(url: string): Promise<Redis> {
  const log = makeLogger({ role: 'bench', level: 'error' });
  const redis = connectProducer({ url, name: 'bench', log });
  await waitUntilReady(redis);
  return redis;
}
