// Starts the API and the workers as child processes of a local run. They end with their parent.

import { type ChildProcess, fork, type StdioOptions } from 'node:child_process';
import type { Readable } from 'node:stream';
import { type ErrorCode, ScorelineError } from '../../shared/errors.js';
import {
  type ChildMessage,
  type ParentMessage,
  parentReports,
} from '../../shared/process/lifecycle.js';
import { memoryLimitBytes } from '../../shared/process/memory-limit.js';
import { mainOf } from '../../shared/process/programs.js';
import { packageDirectory } from '../../shared/version.js';
import { withRuntimeSettings } from './environment.js';
import { heapArguments, setsHeapSizes } from './heap.js';

/** A built checkout whose roles can be started: this one, or that of another commit. */
export interface Build {
  /** The folder of its package; what was built is in `dist` there. */
  readonly root: string;
  readonly v8Arguments: readonly string[];
}

export interface Child {
  readonly pid: number;
  /**
   * Resolves to the report of the child once it is ready; the API's holds its `port`. Rejects with
   * the ScorelineError that the child reports, or `configuration_invalid` if it exits first.
   */
  readonly ready: Promise<Readonly<Record<string, unknown>>>;
  /** The exit code, or the signal that ended the process. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** Standard output, if `spawnChild` was asked to pipe it. */
  readonly output: Readable | null;
  kill(signal: NodeJS.Signals): void;
  /** Sends a message, unless the child is gone. */
  send(message: ParentMessage): void;
  listen(listener: (message: ChildMessage) => void): void;
  /** Sends SIGTERM and waits until the process has exited. */
  close(): Promise<void>;
}

/** A child was killed before it was ready. */
export class Killed extends ScorelineError {}

/** Of this build, for this machine. Builds of other commits are asked for theirs by this name. */
export const v8Arguments = heapArguments(memoryLimitBytes());

export const thisBuild: Build = { root: packageDirectory(), v8Arguments };

/** Forks a role. Leaves V8's sizes alone if NODE_OPTIONS sets some: the machine may be small. */
export function forkRole(
  role: 'api' | 'worker',
  options: { env: NodeJS.ProcessEnv; stdio: StdioOptions; parameters?: readonly string[] },
  build = thisBuild,
): ChildProcess {
  const { parameters = [], ...given } = options;
  return fork(mainOf(role, build.root), parameters, {
    ...given,
    env: withRuntimeSettings(options.env),
    execArgv: setsHeapSizes(options.env) ? [] : [...build.v8Arguments],
    // The child gets its own process group, so Ctrl-C reaches only the parent. The parent then ends
    // its children in order: the API first, Redis last.
    detached: true,
  });
}

/**
 * Starts a role as a child process. Its standard error goes to ours. With its output piped, it also
 * logs why it could not start.
 */
export function spawnChild(
  role: 'api' | 'worker',
  environment: NodeJS.ProcessEnv,
  output: 'inherit' | 'pipe' = 'inherit',
  build = thisBuild,
): Child {
  const child = forkRole(
    role,
    {
      env: environment,
      stdio: ['ignore', output, 'inherit', 'ipc'],
      parameters: output === 'inherit' ? [parentReports] : [],
    },
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
    send: (message) => {
      if (child.connected) child.send(message, () => {});
    },
    listen: (listener) => void child.on('message', listener),
    close: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

function waitUntilReady(child: ChildProcess, role: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const fail = (detail: string, code: ErrorCode = 'configuration_invalid') =>
      reject(new ScorelineError(code, detail));
    child.on('message', (message: ChildMessage) => {
      if (message.event === 'ready') resolve(message);
      else if (message.event === 'failed') fail(message.detail, message.code);
    });
    child.once('exit', (code, signal) => {
      const detail = `The ${role} exited before it was ready (${signal ?? code}).`;
      if (signal === null) fail(detail);
      else reject(new Killed('configuration_invalid', detail));
    });
  });
}
