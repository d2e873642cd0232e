// A process and those that it has started: a group of their own, if the process was spawned `detached`.

import type { ChildProcess } from 'node:child_process';
import process from 'node:process';

/** Kills the whole group. */
export function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of them have ended.
  }
}

/** Kills the whole group if the signal is aborted while the process runs. */
export function killOnAbort(child: ChildProcess, signal: AbortSignal | undefined): void {
  const kill = () => killGroup(child);
  signal?.addEventListener('abort', kill, { once: true });
  child.once('exit', () => signal?.removeEventListener('abort', kill));
}
