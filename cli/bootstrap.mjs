// Every npm script starts here. This file is plain JavaScript because nothing is installed yet. It
// checks the Node version, installs missing or outdated dependencies, builds what has changed, and then
// runs the command from dist/cli/.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { areCurrent } from './packages.mjs';
import { describeSources, isBuiltFrom, noteBuilt } from './sources.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [command = 'start'] = process.argv.slice(2);

checkNode();
const sources = describeSources(root);
try {
  if (!areCurrent(root)) install();
  if (!isBuiltFrom(root, sources)) build();
} catch (error) {
  if (error.syscall === undefined) throw error;
  fail(
    `Scoreline has to be built first. Expected to write to ${root}; got: ${error.message}. Run the command once as the owner of that folder.`,
  );
}
process.stdout.on('error', endWithReader);
// ONNX Runtime, in Node and in Python, would send reports to its maker, and keep an identifier of the machine.
process.env.ORT_DISABLE_TELEMETRY ??= '1';
process.argv.splice(1, 2, path.join(root, `dist/cli/${command}.js`));
await import(path.join(root, `dist/cli/${command}.js`));

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  fail(
    `Scoreline needs Node 20.19 or later; this is ${process.version}. Get a newer version from https://nodejs.org.`,
  );
}

/**
 * Ends as other programs do if nobody reads on, as with `| head`, unless the command minds it itself: without a word, but
 * as if SIGPIPE had killed it, since its work is not done. A service goes on while the disk with its log is full.
 */
function endWithReader(error) {
  if (process.stdout.listenerCount('error') > 1) return;
  if (error.code === 'EPIPE') process.exit(128 + constants.signals.SIGPIPE);
  if (command !== 'start') throw error;
}

/** Installs what package-lock.json says, and nothing else. By itself, npm leaves out what a build needs if NODE_ENV is production. */
function install() {
  say('Installing the npm packages (once) …');
  noteBuilt(root, undefined);
  const command = existsSync(path.join(root, 'package-lock.json')) ? 'ci' : 'install';
  const { status, stderr, error } = spawnSync(
    'npm',
    [command, '--prefer-offline', '--include=dev'],
    {
      cwd: root,
      stdio: ['inherit', 'inherit', 'pipe'],
      encoding: 'utf8',
    },
  );
  process.stderr.write(stderr ?? '');
  if (status === 0) return;
  if (/E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|NETUNREACH|HOSTUNREACH)/.test(stderr)) {
    fail(
      `The npm packages cannot be downloaded: npm does not reach its registry. Check the network and, behind a proxy, npm's settings (npm config get registry, npm config get proxy). Then try again.`,
    );
  }
  fail(`npm ${command} failed${error ? `: ${error.message}` : ''}.`);
}

/** Compiles everything, and the client once more by itself, with its types and without those of Node. Then the docs, the page and the bundles. */
function build() {
  noteBuilt(root, undefined);
  removeLeftovers(path.join(root, 'dist'));
  const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
  // What is built runs without the packages for a build.
  if (!existsSync(compiler)) install();
  run(process.execPath, [compiler]);
  run(process.execPath, [compiler, '-p', 'client']);
  run(process.execPath, [path.join(root, 'dist/cli/build/docs.js')]);
  run(process.execPath, [path.join(root, 'dist/cli/build/page.js')]);
  run(process.execPath, [path.join(root, 'dist/cli/build/bundle.js')]);
  noteBuilt(root, sources);
}

/** Deletes compiled files whose source file is gone. docs.js and bundle.js keep their own folders in order. */
function removeLeftovers(built) {
  const output = /\.(js(\.map)?|d\.ts)$/;
  for (const entry of existsSync(built) ? readdirSync(built, { recursive: true }) : []) {
    if (/^(docs|bundle)[\\/]/.test(entry)) continue;
    const source = path.join(root, entry.replace(output, '.ts'));
    if (output.test(entry) && !existsSync(source)) rmSync(path.join(built, entry));
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
