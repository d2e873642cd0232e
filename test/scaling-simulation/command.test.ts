// Tests `npm run simulate`.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { packageDirectory } from '../../shared/version.js';
import { makeFolder } from '../unit/sample-model.js';
import { goodValues } from './sample-values.js';

const script = path.join(packageDirectory(), 'dist/cli/simulate.js');

function run(folder: string, ...options: string[]) {
  return spawnSync(process.execPath, [script, ...options], { cwd: folder, encoding: 'utf8' });
}

test('prints a table and a line of JSON, with a row for each variant, and draws a plot', () => {
  const folder = makeFolder({ 'mine.yaml': { currency: 'EUR', ...goodValues } });
  const options = ['--items-per-worker', '4,16', '--cool-down-seconds', '30,60', '--plot', 'a.svg'];
  const { status, stderr, stdout } = run(folder, '--values', 'mine.yaml', ...options);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(2 + 4 + 1);
  expect(lines[0]).toMatch(/\| scenario .*\| +EUR \|$/);
  const { simulation, seed } = JSON.parse(lines.at(-1) as string);
  expect(seed).toBe(7);
  expect(simulation).toMatchObject([
    { scenario: 'only', itemsPerWorker: 4, coolDownSeconds: 30 },
    { scenario: 'only', itemsPerWorker: 4, coolDownSeconds: 60 },
    { scenario: 'only', itemsPerWorker: 16, coolDownSeconds: 30 },
    { scenario: 'only', itemsPerWorker: 16, coolDownSeconds: 60 },
  ]);
  expect(readFileSync(path.join(folder, 'a.svg'), 'utf8')).toMatch(/^<svg /);
});

test('reads the values of the repository', () => {
  const { status, stdout } = run(packageDirectory(), '--scenarios', 'slow-gpu-node', '--seed', '3');
  expect(status).toBe(0);
  expect(stdout).toContain('| slow-gpu-node |');
  expect(stdout).toContain('"seed":3');
});

test.each([
  [['--scenarios', 'only,nothing'], /--scenarios: expected one or more of only; got nothing/],
  [
    ['--items-per-worker', '0'],
    /--items-per-worker: expected a whole number from 1 to 1000000; got 0/,
  ],
  [
    ['--cool-down-seconds', '5,'],
    /--cool-down-seconds: expected a whole number from 1 to 3600; got nothing/,
  ],
  [['--seed=-1'], /--seed: expected a whole number, 0 or more; got -1/],
  [['--values', 'mine.yaml'], /the option '--values' once; got it several times\n\nUsage: /],
  [['--prices', '5'], /--prices/],
  [
    ['--plot', 'a/b.svg'],
    /--plot: expected a file that can be written to; got a\/b\.svg \(ENOENT\)/,
  ],
])('says what was expected of %j', (options, expected) => {
  const folder = makeFolder({ 'mine.yaml': goodValues });
  const { status, stdout, stderr } = run(folder, '--values', 'mine.yaml', ...options);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(expected);
});

test('says that there are no values', () => {
  const { status, stderr } = run(makeFolder({}), '--values', 'nothing.yaml');
  expect(status).toBe(1);
  expect(stderr).toMatch(/nothing\.yaml: expected a file of values.*there is no such file/);
});
