// Runs a command that tries a service and prints its figures as a last line of JSON.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { expect } from 'vitest';
import { root } from '../harness.js';

/** Resolves to how the command ended, what it said on stderr, and its figures. */
export async function runSeeded<Summary>(program: string, parameters: readonly string[]) {
  const child = spawn(process.execPath, [program, ...parameters], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  let said = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const [exitCode] = await once(child, 'close');
  const lastLine = printed.trim().split('\n').at(-1) ?? '';
  expect(lastLine, said).toMatch(/^\{/);
  return { exitCode, said, summary: JSON.parse(lastLine) as Summary };
}
