// What all commands do alike: say how they are used, and end with the message of an error on standard error and the exit code 1.

import process from 'node:process';
import { coerceError } from '../shared/errors.js';

/**
 * Runs a command. Whatever it has opened may still end in order.
 * @param usage is printed if it is asked for, and behind what `parseArgs` says of a wrong option
 */
export async function runCommand(
  usage: string,
  command: () => void | Promise<void>,
): Promise<void> {
  helpIfAsked(usage);
  try {
    await command();
  } catch (thrown) {
    process.stderr.write(`${describeFault(thrown, usage)}\n`);
    process.exitCode = 1;
  }
}

/** Prints the usage and exits if the arguments ask for it. To be called before anything is started. */
export function helpIfAsked(usage: string, given: readonly string[] = process.argv.slice(2)): void {
  const end = given.indexOf('--');
  const options = end < 0 ? given : given.slice(0, end);
  const isAsked = options.includes('--help') || options.includes('-h');
  if (!isAsked && (given.length !== 1 || given[0] !== 'help')) return;
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}

/** Returns the message of an error, with the usage if an option was wrong. */
export function describeFault(thrown: unknown, usage: string): string {
  const { message, code }: NodeJS.ErrnoException = coerceError(thrown);
  return code?.startsWith('ERR_PARSE_ARGS') ? `${message}\n\n${usage}` : message;
}
