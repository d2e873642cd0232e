// The first thing every npm script runs, in plain JavaScript, since nothing is installed yet:
// checks Node, installs the dependencies when they are missing or old, builds, and hands over to
// the command in dist/cli/.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [command = 'start'] = process.argv.slice(2);

checkNode();
if (dependenciesAreOld()) {
  say('Installing the dependencies (once) …');
  // Not `npm ci`, which refuses a lock file that does not name the builds of its optional packages
  // for every platform there is. The versions are those of the lock file all the same.
  run('npm', ['install', '--no-save']);
}
removeLeftovers(path.join(root, 'dist'));
run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc')]);
process.argv.splice(1, 2, path.join(root, `dist/cli/${command}.js`));
await import(path.join(root, `dist/cli/${command}.js`));

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  fail(
    `Scoreline needs Node 20.19 or later; this is ${process.version}. Get a newer one from https://nodejs.org.`,
  );
}

function dependenciesAreOld() {
  const installed = path.join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installed)) return true;
  return statSync(path.join(root, 'package-lock.json')).mtimeMs > statSync(installed).mtimeMs;
}

/** Deletes what was built from files that are no longer there. */
function removeLeftovers(built) {
  for (const entry of existsSync(built) ? readdirSync(built, { recursive: true }) : []) {
    const source = path.join(root, entry.replace(/\.js(\.map)?$/, '.ts'));
    if (/\.js(\.map)?$/.test(entry) && !existsSync(source)) rmSync(path.join(built, entry));
  }
}

function run(program, parameters) {
  const { status, error } = spawnSync(program, parameters, { cwd: root, stdio: 'inherit' });
  if (status !== 0) fail(`${path.basename(program)} failed${error ? `: ${error.message}` : ''}.`);
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

function fail(line) {
  say(line);
  process.exit(1);
}
