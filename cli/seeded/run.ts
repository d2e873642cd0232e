// What the commands share that try a service with requests from a seed.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { describeFault, helpIfAsked } from '../command.js';

interface Outcome {
  readonly isPassed: boolean;
  readonly seed: number;
  readonly keepLogs: boolean;
}

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs something in a temporary folder, and exits: with 0 if it passed, otherwise with 1. The logs in the folder
 * are kept if it did not pass, or if `keepLogs` says so.
 */
export async function runSeeded(
  name: string,
  usage: string,
  run: (directory: string) => Promise<Outcome>,
): Promise<never> {
  helpIfAsked(usage);
  const directory = mkdtempSync(path.join(os.tmpdir(), `scoreline-${name}-`));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Exiting is enough: what was started ends with this process.
    process.on(signal, () => process.exit(1));
  }
  try {
    const { isPassed, seed, keepLogs } = await run(directory);
    if (!isPassed) say(`Failed with seed ${seed}.`);
    if (isPassed && !keepLogs) rmSync(directory, { recursive: true, force: true });
    else say(`The logs are in ${directory}.`);
    process.exit(isPassed ? 0 : 1);
  } catch (error) {
    say(describeFault(error, usage));
    if (readdirSync(directory).length > 0) say(`The logs are in ${directory}.`);
    else rmSync(directory, { recursive: true });
    process.exit(1);
  }
}

/**
 * Reads names with commas between them. Returns all that are known if the option was not given.
 * @throws Error if one is not known
 */
export function readNames<T extends string>(
  option: string,
  text: string | undefined,
  known: readonly T[],
): readonly T[] {
  if (text === undefined) return known;
  return text.split(',').map((name) => {
    const found = known.find((each) => each === name.trim());
    if (found) return found;
    throw new Error(`--${option}: expected one or more of ${known.join(', ')}; got ${name}`);
  });
}
