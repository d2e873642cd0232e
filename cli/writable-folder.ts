import { accessSync, constants, mkdirSync } from 'node:fs';
import type { ScorelineError } from '../shared/errors.js';
import { wrong } from './faults.js';

/**
 * Makes a folder if there is none.
 * @param setting the option or the variable that names it
 * @throws ScorelineError `configuration_invalid` if this process cannot write to it
 */
export function makeWritable(setting: string, folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (thrown) {
    throw unwritable(setting, folder, thrown);
  }
}

/** @param thrown by the system */
export function unwritable(setting: string, folder: string, thrown: unknown): ScorelineError {
  const { code } = thrown as NodeJS.ErrnoException;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return wrong(
    `${setting}: expected a folder that can be written to; got ${folder} (${code})${isFull ? '. The disk is full: make room there' : ''}`,
  );
}
