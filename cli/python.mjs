// Runs a Python script with the packages of a requirements file:
//
//   node cli/python.mjs REQUIREMENTS SCRIPT [ARGUMENT …]
//
// Each requirements file gets its own virtual environment, in data/python/. The first run makes it.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [requirements, script, ...parameters] = process.argv.slice(2);
if (!requirements || !script) fail('Usage: node cli/python.mjs REQUIREMENTS SCRIPT [ARGUMENT …]');

const python = ensureEnvironment(path.resolve(root, requirements));
const { status, signal } = spawnSync(python, [path.resolve(root, script), ...parameters], {
  stdio: 'inherit',
});
process.exit(status ?? (signal ? 130 : 1));

/** Returns the Python of an environment that holds exactly the packages in the file. */
function ensureEnvironment(file) {
  const digest = createHash('sha256').update(readAll(file)).digest('hex').slice(0, 12);
  const environment = path.join(root, 'data/python', digest);
  const done = path.join(environment, 'done');
  const program = path.join(environment, 'bin/python');
  if (existsSync(done)) return program;
  const base = ['python3.11', 'python3'].find(isPython311);
  if (!base) {
    fail('Expected Python 3.11 with venv; found none. Try: sudo apt-get install python3.11-venv');
  }
  process.stderr.write(
    `Installing the Python packages from ${path.relative(root, file)} (once) …\n`,
  );
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(path.dirname(environment), { recursive: true });
  run(base, ['-m', 'venv', environment]);
  run(program, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', file]);
  writeFileSync(done, '');
  return program;
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
  const { status: code } = spawnSync(program, programParameters, { stdio: ['ignore', 2, 2] });
  if (code !== 0) fail(`${path.basename(program)} failed.`);
}

function fail(line) {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}
