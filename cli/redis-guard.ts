// Stands between `npm start` and its Redis. If `npm start` is killed, Redis alone would keep
// running. The guard notices, lets the API and the workers finish, and then stops Redis.

import { spawn } from 'node:child_process';
import process from 'node:process';
import { Redis } from 'ioredis';

const [server, directory, port] = process.argv.slice(2) as [string, string, string];
const clientsLeaveMsMax = 40_000;

const redis = spawn(
  server,
  [
    ['--port', port, '--bind', '127.0.0.1', '--dir', directory],
    ['--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction'],
    ['--loglevel', 'notice', '--logfile', 'redis.log', '--daemonize', 'no'],
  ].flat(),
  { stdio: 'ignore' },
);
redis.once('exit', (code) => process.exit(code ?? 1));
process.on('SIGINT', () => {});
process.on('SIGTERM', () => redis.kill('SIGTERM'));
process.on('message', () => redis.kill('SIGTERM'));
process.on('disconnect', () => void endAfterClients());

async function endAfterClients(): Promise<void> {
  const connection = new Redis(Number(port), { maxRetriesPerRequest: 1 });
  connection.on('error', () => {});
  const until = Date.now() + clientsLeaveMsMax;
  while (Date.now() < until) {
    const clients = await connection.client('LIST').catch(() => '');
    if (String(clients).trim().split('\n').length <= 1) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  redis.kill('SIGTERM');
}
