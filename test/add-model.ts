// Runs `npm run models -- add` without a terminal.

import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect } from 'vitest';
import { root } from './harness.js';
import { makeFolder } from './unit/sample-model.js';

export interface Added {
  readonly code: number;
  readonly said: string;
  readonly folder: string;
}

/** Runs the command in a folder with these files and a folder of models. */
export function add(files: Record<string, unknown>, ...parameters: string[]): Promise<Added> {
  return addIn(makeFolder({ 'models/.keep': '', ...files }), parameters);
}

export function addIn(folder: string, parameters: readonly string[]): Promise<Added> {
  const program = path.join(root, 'dist/cli/models.js');
  const env = { ...process.env, MODELS_DIR: path.join(folder, 'models') };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, 'add', ...parameters],
      { cwd: folder, env },
      (error, stdout, stderr) =>
        resolve({ code: Number(error?.code ?? 0), said: `${stdout}${stderr}`, folder }),
    );
  });
}

/** Expects an error without a stack, and no model. */
export function expectRefusal({ code, said, folder }: Added, says: string): void {
  expect(said).toContain(says);
  expect(said).not.toMatch(/^ {4}at /m);
  expect(code).toBe(1);
  expect(readdirSync(path.join(folder, 'models'))).toEqual(['.keep']);
}
