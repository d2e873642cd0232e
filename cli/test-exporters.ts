// Tries the exporters of all frameworks.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { helpIfAsked } from './command.js';
import { ensureRedisServer } from './redis/redis.js';
import { endOf, makeTemporary } from './temporary.js';

const usage = `Usage: npm run test:exporters

Trains small models with every framework that has an exporter, adds and serves them, compares each answer with
that of the original, and prints the table. It also walks through docs/your-model.md with PyTorch and Keras.
The first run installs the frameworks.`;

helpIfAsked(usage);
const root = packageDirectory();
const say = (line: string) => process.stderr.write(`${line}\n`);
const directory = makeTemporary('parity');

say(
  'PyTorch and TensorFlow for Linux take up to 9 GB of disk in data/python, and a while to be installed, once.',
);
ensureRedisServer(say);
const table = path.join(directory, 'table.md');
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
const parity = await runTests(['dist/test/exporters/'], { SCORELINE_PARITY_TABLE: table });
// The walk through the page for newcomers, which the tests do without PyTorch and Keras
const pythons = ['exporters/pytorch.txt', 'exporters/keras.txt'].map(pythonOf).join(':');
const page = ['dist/test/end-to-end/snippets', '-t', 'docs/your-model.md'];
const walk = await runTests(page, { SNIPPET_PYTHONS: pythons });
if (existsSync(table)) {
  process.stdout.write(`${describeRun()}\n\n${readFileSync(table, 'utf8')}`);
}
process.exit(parity || walk);

function runTests(parameters: string[], environment: Record<string, string>): Promise<number> {
  const env = { ...process.env, ...environment };
  const start = [vitest, 'run', ...parameters];
  return endOf(spawn(process.execPath, start, { cwd: root, stdio: 'inherit', env }));
}

/** Says when and with which versions this ran, for docs/exporters.md. */
function describeRun(): string {
  const lists = readdirSync(path.join(root, 'exporters')).filter((name) => name.endsWith('.txt'));
  const lines = lists.flatMap((name) =>
    readFileSync(path.join(root, 'exporters', name), 'utf8').split('\n'),
  );
  // Some packages have another name on Linux.
  const isOther = new RegExp(`sys_platform ${process.platform === 'linux' ? '!=' : '=='} "linux"`);
  const versions = lines
    .filter((line) => !isOther.test(line))
    .flatMap((line) => /^([\w-]+)==([\w.]+)/.exec(line)?.slice(1).join(' ') ?? []);
  const date = new Date().toISOString().slice(0, 10);
  const place = `Node ${process.versions.node} on ${process.platform} ${process.arch}`;
  return `Last run: ${date}, ${place}, with ${[...new Set(versions)].sort().join(', ')}.`;
}

/** Returns the Python of the environment with these packages. */
function pythonOf(packages: string): string {
  const start = ['dist/cli/python.js', packages, 'test/executable.py'];
  const { stdout } = spawnSync(process.execPath, start, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return stdout.toString().trim();
}
