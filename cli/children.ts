// The processes of a local run: API and workers as children that end with their parent.

import { type ChildProcess, fork } from 'node:child_process';
import { ScorelineError } from '../shared/errors.js';
import type { ChildMessage } from '../shared/lifecycle.js';

export interface Child {
  readonly pid: number;
  /** What the process says once it is ready. Rejects with what it says when it ends before that. */
  readonly ready: Promise<Readonly<Record<string, unknown>>>;
  readonly exited: Promise<void>;
  /** Asks the process to end in order, and waits until it has. */
  close(): Promise<void>;
}

/** Starts a role as a child process. */
export function spawnChild(role: 'api' | 'worker', environment: NodeJS.ProcessEnv): Child {
  const child = fork(new URL(`../${role}/main.js`, import.meta.url), [], {
    env: environment,
    // A process group of its own: Ctrl-C reaches the parent alone, which then ends its children in
    // order, API first and Redis last.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ready = waitUntilReady(child, role);
  ready.catch(() => {});
  return {
    pid: child.pid as number,
    ready,
    exited,
    close: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

function waitUntilReady(child: ChildProcess, role: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const fail = (detail: string) => reject(new ScorelineError('configuration_invalid', detail));
    child.on('message', (message: ChildMessage) => {
      if (message.event === 'ready') resolve(message);
      else fail(message.detail);
    });
    child.once('exit', (code, signal) =>
      fail(`The ${role} ended at its start (${signal ?? code}).`),
    );
  });
}
