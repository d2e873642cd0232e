// Makes virtual environments of Python. uv installs the packages, in a fraction of pip's time. Where the machine has
// no uv, pip installs one beside the environment for the while.

import { rmSync } from 'node:fs';
import path from 'node:path';

const uv = 'uv==0.13.9';

/** Runs a program to its end, and resolves to what it printed. Rejects if it fails. */
export type Run = (program: string, parameters: readonly string[]) => Promise<string>;

/**
 * Makes a virtual environment in a folder that is not there. The folder can be moved afterwards.
 * @param options.packages what to install, as arguments of `pip install`
 * @param options.version the version of Python, such as `3.11`; without it, that of `python3`
 * @param options.base returns a Python of that version, where there is no uv to find one
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
  if (await succeeds(run('uv', ['--version']))) {
    const wanted = version === undefined ? [] : ['--python', version];
    await run('uv', ['venv', '--quiet', '--relocatable', ...wanted, folder]);
    await withUv('uv');
    return;
  }
  const { pip, settings } = await makeWithVenv(folder, options.base(), run);
  const helper = `${folder}.uv`;
  try {
    // uv does not read pip's settings, so it is no help where they name another index.
    const isPlain = !/index|proxy/.test(settings);
    if (isPlain && (await succeeds(pip(['install', '--quiet', '--target', helper, uv])))) {
      const program = path.join(helper, 'bin', 'uv');
      if (await succeeds(withUv(program))) return;
    }
  } finally {
    rmSync(helper, { recursive: true, force: true });
  }
  await pip(['install', ...packages]);
}

/** Returns the program of an environment. */
export function pythonIn(folder: string): string {
  return path.join(folder, 'bin', 'python');
}

/** A pip that installs into an environment. */
interface Pip {
  readonly pip: (parameters: readonly string[]) => Promise<string>;
  readonly settings: string;
}

/** Makes an empty environment. */
async function makeWithVenv(folder: string, base: string, run: Run): Promise<Pip> {
  const quiet = ['--disable-pip-version-check', '--no-input'];
  const python = pythonIn(folder);
  const settingsOf = (pip: Pip['pip']) => pip(['config', 'list']);
  // The pip of the machine, where there is one, spares the seconds that a pip of the environment takes.
  await run(base, ['-m', 'venv', '--without-pip', folder]);
  const outer: Pip['pip'] = (parameters) =>
    run(base, ['-m', 'pip', '--python', python, ...quiet, ...parameters]);
  const settings = await settingsOf(outer).catch(() => undefined);
  if (settings !== undefined) return { pip: outer, settings };
  await run(base, ['-m', 'venv', '--clear', folder]);
  const inner: Pip['pip'] = (parameters) => run(python, ['-m', 'pip', ...quiet, ...parameters]);
  return { pip: inner, settings: await settingsOf(inner).catch(() => '') };
}

function succeeds(running: Promise<unknown>): Promise<boolean> {
  return running.then(
    () => true,
    () => false,
  );
}
