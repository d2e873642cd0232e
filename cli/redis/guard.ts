// Stands between `npm start` and its Redis. If `npm start` is killed, Redis alone would keep
// running. The guard notices, lets the API and the workers finish, and then stops Redis. If `npm start` was killed during
// the start of Redis, the guard also removes its claim on the data, so the next start need not wait for it.

import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { whenParentIsGone } from '../../shared/process/parent.js';

const [server, directory, port, socket, claimed] = process.argv.slice(2) as [
  ...[string, string, string],
  ...[string?, string?],
];
/** What `npm start` tells: its claim has ended, or how Redis is to end. */
export type ToGuard = 'listening' | 'stop' | 'kill';

const clientsLeaveMsMax = 40_000;
const stopsWithinMs = 300;
/** The folder of the claim, while it is held. */
let claim = claimed;

const redis = spawn(
  server,
  [
    ['--port', port, '--bind', '127.0.0.1', '--dir', directory],
    ['--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction'],
    // Pixels do not get smaller, and at full load the file is written anew every few seconds.
    ['--rdbcompression', 'no'],
    socket ? ['--unixsocket', socket, '--unixsocketperm', '700'] : [],
    ['--loglevel', 'notice', '--logfile', 'redis.log', '--daemonize', 'no'],
  ].flat(),
  { stdio: 'ignore' },
);
redis.once('error', ({ message }) => leave(message));
redis.once('exit', (code, signal) => leave(signal ? `by ${signal}` : `with exit code ${code}`));
process.on('SIGINT', () => {});
process.on('SIGTERM', stop);
process.on('message', (message: ToGuard) => {
  if (message === 'listening') claim = undefined;
  else if (message === 'kill') redis.kill('SIGKILL');
  else stop();
});
whenParentIsGone(process, () => void endAfterClients());

function stop(): void {
  redis.kill('SIGTERM');
  // A Redis that hangs can be killed: the system has all that it wrote to its append-only file.
  setTimeout(() => redis.kill('SIGKILL'), stopsWithinMs);
}

/** Exits, after it has told the parent how Redis ended. */
function leave(how: string): void {
  // The next start makes it again.
  if (socket) rmSync(path.dirname(socket), { recursive: true, force: true });
  if (process.connected) {
    process.send?.(how, undefined, undefined, () => process.exit(1));
  } else {
    if (claim) rmSync(claim, { recursive: true, force: true });
    process.exit(1);
  }
}

async function endAfterClients(): Promise<void> {
  const until = Date.now() + clientsLeaveMsMax;
  const connection = new Redis(Number(port), { maxRetriesPerRequest: 1, commandTimeout: 5000 });
  connection.on('error', () => {});
  while (Date.now() < until) {
    const clients = await connection.client('LIST').catch(() => '');
    if (String(clients).trim().split('\n').length <= 1) break;
    await delay(100);
  }
  stop();
}
