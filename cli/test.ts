// Runs the tests.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { helpIfAsked } from './command.js';
import { ensureRedisServer } from './redis/redis.js';
import { endOf } from './temporary.js';

const usage = `Usage: npm test [-- ARGUMENT …]
       npm run test:long [-- ARGUMENT …]

"npm test" runs the tests that take some seconds each, "npm run test:long" the others. Arguments go to vitest:
npm test -- --reporter=verbose batcher. If one names tests, they are found among all.`;

/** Tests that kill services again and again, wait for times to run out, or make environments for Python. */
const longTests = [
  'failures/',
  'telemetry/',
  'exporters/',
  'containers/',
  'simulation/',
  'end-to-end/access.test.',
  'end-to-end/chaos.test.',
  'end-to-end/fuzz.test.',
  'end-to-end/job-events.test.',
  'end-to-end/jobs.test.',
  'end-to-end/openapi.test.',
  'end-to-end/python-client.test.',
  'end-to-end/repeating.test.',
  'end-to-end/rolling-update.test.',
  'end-to-end/score-command.test.',
  'end-to-end/secrets.test.',
  'end-to-end/snippets.test.',
  'end-to-end/start.test.',
  'end-to-end/webhooks.test.',
  'integration/bodies.test.',
  'integration/download.test.',
  'integration/left-out.test.',
  'integration/measure-model.test.',
  'integration/optimize.test.',
  'integration/peers.test.',
  'integration/python-engine.test.',
  'integration/several-inputs.test.',
  'integration/top.test.',
  'integration/training.test.',
  'integration/worker.test.',
];

helpIfAsked(usage);
const root = packageDirectory();
const given = process.argv.slice(2);
const isLong = given.includes('--long');
const parameters = given.filter((parameter) => parameter !== '--long');
ensureRedisServer((line) => process.stderr.write(`${line}\n`));
const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
// Files that share a process do not load Scoreline again each, which is half of the time of the quick ones.
const run = [vitest, 'run', '--no-isolate', ...chosen(), ...parameters];
const vitestRun = spawn(process.execPath, run, {
  cwd: root,
  env: {
    ...process.env,
    // Some images of containers set it. Each Python would compile scikit-learn again: three times as long until it begins.
    PYTHONDONTWRITEBYTECODE: '',
    // The threads of small models in training only wait for each other, and for those of the tests beside.
    OMP_NUM_THREADS: '1',
  },
  stdio: 'inherit',
});
process.exit(await endOf(vitestRun));

/** Returns vitest's arguments for the tests to run. */
function chosen(): string[] {
  const tests = longTests.map((test) => `dist/test/${test}`);
  for (const test of tests) {
    const file = test.endsWith('.') ? `${test}js` : test;
    if (!existsSync(path.join(root, file))) throw new Error(`${file} is gone: see cli/test.ts.`);
  }
  if (isLong) return tests;
  if (parameters.some((parameter) => !parameter.startsWith('-'))) return [];
  return tests.flatMap((test) => ['--exclude', test.endsWith('/') ? `${test}**` : `${test}js`]);
}
