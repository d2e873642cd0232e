// Every npm script starts here. This file is plain JavaScript because nothing is installed yet. It
// checks the Node version, installs missing or outdated dependencies, builds, and then runs the
// command from dist/cli/.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [command = 'start'] = process.argv.slice(2);

checkNode();
if (dependenciesAreOld()) {
  say('Installing the npm packages (once) …');
  run('npm', ['ci']);
}
removeLeftovers(path.join(root, 'dist'));
run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc')]);
process.argv.splice(1, 2, path.join(root, `dist/cli/${command}.js`));
await import(path.join(root, `dist/cli/${command}.js`));

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  fail(
    `Scoreline needs Node 20.19 or later; this is ${process.version}. Get a newer version from https://nodejs.org.`,
  );
}

/** Whether a package is missing or has another version than the lock file names. */
function dependenciesAreOld() {
  const installed = readPackages('node_modules/.package-lock.json');
  const wanted = readPackages('package-lock.json');
  // Optional packages are for some platforms only.
  return Object.entries(wanted).some(
    ([folder, { version, optional }]) =>
      folder !== '' && installed[folder]?.version !== version && !(optional && !installed[folder]),
  );
}

function readPackages(file) {
  const name = path.join(root, file);
  return existsSync(name) ? JSON.parse(readFileSync(name, 'utf8')).packages : {};
}

/** Deletes build output whose source file is gone. */
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
