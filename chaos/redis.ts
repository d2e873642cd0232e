// A redis-server that can restart on the same port with the same data.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { Redis } from 'ioredis';
import { ensureRedisServer, findFreePort } from '../cli/redis/redis.js';

export interface RestartableRedis {
  readonly port: number;
  /** The harness's own connection. It bypasses the proxy. */
  readonly client: Redis;
  /** Ends the server with the signal. Resolves once it answers again. Rejects if it cannot be started again. */
  restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  close(): Promise<void>;
}

/** Starts the server on a free port of 127.0.0.1, with its append-only file in the folder. */
export async function openRedis(directory: string): Promise<RestartableRedis> {
  const program = ensureRedisServer((line) => process.stderr.write(`${line}\n`));
  const port = await findFreePort();
  const client = new Redis({
    port,
    host: '127.0.0.1',
    maxRetriesPerRequest: null,
    retryStrategy: () => 20,
  });
  client.on('error', () => {});
  const logFile = path.join(directory, 'redis.log');
  let running: ChildProcess;

  const start = async () => {
    running = spawn(
      program,
      [
        ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory],
        ['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', ''],
        ['--maxmemory-policy', 'noeviction', '--logfile', logFile],
      ].flat(),
      { stdio: 'ignore' },
    );
    const ended = once(running, 'exit').then(([code, by]) => {
      throw new Error(
        `redis-server ended as soon as it was started (${by ?? code}): see ${logFile}.`,
      );
    });
    // When it is ended later, nobody waits for this any more.
    ended.catch(() => {});
    await Promise.race([client.ping(), ended]);
  };
  const stop = async (signal: NodeJS.Signals) => {
    if (running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, 'exit');
    running.kill(signal);
    await exited;
  };

  await start();
  process.once('exit', () => running.kill('SIGKILL'));
  return {
    port,
    client,
    async restart(signal) {
      await stop(signal);
      await start();
    },
    async close() {
      client.disconnect();
      await stop('SIGKILL');
    },
  };
}
