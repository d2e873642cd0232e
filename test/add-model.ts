// Adds models as `npm run models -- add` does, without a terminal. A process for each would take most of the time of
// the tests, so only some are.

import { readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect } from 'vitest';
import { addModel } from '../cli/models/add.js';
import { coerceError } from '../shared/errors.js';
import { runCommand } from './command.js';
import { makeFolder } from './unit/sample-model.js';

export interface Added {
  readonly code: number | null;
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
export async function addByCommand(folder: string, parameters: readonly string[]): Promise<Added> {
  const env = { MODELS_DIR: path.join(folder, 'models') };
  const { code, out, err } = await runCommand('models', ['add', ...parameters], {
    cwd: folder,
    env,
  });
  return { code, said: `${out}${err}`, folder };
}

/** Expects an error without a stack, and no model. */
export function expectRefusal({ code, said, folder }: Added, says: string): void {
  expect(said).toContain(says);
  expect(said).not.toMatch(/^ {4}at /m);
  expect(code).toBe(1);
  expect(readdirSync(path.join(folder, 'models'))).toEqual(['.keep']);
}
