// Python for the tests. Only training and the examples for newcomers need it, so it may be missing.

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';

/** The packages of every test, so that they need one environment. */
export const requirements = 'test/requirements.txt';

/** Whether there is a Python of the version that cli/python.ts needs. */
export const hasPython = ['python3.11', 'python3'].some((name) => {
  const { stdout } = spawnSync(name, ['-c', 'import sys, ensurepip; print(sys.version_info[:2])']);
  return stdout?.toString().trim() === '(3, 11)';
});

/** Returns the first of some Pythons that has all the packages. */
export function findPython(
  pythons: readonly string[],
  packages: readonly string[],
): string | undefined {
  const code = `import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))`;
  return pythons.find((name) => spawnSync(name, ['-c', code, ...packages]).status === 0);
}

/** Returns the folder of an environment with the packages of the tests. */
export function environmentOfTests(): string {
  const parameters = ['dist/cli/python.js', requirements, 'test/executable.py'];
  const { stdout } = spawnSync(process.execPath, parameters, { cwd: packageDirectory() });
  return path.resolve(stdout.toString().trim(), '../..');
}
