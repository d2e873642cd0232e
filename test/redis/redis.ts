// The Redis of a test: a container where there is a Docker engine, and a local redis-server where
// there is none. TEST_REDIS=docker or TEST_REDIS=local says which; test/redis/choice.ts decides
// otherwise, once for all tests.

import { Redis } from 'ioredis';
import { afterAll, inject } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { makeProcess } from './process.js';
import type { MakeTestServer } from './server.js';

export interface TestRedis {
  readonly url: string;
  readonly client: Redis;
  /** Ends the server, with SIGTERM unless told otherwise. Its data stays. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the server again with its data. */
  start(): Promise<void>;
  /** Starts the server again without its data. */
  startEmpty(): Promise<void>;
  /**
   * Lets the server do nothing, with its connections open. Call the returned function to let it go on.
   * Its process id would be of no use: in a container, it is that of another process here.
   */
  suspend(): Promise<() => Promise<void>>;
  /** Kills the server and deletes its data. */
  close(): Promise<void>;
}

interface RedisOptions {
  readonly parameters?: readonly string[];
  /** For tests that need a certain one. */
  readonly make?: MakeTestServer | undefined;
}

/** Starts a private Redis for all tests of a file, and closes it after them. */
export async function openRedisForAll(options?: RedisOptions): Promise<TestRedis> {
  const redis = await openRedis(options);
  afterAll(() => redis.close());
  return redis;
}

/** Starts a private Redis with an append-only file. */
export async function openRedis(options: RedisOptions = {}): Promise<TestRedis> {
  const port = await findFreePort();
  const server = (options.make ?? (await findMake()))({
    port,
    parameters: ['--appendonly', 'yes', '--save', '', ...(options.parameters ?? [])],
  });
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => 50 });
  client.on('error', () => {});

  const start = async () => {
    await server.start();
    await untilAnswering(url);
  };
  await start();
  await client.connect();
  return {
    url,
    client,
    start,
    async startEmpty() {
      await server.empty();
      await start();
    },
    stop: (signal = 'SIGTERM') => server.stop(signal),
    async suspend() {
      await server.signal('SIGSTOP');
      return () => server.signal('SIGCONT');
    },
    async close() {
      client.disconnect();
      await server.stop('SIGKILL');
      await server.empty();
    },
  };
}

/** Loads testcontainers, which takes most of a second, only where it is used. */
async function findMake(): Promise<MakeTestServer> {
  if (inject('redis') === 'local') return makeProcess;
  return (await import('./container.js')).makeContainer();
}

async function untilAnswering(url: string): Promise<void> {
  // For a minute at least
  const probe = new Redis(url, { maxRetriesPerRequest: 3000, retryStrategy: () => 20 });
  probe.on('error', () => {});
  await probe.ping().finally(() => probe.disconnect());
}
