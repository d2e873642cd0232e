import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { isAllowed, readRuntimePackages } from '../../cli/generating/licences.js';
import { packageDirectory } from '../../shared/version.js';

const lockFile = readFileSync(path.join(packageDirectory(), 'package-lock.json'), 'utf8');
const packages = readRuntimePackages(lockFile);

test('every package that runs in production has a licence that we allow', () => {
  expect(packages.filter((each) => !isAllowed(each))).toEqual([]);
});

test('the packages are those that run in production, for all platforms, each once', () => {
  const names = packages.map(({ name, version }) => `${name} ${version}`);
  for (const name of ['bullmq', 'sharp', '@img/sharp-darwin-arm64', '@img/sharp-linux-x64']) {
    expect(names.filter((each) => each.startsWith(`${name} `))).toHaveLength(1);
  }
  for (const name of ['vitest', 'typescript', 'scoreline']) {
    expect(names.filter((each) => each.startsWith(`${name} `))).toEqual([]);
  }
  expect(names).toEqual([...new Set(names)].toSorted());
});

test.each([
  ['MIT', true],
  ['(MIT OR GPL-3.0-only)', true],
  ['GPL-3.0-only OR ISC', true],
  ['MIT AND ISC', true],
  ['MIT AND GPL-3.0-only', false],
  ['GPL-3.0-only', false],
  ['LGPL-3.0-or-later', false],
  ['AGPL-3.0-or-later', false],
  ['SEE LICENSE IN LICENSE.md', false],
  ['UNLICENSED', false],
  ['(MIT AND (ISC OR GPL-3.0-only))', false],
  ['', false],
  [undefined, false],
])('the licence %s is allowed: %s', (licence, expected) => {
  expect(isAllowed({ name: 'some', version: '1.0.0', licence })).toBe(expected);
});

test('the LGPL is allowed for the libraries of sharp', () => {
  const licence = 'Apache-2.0 AND LGPL-3.0-or-later';
  expect(isAllowed({ name: '@img/sharp-win32-x64', version: '1.0.0', licence })).toBe(true);
  expect(isAllowed({ name: '@img/other', version: '1.0.0', licence })).toBe(false);
});
