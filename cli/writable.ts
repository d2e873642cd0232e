import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, rmSync } from 'node:fs';
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

/**
 * Checks that a file can be written, before work of minutes whose result goes there. Leaves what the file holds.
 * @param setting the option that names it
 * @throws ScorelineError `configuration_invalid`
 */
export function requireWritableFile(setting: string, file: string): void {
  const isNew = !existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
    if (isNew) rmSync(file);
  } catch (thrown) {
    throw unwritable(setting, file, thrown, 'file');
  }
}

/** @param thrown by the system */
export function unwritable(
  setting: string,
  place: string,
  thrown: unknown,
  kind: 'file' | 'folder' = 'folder',
): ScorelineError {
  const { code } = thrown as NodeJS.ErrnoException;
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return wrong(
    `${setting}: expected a ${kind} that can be written to; got ${place} (${code})${isFull ? '. The disk is full: make room there' : ''}`,
  );
}
