// Makes virtual environments of Python. uv installs the packages, in a fraction of pip's time. Where the machine has
// no uv, pip fetches one, which is kept for the next environment.

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { packageDirectory } from '../version.js';

const uv = 'uv==0.13.9';
const keptUv = path.join(packageDirectory(), 'data/python', uv.replace('==', '-'));

/**
 * Runs a program to its end, and resolves to what it printed. Rejects if it fails.
 * @param isShown whether people may see what it prints; true if unset
 */
export type Run = (
  program: string,
  parameters: readonly string[],
  isShown?: boolean,
) => Promise<string>;

/**
 * Makes a virtual environment in a folder that is not there. The folder can be moved afterwards.
 * @param options.packages what to install, as arguments of `pip install`
 * @param options.version the version of Python, such as `3.11`, or its program; without it, that of `python3`
 * @param options.base returns that Python, where there is no uv to find it
 * @param options.isQuiet whether only errors are printed
 * @param options.isCompiled whether the packages are compiled now. Otherwise Python does it when it first imports them,
 * unless it may not write there, and then each time
 * @throws Error of `run`
 */
export async function makePythonEnvironment(
  folder: string,
  options: {
    packages: readonly string[];
    version?: string;
    base: () => string;
    isQuiet?: boolean;
    isCompiled?: boolean;
    run: Run;
  },
): Promise<void> {
  const { version, run } = options;
  const packages = [...(options.isQuiet ? ['--quiet'] : []), ...options.packages];
  const python = pythonIn(folder);
  // pip compiles always.
  const compile = options.isCompiled ? ['--compile-bytecode'] : [];
  const withUv = (program: string) =>
    run(program, ['pip', 'install', ...compile, '--python', python, ...packages]);
  if (await succeeds(run('uv', ['--version'], false))) {
    const wanted = version === undefined ? [] : ['--python', version];
    await run('uv', ['venv', '--quiet', '--relocatable', ...wanted, folder]);
    await withUv('uv');
    return;
  }
  const base = options.base();
  const { pip, settings } = await makeWithVenv(folder, base, run);
  // uv does not read pip's settings, so it is no help where they name another index.
  if (/index|proxy/.test(settings)) return void (await pip(['install', ...packages]));
  const fetched = existsSync(keptUv) ? keptUv : await fetchUv(folder, pip);
  try {
    if (fetched && (await succeeds(withUv(path.join(fetched, 'bin/uv'))))) return;
  } finally {
    if (fetched && fetched !== keptUv) rmSync(fetched, { recursive: true, force: true });
  }
  // A uv that has failed may leave a half of a package behind, such as on a full disk, which pip takes for all of it.
  await rm(folder, { recursive: true, force: true });
  const anew = await makeWithVenv(folder, base, run);
  await anew.pip(['install', ...packages]);
}

/** Returns the folder of a uv: the one that is kept, or one beside the environment where nothing can be kept. */
async function fetchUv(folder: string, pip: Pip['pip']): Promise<string | undefined> {
  const part = makeFolderFor(keptUv) ?? `${folder}.uv`;
  if (await succeeds(pip(['install', '--quiet', '--target', part, uv]))) {
    if (part === `${folder}.uv`) return part;
    try {
      renameSync(part, keptUv);
    } catch {
      // Another process has been faster.
    }
  }
  rmSync(part, { recursive: true, force: true });
  return existsSync(keptUv) ? keptUv : undefined;
}

/** Makes a new folder beside another one; undefined if nobody may write there. */
function makeFolderFor(other: string): string | undefined {
  try {
    mkdirSync(path.dirname(other), { recursive: true });
    return mkdtempSync(`${other}-`);
  } catch {
    return undefined;
  }
}

/** Returns the program of an environment. */
export function pythonIn(folder: string): string {
  return path.join(folder, 'bin', 'python');
}

/** A pip that installs into an environment. */
interface Pip {
  readonly pip: (parameters: readonly string[], isShown?: boolean) => Promise<string>;
  readonly settings: string;
}

/** Makes an empty environment. */
async function makeWithVenv(folder: string, base: string, run: Run): Promise<Pip> {
  const quiet = ['--disable-pip-version-check', '--no-input'];
  const python = pythonIn(folder);
  // They can hold the password of an index.
  const settingsOf = (pip: Pip['pip']) => pip(['config', 'list'], false);
  // The pip of the machine, where there is one, spares the seconds that a pip of the environment takes.
  await run(base, ['-m', 'venv', '--without-pip', folder]);
  const outer: Pip['pip'] = (parameters, isShown) =>
    run(base, ['-m', 'pip', '--python', python, ...quiet, ...parameters], isShown);
  const settings = await settingsOf(outer).catch(() => undefined);
  if (settings !== undefined) return { pip: outer, settings };
  await run(base, ['-m', 'venv', '--clear', folder]);
  const inner: Pip['pip'] = (parameters, isShown) =>
    run(python, ['-m', 'pip', ...quiet, ...parameters], isShown);
  return { pip: inner, settings: await settingsOf(inner).catch(() => '') };
}

function succeeds(running: Promise<unknown>): Promise<boolean> {
  return running.then(
    () => true,
    () => false,
  );
}
