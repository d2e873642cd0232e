// How a command ends that fails: with the message of its error on standard error, and the exit code 1.

import process from 'node:process';
import { coerceError } from '../shared/errors.js';

/**
 * Runs a command. Whatever it has opened may still end in order.
 * @param usage is printed behind what `parseArgs` says of a wrong option
 */
export async function runCommand(
  command: () => void | Promise<void>,
  usage?: string,
): Promise<void> {
  try {
    await command();
  } catch (thrown) {
    const { message, code }: NodeJS.ErrnoException = coerceError(thrown);
    const isOption = code?.startsWith('ERR_PARSE_ARGS');
    process.stderr.write(isOption && usage ? `${message}\n\n${usage}\n` : `${message}\n`);
    process.exitCode = 1;
  }
}
