// A project of somebody else that has installed the package: with the client, and without anything of this
// repository. Its TypeScript is checked against the types of the package, and run.

import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { root } from './harness.js';
import { writeFolder } from './unit/sample-model.js';

const run = promisify(execFile);

/**
 * Makes a project, and installs the package as npm packs it. Of the build, only the client and what it imports is
 * packed, because the rest has megabytes of models.
 */
export async function installClient(): Promise<string> {
  if (!existsSync(path.join(root, 'dist/client/client.d.ts'))) {
    throw new Error('Expected the types of the client in dist/client; run npm run build.');
  }
  const directory = writeFolder({});
  const whole = path.join(directory, 'packed');
  for (const part of [
    'package.json',
    'README.md',
    'LICENSE',
    'client/python',
    'dist/client',
    'dist/shared',
  ]) {
    cpSync(path.join(root, part), path.join(whole, part), { recursive: true });
  }
  const options = ['--ignore-scripts', '--silent', '--pack-destination', directory];
  const { stdout } = await run('npm', ['pack', ...options], { cwd: whole });
  const installed = path.join(directory, 'node_modules/scoreline');
  mkdirSync(installed, { recursive: true });
  const archive = path.join(directory, stdout.trim());
  await run('tar', ['-xzf', archive, '-C', installed, '--strip-components=1']);
  // Projects for Node have these, too.
  mkdirSync(path.join(directory, 'node_modules/@types'));
  for (const name of ['@types/node', 'undici-types'].map((each) =>
    path.join('node_modules', each),
  )) {
    symlinkSync(path.join(root, name), path.join(directory, name));
  }
  writeFileSync(path.join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  return directory;
}

/** How projects find their modules. */
export type Resolution = 'nodenext' | 'bundler';

/**
 * Checks a TypeScript file of a project with all strictness, and compiles it.
 * @returns the JavaScript file
 */
export async function compile(
  directory: string,
  { name, code, resolution }: { name: string; code: string; resolution: Resolution },
): Promise<string> {
  const isNode = resolution === 'nodenext';
  const folder = path.join(directory, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, `${name}.ts`), code);
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    // The types of the package are checked as well.
    skipLibCheck: false,
    noEmitOnError: true,
    target: 'ES2022',
    ...(isNode
      ? { module: 'nodenext', lib: ['ES2022'], types: ['node'] }
      : { module: 'esnext', moduleResolution: 'bundler', lib: ['ES2022', 'DOM'], types: [] }),
  };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [compiler, '-p', folder]).catch(({ stdout }) => {
    throw new Error(`Expected ${name}.ts to be right; the compiler said:\n${stdout}`);
  });
  return path.join(folder, `${name}.js`);
}
