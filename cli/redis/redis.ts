// Finds or installs redis-server for local runs (private-redis.ts), and finds free ports.

import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { wrong } from '../faults.js';

/**
 * Returns the path of a redis-server, or of Valkey's. Looks on the PATH; if there is none, installs Debian's redis-server
 * when the process runs as root and has apt-get.
 * @throws ScorelineError `configuration_invalid`, which says how to install it
 */
export function ensureRedisServer(say: (line: string) => void): string {
  const found = findOnPath('redis-server') ?? findOnPath('valkey-server');
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
  throw wrong(
    `Scoreline needs Redis or Valkey. Install one (${how}), or set REDIS_URL to a running one.`,
  );
}

/**
 * Ports below those that systems give to whoever asks for any port, which begin at 32768. A port from there could be
 * given away before its server listens, or while a Redis that died is being started again. Browsers refuse 10080.
 */
const ports = { first: 11_000, end: 32_768 };

/** Returns a TCP port of 127.0.0.1 that is free now. Another process may still take it. */
export async function findFreePort({ first, end } = ports): Promise<number> {
  for (;;) {
    const port = randomInt(first, end);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
  await new Promise((resolve) => server.close(resolve));
  return true;
}

function findOnPath(program: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((directory) => path.join(directory, program))
    .find((file) => existsSync(file));
}
