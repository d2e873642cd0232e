// Folders for the time of a command.

import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Makes a folder that is removed when this process exits. A signal that ends the process leaves it behind. */
export function makeTemporary(name: string): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), `scoreline-${name}-`));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Makes a folder inside `parent`, and removes it once `act` has ended or a signal comes. Its name begins with a dot, so
 * nobody takes it for a model.
 */
export async function withFolder<T>(
  parent: string,
  name: string,
  act: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(path.join(parent, `.${name}-`));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const ends = Object.entries(signals).map(([signal, code]) => {
    const end = () => {
      remove();
      process.exit(code);
    };
    process.once(signal, end);
    return [signal, end] as const;
  });
  try {
    return await act(folder);
  } finally {
    for (const [signal, end] of ends) process.off(signal, end);
    remove();
  }
}
