// Runs a Python script with the packages of a requirements file:
//
//   node cli/python.mjs REQUIREMENTS SCRIPT [ARGUMENT …]
//
// Each requirements file gets its own virtual environment, in data/python/. The first run makes it with uv, which it
// installs into the environment if the machine has none, or else with pip.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const uv = 'uv==0.13.9';
const [requirements, script, ...parameters] = process.argv.slice(2);
if (!requirements || !script) fail('Usage: node cli/python.mjs REQUIREMENTS SCRIPT [ARGUMENT …]');

const python = ensureEnvironment(path.resolve(root, requirements));
const { status, signal } = spawnSync(python, [path.resolve(root, script), ...parameters], {
  stdio: 'inherit',
});
// Whoever started this gets to know the signal, too.
if (signal) process.kill(process.pid, signal);
process.exit(status ?? 1);

/** Returns the Python of an environment that has the packages in the file. */
function ensureEnvironment(file) {
  const digest = createHash('sha256').update(readAll(file)).digest('hex').slice(0, 12);
  const environment = path.join(root, 'data/python', digest);
  const done = path.join(environment, 'done');
  const program = path.join(environment, 'bin/python');
  mkdirSync(path.dirname(environment), { recursive: true });
  // Several tests may need the same environment at the same time.
  while (!existsSync(done) && !takeLock(`${environment}.lock`)) sleep(200);
  if (existsSync(done)) return program;
  process.stderr.write(
    `Installing the Python packages from ${path.relative(root, file)} (once) …\n`,
  );
  rmSync(environment, { recursive: true, force: true });
  if (spawnSync('uv', ['--version']).status === 0) makeWithUv(environment, file);
  else makeWithPip(environment, file);
  writeFileSync(done, '');
  return program;
}

function makeWithUv(environment, file) {
  run('uv', ['venv', '--quiet', '--python', '3.11', environment]);
  run('uv', ['pip', 'install', '--python', path.join(environment, 'bin/python'), '-r', file]);
}

function makeWithPip(environment, file) {
  const base = ['python3.11', 'python3'].find(isPython311);
  if (!base) {
    fail(
      'Expected uv, or Python 3.11 with venv; found neither. Try: sudo apt-get install python3.11-venv',
    );
  }
  run(base, ['-m', 'venv', environment]);
  const program = path.join(environment, 'bin/python');
  const pip = ['-m', 'pip', '--disable-pip-version-check'];
  // With uv, the packages are there in a fraction of pip's time. It does not read pip's settings, so it is no help
  // where they name another index.
  const { stdout } = spawnSync(program, [...pip, 'config', 'list']);
  const isPlain = !/index|proxy/.test(stdout.toString());
  if (isPlain && succeeds(program, [...pip, 'install', '--quiet', uv])) {
    const parameters = ['pip', 'install', '--python', program, '-r', file];
    if (succeeds(path.join(environment, 'bin/uv'), parameters)) return;
  }
  run(program, [...pip, 'install', '-r', file]);
}

/** Makes a file with the number of this process. One that was left by a process that has ended is taken over. */
function takeLock(file) {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    process.on('exit', () => rmSync(file, { force: true }));
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    if (!isRunning(file)) rmSync(file, { force: true });
    return false;
  }
}

function isRunning(file) {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    // The number may not be written yet.
    return pid === 0 || process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function sleep(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Returns the text of a requirements file and of the files it includes with `-r`. */
function readAll(file) {
  const text = readFileSync(file, 'utf8');
  const others = [...text.matchAll(/^-r (.+)$/gm)].map(([, name]) => name);
  return [text, ...others.map((name) => readAll(path.resolve(path.dirname(file), name)))].join(
    '\n',
  );
}

function isPython311(name) {
  const { stdout } = spawnSync(name, ['-c', 'import sys, ensurepip; print(sys.version_info[:2])']);
  return stdout?.toString().trim() === '(3, 11)';
}

function run(program, programParameters) {
  if (!succeeds(program, programParameters)) fail(`${path.basename(program)} failed.`);
}

function succeeds(program, programParameters) {
  return spawnSync(program, programParameters, { stdio: ['ignore', 2, 2] }).status === 0;
}

function fail(line) {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}
