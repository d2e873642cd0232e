// Prints the result of a benchmark: a table for people, then one line of JSON with the ratios and what
// they compare.

import { execFileSync } from 'node:child_process';
import os from 'node:os';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';

/** Prints the rows as a table, and the ratios to three digits with machine, Node and commit. */
export function report(
  name: string,
  rows: readonly Record<string, string | number>[],
  ratios: Record<string, number | string>,
): void {
  console.table(rows);
  const rounded = Object.fromEntries(
    Object.entries(ratios).map(([key, value]) => [
      key,
      typeof value === 'number' ? Number(value.toPrecision(3)) : value,
    ]),
  );
  process.stdout.write(`${JSON.stringify({ bench: name, ...rounded, ...describeMachine() })}\n`);
}

/** Describes the machine, the build and the day of a measurement. */
export function describeMachine() {
  const cpu = os.cpus()[0]?.model.trim() ?? 'unknown';
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${os.availableParallelism()} × ${cpu}`,
    node: process.version,
    commit: commit(),
  };
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      cwd: packageDirectory(),
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .toString()
      .trim();
  } catch {
    return 'unknown';
  }
}
