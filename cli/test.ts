// `npm test` runs every test. Arguments go to vitest: `npm test -- --reporter=verbose batcher`.

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { ensureRedisServer } from './redis.js';

const root = packageDirectory();
ensureRedisServer((line) => process.stderr.write(`${line}\n`));
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);
