// Folders and programs for the time of a command, and how a command ends halfway.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { killGroup } from '../worker/engine/python/group.js';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Makes a folder that is removed when this process exits. A signal that ends the process leaves it behind. */
export function makeTemporary(name: string): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), `scoreline-${name}-`));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Makes a folder inside `parent`, and removes it once `act` has ended or the command ends halfway. Its name begins with a
 * dot, so nobody takes it for a model.
 */
export async function withFolder<T>(
  parent: string,
  name: string,
  act: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(path.join(parent, `.${name}-`));
  try {
    return await orRemove(folder, () => act(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Removes a folder if `act` fails, or the command ends before it is done. */
export async function orRemove<T>(folder: string, act: () => Promise<T>): Promise<T> {
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  for (const signal of signals) process.on(signal, leave);
  try {
    return await act();
  } catch (thrown) {
    remove();
    throw thrown;
  } finally {
    process.off('exit', remove);
    for (const signal of signals) process.off(signal, leave);
  }
}

/** Kills a program that was spawned `detached`, and those that it has started, if the command ends before it. */
export function endWithCommand(child: ChildProcess): void {
  const end = () => killGroup(child);
  process.once('exit', end);
  child.once('close', () => process.off('exit', end));
}

/**
 * Waits for the end of a program that runs in front of the user, and resolves to its status. A signal to this process goes
 * to the program, so it does not go on alone. If a signal ends the program, this process ends by it, too. Rejects if the
 * program cannot be started.
 */
export async function endOf(child: ChildProcess): Promise<number> {
  const passOn = (signal: NodeJS.Signals) => {
    // A terminal sends Ctrl-C to both.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of signals) process.on(signal, passOn);
  try {
    const [code, signal] = await once(child, 'close');
    if (signal !== null) leave(signal);
    return code ?? 1;
  } finally {
    for (const signal of signals) process.off(signal, passOn);
  }
}

/**
 * Ends this process by a signal, once what it would remove at its exit is removed. `process.exit` would wait for a thread
 * that runs a model, and such a run may never end.
 */
export function leave(signal: NodeJS.Signals): void {
  for (const listener of process.listeners('exit')) listener(process.exitCode as number);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
