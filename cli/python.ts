// `npm run python -- REQUIREMENTS SCRIPT [ARGUMENT …]` runs a Python script with the packages of a requirements file.
//
// Each requirements file gets its own virtual environment, in data/python/. The first run makes it.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { makePythonEnvironment, pythonIn } from '../shared/python/environment.js';
import { packageDirectory } from '../shared/version.js';

const version = '3.11';
const root = packageDirectory();
const [requirements, script, ...parameters] = process.argv.slice(2);
if (!requirements || !script) {
  fail('Usage: npm run python -- REQUIREMENTS SCRIPT [ARGUMENT …]');
}

const python = await ensureEnvironment(path.resolve(root, requirements));
const { status, signal } = spawnSync(python, [path.resolve(root, script), ...parameters], {
  stdio: 'inherit',
});
// Passes the signal on to the parent.
if (signal) process.kill(process.pid, signal);
process.exit(status ?? 1);

/** Returns the Python of an environment that has the packages in the file. */
async function ensureEnvironment(file: string): Promise<string> {
  const digest = createHash('sha256').update(readAll(file)).digest('hex').slice(0, 12);
  const environment = path.join(root, 'data/python', digest);
  const done = path.join(environment, 'done');
  mkdirSync(path.dirname(environment), { recursive: true });
  // Several tests may need the same environment at the same time.
  while (!existsSync(done) && !takeLock(`${environment}.lock`)) await delay(200);
  if (!existsSync(done)) {
    process.stderr.write(
      `Installing the Python packages from ${path.relative(root, file)} (once) …\n`,
    );
    rmSync(environment, { recursive: true, force: true });
    const packages = ['-r', file];
    await makePythonEnvironment(environment, { packages, version, base, run }).catch(
      ({ message }: Error) => fail(message),
    );
    writeFileSync(done, '');
  }
  return pythonIn(environment);
}

/** Runs a program, and resolves to what it printed. */
async function run(
  program: string,
  programParameters: readonly string[],
  isShown = true,
): Promise<string> {
  const child = spawn(program, programParameters, { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', (text: Buffer) => {
    printed += text;
    if (isShown) process.stderr.write(text);
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${path.basename(program)} failed.`);
  return printed;
}

function base(): string {
  const found = [`python${version}`, 'python3'].find(isOfVersion);
  return (
    found ??
    fail(
      `Expected uv, or Python ${version} with venv; found neither. Try: sudo apt-get install python${version}-venv`,
    )
  );
}

function isOfVersion(name: string): boolean {
  const code = 'import sys; print("%d.%d" % sys.version_info[:2])';
  const { stdout } = spawnSync(name, ['-c', code]);
  return stdout?.toString().trim() === version;
}

/** Makes a file with the number of this process. One that was left by a process that has ended is taken over. */
function takeLock(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    process.on('exit', () => rmSync(file, { force: true }));
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    if (!isRunning(file)) rmSync(file, { force: true });
    return false;
  }
}

function isRunning(file: string): boolean {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    // The number may not be written yet.
    return pid === 0 || process.kill(pid, 0);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Returns the text of a requirements file and of the files it includes with `-r`. */
function readAll(file: string): string {
  const text = readFileSync(file, 'utf8');
  const others = [...text.matchAll(/^-r (.+)$/gm)].map(([, name]) => name as string);
  return [text, ...others.map((name) => readAll(path.resolve(path.dirname(file), name)))].join(
    '\n',
  );
}

function fail(line: string): never {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}
