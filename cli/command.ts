// How a command ends that fails: with the message of its error on standard error, and the exit code 1.

import process from 'node:process';
import { coerceError } from '../shared/errors.js';

/** Runs a command. Whatever it has opened may still end in order. */
export async function runCommand(command: () => void | Promise<void>): Promise<void> {
  try {
    await command();
  } catch (thrown) {
    process.stderr.write(`${coerceError(thrown).message}\n`);
    process.exitCode = 1;
  }
}
