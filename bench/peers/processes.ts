// The processes of a server under test, found by a variable in their environment. A server may start
// processes in sessions of their own, and each of them has inherited the variable.

import { readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { readProcessorMs } from '../api.js';

const variable = 'SCORELINE_BENCH_SERVER';

/** Marks the processes that are started with this environment. */
export function markedEnvironment(mark: string): NodeJS.ProcessEnv {
  return { ...process.env, [variable]: mark };
}

/** Returns the ids of the processes with this mark. Only works on Linux. */
export function findMarked(mark: string): number[] {
  const entry = `${variable}=${mark}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && readProc(pid, 'environ').split('\0').includes(entry));
}

/** Returns the processor time that processes have taken together, in milliseconds. */
export function sumProcessorMs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (readProcessorMs(pid) || 0), 0);
}

/**
 * Returns the memory of processes together, in MiB. Pages that several share count once: each process
 * counts its part of them.
 */
export function sumMegabytes(pids: readonly number[]): number {
  const kilobytes = pids.map((pid) =>
    Number(/^Pss:\s+(\d+)/m.exec(readProc(pid, 'smaps_rollup'))?.[1] ?? 0),
  );
  return kilobytes.reduce((sum, each) => sum + each, 0) / 1024;
}

/** Sends a signal to all processes with this mark. */
export function signalMarked(mark: string, signal: NodeJS.Signals): void {
  for (const pid of findMarked(mark)) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    // It has ended, or belongs to somebody else.
    return '';
  }
}
