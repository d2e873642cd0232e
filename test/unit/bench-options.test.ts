import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { packageDirectory } from '../../shared/version.js';

const script = path.join(packageDirectory(), 'dist/cli/bench.js');

test.each([
  [['json', '--rounds', 'x'], '--rounds: expected a number, 0 or more; got x'],
  [['json', '--mebibytes', '1,'], '--mebibytes: expected a number, 0 or more; got nothing'],
  [['json', '--nope'], "Unknown option '--nope'"],
  [['compare', '--rounds', '0'], '--rounds: expected a whole number from 1 to 1000; got 0'],
])('a benchmark says what is wrong with the options %j', (parameters, message) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...parameters], {
    encoding: 'utf8',
  });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr.startsWith(message)).toBe(true);
});
