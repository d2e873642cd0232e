// The processes of a local run: API and workers as children that end with their parent.

import { type ChildProcess, fork, type StdioOptions } from 'node:child_process';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { ScorelineError } from '../shared/errors.js';
import type { ChildMessage } from '../shared/lifecycle.js';
import { packageDirectory } from '../shared/version.js';

/** A built checkout whose roles can be started: this one, or that of another commit. */
export interface Build {
  /** The folder of its package; what was built is in `dist` there. */
  readonly root: string;
  readonly v8Arguments: readonly string[];
}

export interface Child {
  readonly pid: number;
  /** What the process says once it is ready. Rejects with what it says when it ends before that. */
  readonly ready: Promise<Readonly<Record<string, unknown>>>;
  /** The exit code, or the signal that ended the process. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** What it prints, where that is read rather than passed on. */
  readonly output: Readable | null;
  kill(signal: NodeJS.Signals): void;
  /** Asks the process to end in order, and waits until it has. */
  close(): Promise<void>;
}

/**
 * Megabytes that V8 lets gather before it collects: new objects, and all of them (docs/design.md, 14).
 * Not where NODE_OPTIONS has such sizes: somebody has little memory.
 */
export const v8Arguments = ['--max-semi-space-size=64', '--initial-old-space-size=256'];

export const thisBuild: Build = { root: packageDirectory(), v8Arguments };

export function forkRole(
  role: 'api' | 'worker',
  options: { env: NodeJS.ProcessEnv; stdio: StdioOptions },
  build = thisBuild,
): ChildProcess {
  return fork(path.join(build.root, 'dist', role, 'main.js'), [], {
    ...options,
    execArgv: /-space-size/.test(options.env.NODE_OPTIONS ?? '') ? [] : [...build.v8Arguments],
    // A process group of its own: Ctrl-C reaches the parent alone, which then ends its children in
    // order, API first and Redis last.
    detached: true,
  });
}

/** Starts a role as a child process. */
export function spawnChild(
  role: 'api' | 'worker',
  environment: NodeJS.ProcessEnv,
  output: 'inherit' | 'pipe' = 'inherit',
  build = thisBuild,
): Child {
  const child = forkRole(
    role,
    { env: environment, stdio: ['ignore', output, 'inherit', 'ipc'] },
    build,
  );
  const exited = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('exit', (code, signal) => resolve(signal ?? (code as number))),
  );
  const ready = waitUntilReady(child, role);
  ready.catch(() => {});
  return {
    pid: child.pid as number,
    ready,
    exited,
    output: child.stdout,
    kill: (signal) => void child.kill(signal),
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
