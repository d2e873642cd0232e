// A role of the product as a process that is kept running: when it ends, for whatever reason, it is
// started again, as Kubernetes would.

import type { ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import process from 'node:process';
import { forkRole } from '../cli/children.js';
import type { ChildMessage } from '../shared/lifecycle.js';
import { waitUntil } from './wait.js';

const restartDelayMs = 200;
const endsWithinMs = 10_000;

export interface Role {
  readonly pid: number;
  readonly isReady: boolean;
  /** Sends a signal to the process that runs now. False when it has ended already. */
  signal(signal: NodeJS.Signals): boolean;
  /** Holds the process that runs now until the call that is returned. */
  stop(): () => void;
  /** Ends the process in order while the next one starts. Resolves when both are done. */
  replace(): Promise<void>;
  /** Resolves when a process later than this one is ready, to whether that was in time. */
  isReadyAgain(pid: number): Promise<boolean>;
  /** Ends the process in order; resolves to whether it did so in time. */
  close(): Promise<boolean>;
}

const startsWithinMs = 60_000;

export function keepRunning(options: {
  role: 'api' | 'worker';
  environment: NodeJS.ProcessEnv;
  logFile: string;
  /** A process has ended although nobody told it to. */
  onUnexpectedEnd: (line: string) => void;
}): Role {
  const { role, environment, logFile } = options;
  const log = openSync(logFile, 'a');
  const alive = new Set<ChildProcess>();
  const told = new Set<ChildProcess>();
  let current: ChildProcess;
  let isReady = false;
  let isClosing = false;

  const start = () => {
    const child = forkRole(role, { env: environment, stdio: ['ignore', log, log, 'ipc'] });
    alive.add(child);
    current = child;
    isReady = false;
    child.on('message', (message: ChildMessage) => {
      if (child === current && message.event === 'ready') isReady = true;
    });
    child.once('exit', (code, signal) => {
      alive.delete(child);
      if (!told.delete(child) && !isClosing) {
        options.onUnexpectedEnd(`the ${role} ${child.pid} has ended by itself (${signal ?? code})`);
      }
      if (child !== current || isClosing) return;
      isReady = false;
      setTimeout(() => {
        if (!isClosing) start();
      }, restartDelayMs);
    });
  };

  const tell = (child: ChildProcess, signal: NodeJS.Signals): boolean => {
    told.add(child);
    return child.kill(signal);
  };
  const isReadyAgain = (pid: number) =>
    waitUntil(() => isClosing || (isReady && current.pid !== pid), startsWithinMs);

  start();
  process.once('exit', () => {
    for (const child of alive) child.kill('SIGKILL');
  });
  return {
    get pid() {
      return current.pid as number;
    },
    get isReady() {
      return isReady;
    },
    signal: (signal) => tell(current, signal),
    stop() {
      const child = current;
      child.kill('SIGSTOP');
      return () => child.kill('SIGCONT');
    },
    async replace() {
      const old = current;
      tell(old, 'SIGTERM');
      start();
      await isReadyAgain(old.pid as number);
      await waitUntil(() => !alive.has(old), startsWithinMs);
    },
    isReadyAgain,
    async close() {
      isClosing = true;
      for (const child of alive) {
        child.kill('SIGCONT');
        child.kill('SIGTERM');
      }
      const inOrder = await waitUntil(() => alive.size === 0, endsWithinMs);
      for (const child of alive) child.kill('SIGKILL');
      await waitUntil(() => alive.size === 0, endsWithinMs);
      return inOrder;
    },
  };
}
