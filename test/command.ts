// Runs the project's commands to their end.

import { execFile } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { expect } from 'vitest';
import { root } from './harness.js';

export interface Ran {
  /** null if a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs a command of `cli`.
 * @param options.cwd the folder of the repository unless it is given
 * @param options.env what it gets beside this process's own
 */
export function runCommand(
  name: string,
  parameters: readonly string[],
  { cwd = root, env = {} }: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  const program = path.join(root, `dist/cli/${name}.js`);
  const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [program, ...parameters],
      options,
      (_error, out, err) => resolve({ code: child.exitCode, out, err }),
    );
  });
}

/**
 * Runs a command that tries a service and prints its figures as a last line of JSON.
 * Resolves to how it ended, what it said on stderr, and its figures.
 */
export async function runSeeded<Summary>(name: string, parameters: readonly string[]) {
  const { code: exitCode, out, err: said } = await runCommand(name, parameters);
  const lastLine = out.trim().split('\n').at(-1) ?? '';
  expect(lastLine, said).toMatch(/^\{/);
  return { exitCode, said, summary: JSON.parse(lastLine) as Summary };
}
