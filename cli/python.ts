// Runs a Python script with the packages of a requirements file.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { makePythonEnvironment, pythonIn } from '../shared/python/environment.js';
import { packageDirectory } from '../shared/version.js';
import { claim } from '../worker/files/claim.js';
import { helpIfAsked } from './command.js';
import { misused } from './faults.js';
import { endOf } from './temporary.js';

const usage = `Usage: npm run python -- REQUIREMENTS SCRIPT [ARGUMENT …]

Runs a Python script with the packages of a requirements file. Each such file gets its own virtual environment,
in data/python/. The first run makes it.`;

const version = '3.11';
const root = packageDirectory();
// What stands behind is for the script.
helpIfAsked(usage, process.argv.slice(2, 3));
const [requirements, script, ...parameters] = process.argv.slice(2);
if (!requirements || !script) {
  fail(misused(process.argv.slice(2), usage).message);
}

const python = await ensureEnvironment(path.resolve(root, requirements)).catch(
  ({ message }: Error) => fail(message),
);
const running = spawn(python, [path.resolve(root, script), ...parameters], { stdio: 'inherit' });
process.exit(await endOf(running));

/** Returns the Python of an environment that has the packages in the file. Rejects if it cannot be made. */
async function ensureEnvironment(file: string): Promise<string> {
  const digest = createHash('sha256').update(readAll(file)).digest('hex').slice(0, 12);
  const environment = path.join(root, 'data/python', digest);
  const done = path.join(environment, 'done');
  mkdirSync(path.dirname(environment), { recursive: true });
  if (existsSync(done)) return pythonIn(environment);
  const name = path.relative(root, file);
  // Several tests may need the same environment at the same time.
  const installing = await claim(`${environment}.lock`, {
    onWait: () =>
      say(`Another process installs the Python packages from ${name}. Waiting for it …`),
  });
  try {
    if (!existsSync(done)) {
      say(`Installing the Python packages from ${name} (once) …`);
      rmSync(environment, { recursive: true, force: true });
      const packages = ['-r', file];
      await makePythonEnvironment(environment, { packages, version, base, run });
      writeFileSync(done, '');
    }
  } finally {
    await installing.end();
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
  if ((await endOf(child)) !== 0) throw new Error(`${path.basename(program)} failed.`);
  return printed;
}

function base(): string {
  const found = [`python${version}`, 'python3'].find(isOfVersion);
  if (found !== undefined) return found;
  throw new Error(
    `Expected uv, or Python ${version} with venv; found neither. Try: sudo apt-get install python${version}-venv`,
  );
}

function isOfVersion(name: string): boolean {
  const code = 'import sys; print("%d.%d" % sys.version_info[:2])';
  const { stdout } = spawnSync(name, ['-c', code]);
  return stdout?.toString().trim() === version;
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
  say(line);
  process.exit(1);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
