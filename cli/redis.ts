// A private Redis for local runs. This file finds or installs redis-server and starts it as a child
// process, which ends with ours.

import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { Redis } from 'ioredis';
import { ScorelineError } from '../shared/errors.js';

export interface LocalRedis {
  readonly url: string;
  /** Stops the server and waits until it has exited. Its data stays. */
  close(): Promise<void>;
}

/**
 * Returns the path of a redis-server. Looks on the PATH; if there is none, installs Debian's when
 * the process runs as root and has apt-get.
 * @throws ScorelineError `configuration_invalid`, which says how to install it
 */
export function ensureRedisServer(say: (line: string) => void): string {
  const found = findOnPath('redis-server');
  if (found) return found;
  if (process.getuid?.() === 0 && findOnPath('apt-get')) {
    say('Installing redis-server from Debian (once) …');
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    for (const parameters of [
      ['update', '-qq'],
      ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'],
    ]) {
      spawnSync('apt-get', parameters, {
        env: environment,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    }
    const installed = findOnPath('redis-server');
    if (installed) return installed;
  }
  const how =
    process.platform === 'darwin' ? 'brew install redis' : 'sudo apt-get install redis-server';
  throw new ScorelineError(
    'configuration_invalid',
    `Scoreline needs Redis. Install it (${how}), or set REDIS_URL to a running one.`,
  );
}

/**
 * Starts a Redis on a free port of 127.0.0.1. Keeps its data in a folder, with an append-only file.
 * @throws ScorelineError `configuration_invalid` if a Redis already runs on this folder, or if the
 *   server does not start
 */
export async function startRedis(options: {
  server: string;
  directory: string;
}): Promise<LocalRedis> {
  const { server, directory } = options;
  mkdirSync(directory, { recursive: true });
  const portFile = path.join(directory, 'port');
  await refuseSecondStart(portFile, directory);

  const port = await findFreePort();
  const url = `redis://127.0.0.1:${port}`;
  const guard = fork(
    new URL('./redis-guard.js', import.meta.url),
    [server, directory, String(port)],
    {
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  );
  const exited = new Promise<void>((resolve) => guard.once('exit', () => resolve()));
  try {
    await waitForPing(url, exited, directory);
  } catch (error) {
    guard.kill('SIGKILL');
    throw error;
  }
  writeFileSync(portFile, String(port));
  return { url, close: () => closeGuard(guard, exited, portFile) };
}

async function closeGuard(guard: ChildProcess, exited: Promise<void>, portFile: string) {
  if (guard.connected) guard.send('stop');
  await exited;
  rmSync(portFile, { force: true });
}

/** Two servers that append to the same file would corrupt it. */
async function refuseSecondStart(portFile: string, directory: string): Promise<void> {
  if (!existsSync(portFile)) return;
  const port = Number(readFileSync(portFile, 'utf8'));
  const redis = new Redis({
    port,
    host: '127.0.0.1',
    lazyConnect: true,
    retryStrategy: () => null,
  });
  redis.on('error', () => {});
  try {
    await redis.connect();
    const [, running] = (await redis.config('GET', 'dir')) as string[];
    if (running === path.resolve(directory)) {
      throw new ScorelineError(
        'configuration_invalid',
        `Scoreline is already running here: a Redis on port ${port} uses ${directory}. Stop it first, or set REDIS_URL.`,
      );
    }
  } catch (error) {
    if (error instanceof ScorelineError) throw error;
  } finally {
    redis.disconnect();
  }
}

async function waitForPing(url: string, exited: Promise<void>, directory: string): Promise<void> {
  let gone = false;
  void exited.then(() => {
    gone = true;
  });
  const redis = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => {});
  try {
    const ping = redis.ping();
    await Promise.race([ping, exited]);
    if (gone) {
      throw new ScorelineError(
        'configuration_invalid',
        `redis-server did not start. ${path.join(directory, 'redis.log')} says why.`,
      );
    }
  } finally {
    redis.disconnect();
  }
}

/** Returns a TCP port of 127.0.0.1 that is free now. Another process may still take it. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') {
    throw new Error('The server has no port. This is a bug.');
  }
  return address.port;
}

function findOnPath(program: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((directory) => path.join(directory, program))
    .find((file) => existsSync(file));
}
