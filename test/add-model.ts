// Adds models as `npm run models -- add` does, without a terminal. A process for each would take most of the time of
// the tests, so only some are.

import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect } from 'vitest';
import { addModel } from '../cli/models/add.js';
import { coerceError } from '../shared/errors.js';
import { root } from './harness.js';
import { makeFolder } from './unit/sample-model.js';

export interface Added {
  readonly code: number;
  readonly said: string;
  readonly folder: string;
}

/** Adds a model in a folder with these files and a folder of models. */
export function add(files: Record<string, unknown>, ...parameters: string[]): Promise<Added> {
  return addIn(makeFolder({ 'models/.keep': '', ...files }), parameters);
}

export async function addIn(folder: string, parameters: readonly string[]): Promise<Added> {
  const before = process.cwd();
  const lines: string[] = [];
  const say = (line: string) => void lines.push(line);
  process.chdir(folder);
  try {
    await addModel(parameters, { directory: path.join(folder, 'models'), say });
    return { code: 0, said: lines.join('\n'), folder };
  } catch (thrown) {
    return { code: 1, said: [...lines, coerceError(thrown).message].join('\n'), folder };
  } finally {
    process.chdir(before);
  }
}

/** Runs the command in a process of its own. */
export function addByCommand(folder: string, parameters: readonly string[]): Promise<Added> {
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
