// A redis-server as a child process, with its data in a temporary folder.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensureRedisServer } from '../../cli/redis/redis.js';
import type { MakeTestServer } from './server.js';

export const makeProcess: MakeTestServer = ({ port, parameters }) => {
  const program = ensureRedisServer(() => {});
  const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-redis-'));
  let running: ChildProcess | undefined;
  return {
    async start() {
      mkdirSync(directory, { recursive: true });
      const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory];
      const all = [...place, '--loglevel', 'warning', ...parameters];
      running = spawn(program, all, { stdio: 'ignore' });
    },
    async stop(signal) {
      const server = running;
      if (!server || server.exitCode !== null || server.signalCode !== null) return;
      const exited = once(server, 'exit');
      server.kill(signal);
      await exited;
    },
    async signal(signal) {
      running?.kill(signal);
    },
    async empty() {
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
