// Tests `npm run manifests`.

import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { packageDirectory } from '../../shared/version.js';
import { makeFolder } from '../unit/sample-model.js';
import { filesWith, onAks, sampleValues } from './cluster.js';

const script = path.join(packageDirectory(), 'dist/cli/manifests.js');

/** Runs the command in a folder with values and models. */
function run(folder: string, values: string) {
  const options = ['--values', values, '--models', 'models', '--out', 'out'];
  return spawnSync(process.execPath, [script, ...options], { cwd: folder, encoding: 'utf8' });
}

test('writes the files of the values, and removes those of earlier values only', () => {
  const models = [{ name: 'small' }];
  const folder = makeFolder({
    ...filesWith(),
    'fewer.yaml': { ...(filesWith({ models }) as { 'values.yaml': object })['values.yaml'] },
    'out/mine.yaml': '# Not generated.',
  });
  const list = () => readdirSync(path.join(folder, 'out'));
  expect(run(folder, 'values.yaml')).toMatchObject({ status: 0, stderr: '' });
  expect(list()).toEqual(
    expect.arrayContaining(['kustomization.yaml', 'worker-large-2-1-rc.yaml', 'mine.yaml']),
  );
  const { stdout } = run(folder, 'fewer.yaml');
  expect(stdout).toContain('kubectl apply -k out');
  expect(stdout).toContain('-n scoreline create secret generic redis --from-literal=password=');
  const workers = 'worker-large-2-1-rc';
  expect(stdout).toContain(
    `kubectl -n scoreline delete deployment.apps/${workers} poddisruptionbudget.policy/${workers} scaledobject.keda.sh/${workers}\n`,
  );
  expect(run(folder, 'fewer.yaml').stdout).not.toContain('delete');
  expect(list()).toEqual(expect.arrayContaining(['worker-small-1.yaml', 'mine.yaml']));
  expect(list()).not.toContain('worker-large-2-1-rc.yaml');
});

test('writes the parameters of a cluster on Azure, and removes them if none is to be made', () => {
  const folder = makeFolder({ ...filesWith(onAks), 'elsewhere.yaml': sampleValues });
  const list = () => readdirSync(path.join(folder, 'out'));
  expect(run(folder, 'values.yaml')).toMatchObject({ status: 0, stderr: '' });
  expect(list()).toEqual(expect.arrayContaining(['aks.parameters.json', 'aks.yaml']));
  expect(run(folder, 'elsewhere.yaml')).toMatchObject({ status: 0, stderr: '' });
  expect(list()).not.toContain('aks.parameters.json');
  expect(list()).not.toContain('aks.yaml');
});

test.each([
  [['--value', 'values.yaml'], /^Unknown option '--value'\n\nUsage: npm run manifests/],
  [['--out', 'values.yaml'], /^--out: expected a folder .*; got values\.yaml \(EEXIST\)\n$/],
])('says what is wrong with an option: %s', (options, fault) => {
  const folder = makeFolder(filesWith());
  const given = ['--values', 'values.yaml', '--models', 'models', ...options];
  const { status, stderr } = spawnSync(process.execPath, [script, ...given], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect(stderr).toMatch(fault);
  expect(status).toBe(1);
});

test('writes nothing if the values are wrong', () => {
  const folder = makeFolder(filesWith({ models: [{ name: 'nobody' }] }));
  const { status, stderr } = run(folder, 'values.yaml');
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^values\.yaml: line 1: models\.0\.name: expected the name of a model: .*; got "nobody"\n$/,
  );
  expect(readdirSync(folder)).not.toContain('out');
});
