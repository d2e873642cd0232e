// `npm run test:exporters` trains small models with every framework that has an exporter, adds and serves them, compares
// each answer with that of the original, and prints the table. The first run installs the frameworks.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { ensureRedisServer } from './redis.js';

const root = packageDirectory();
const say = (line: string) => process.stderr.write(`${line}\n`);
const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-parity-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));

say(
  'PyTorch and TensorFlow for Linux take up to 9 GB of disk in data/python, and a while to be installed, once.',
);
ensureRedisServer(say);
const table = path.join(directory, 'table.md');
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', 'dist/test/exporters/', ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit', env: { ...process.env, SCORELINE_PARITY_TABLE: table } },
);
if (existsSync(table)) process.stdout.write(readFileSync(table, 'utf8'));
process.exit(status ?? 1);
