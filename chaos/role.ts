// Keeps a process of the product running. When the process ends, for whatever reason, a new one
// starts, as under Kubernetes.

import type { ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import process from 'node:process';
import { forkRole } from '../cli/processes/children.js';
import type { ChildMessage } from '../shared/process/lifecycle.js';
import { waitUntil } from './wait.js';

const restartDelayMs = 200;
const endsWithinMs = 10_000;

export interface Role {
  /** The current process. */
  readonly pid: number;
  /** Whether the current process has said it is ready. */
  readonly isReady: boolean;
  /** Sends a signal to the current process. Returns false if it has already ended. */
  signal(signal: NodeJS.Signals): boolean;
  /** Suspends the current process. Call the returned function to resume it. */
  stop(): () => void;
  /**
   * Sends SIGTERM to the current process and starts the next one right away. Resolves once the old
   * one has exited and the new one is ready.
   */
  replace(): Promise<void>;
  /** Waits until a successor of process `pid` is ready. Resolves to false after 60 s. */
  isReadyAgain(pid: number): Promise<boolean>;
  /** Ends all processes, first with SIGTERM. Resolves to whether that sufficed within 10 s. */
  close(): Promise<boolean>;
}

const startsWithinMs = 60_000;

/** Starts a role and restarts it 0.2 s after each exit, until `close`. */
export function keepRunning(options: {
  role: 'api' | 'worker';
  environment: NodeJS.ProcessEnv;
  logFile: string;
  /** Called when a process ends that got no signal from here. */
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
        options.onUnexpectedEnd(`the ${role} ${child.pid} exited on its own (${signal ?? code})`);
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
