// Tests `npm run models -- bench, profile and tune` as commands, with small models.

import { execFile } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { root } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

/** Returns a folder of models with the table of this repository. */
function makeModels(): string {
  const directory = makeFolder({ '.keep': '' });
  cpSync(path.join(root, 'models/breast-cancer'), path.join(directory, 'breast-cancer'), {
    recursive: true,
  });
  return directory;
}

interface Ran {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

function run(directory: string, ...parameters: string[]): Promise<Ran> {
  const program = path.join(root, 'dist/cli/models.js');
  const env = { ...process.env, MODELS_DIR: directory };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...parameters], { env }, (error, output, errors) =>
      resolve({ code: Number(error?.code ?? 0), output, errors }),
    );
  });
}

const leftOf = (name: string) =>
  readdirSync(os.tmpdir()).filter((entry) => entry.startsWith(`.${name}-`));

test('profile names the slowest operators with their shares', async () => {
  const { code, output } = await run(
    path.join(root, 'models'),
    ...['profile', 'faq-matcher', '--batch', '4', '--seconds', '0.05', '--json'],
  );
  expect(code).toBe(0);
  const { slowest, operators, runs, totalMs } = JSON.parse(output);
  expect(slowest).toHaveLength(10);
  expect(slowest[0].msPerRun).toBeGreaterThanOrEqual(slowest[9].msPerRun);
  expect(operators.map(({ operator }: { operator: string }) => operator)).toContain('MatMul');
  expect(slowest[0].share).toBeCloseTo(slowest[0].msPerRun / totalMs);
  expect(runs).toBeGreaterThan(0);
});

test('bench asks a model through the real path', async () => {
  const directory = makeModels();
  const few = ['--clients', '1,4', '--seconds', '0.1', '--json'];
  const { code, output } = await run(directory, 'bench', 'breast-cancer', ...few);
  expect(code).toBe(0);
  const { levels, model, version } = JSON.parse(output);
  expect({ model, version }).toEqual({ model: 'breast-cancer', version: '1' });
  expect(levels).toMatchObject([
    { clients: 1, refused: 0 },
    { clients: 4, refused: 0 },
  ]);
  expect(levels[1].perSecond).toBeGreaterThan(0);
});

test('tune proposes settings, draws them, and writes them with the comments of the manifest', async () => {
  const directory = makeModels();
  const file = path.join(directory, 'breast-cancer/model.yaml');
  writeFileSync(file, `# Ours.\n${readFileSync(file, 'utf8')}`);
  const svg = path.join(directory, 'plot.svg');
  const { code, output, errors } = await run(
    directory,
    ...['tune', 'breast-cancer', '--p99', '30000', '--batches', '1,2', '--threads', '1'],
    ...['--seconds', '0.02', '--clients-max', '2', '--plot', svg, '--write', '--json'],
  );
  expect(errors).toContain('is written');
  expect(code).toBe(0);
  const { settings, cells } = JSON.parse(output);
  expect(cells).toHaveLength(2);
  expect(settings).toMatchObject({ 'device.threads': 1, 'scaling.itemsPerWorker': 2 });
  const written = readFileSync(file, 'utf8');
  expect(written).toContain('# Ours.');
  expect(written).toContain(`max: ${settings['batch.max']}\n`);
  expect(written).toContain('scaling: { itemsPerWorker: 2 }');
  expect(readFileSync(svg, 'utf8')).toContain('<polyline');
});

test('a goal that nothing keeps writes nothing', async () => {
  const directory = makeModels();
  const file = path.join(directory, 'breast-cancer/model.yaml');
  const before = readFileSync(file, 'utf8');
  const { code, errors, output } = await run(
    directory,
    ...['tune', 'breast-cancer', '--p99', '1', '--batches', '1', '--threads', '1'],
    ...['--seconds', '0.02', '--clients-max', '1', '--write'],
  );
  // No request takes less than a millisecond at its slowest, beside the five that are reckoned for the way.
  expect(errors).toContain('expected settings that keep a p99 of 1 ms; none did');
  expect(output).toContain('was not kept here');
  expect(code).toBe(1);
  expect(readFileSync(file, 'utf8')).toBe(before);
  expect(leftOf('scoreline-tune')).toEqual([]);
});

describe('a wrong command is refused with what was expected', () => {
  test.each([
    [['bench'], 'Expected the name of a model; got none.'],
    [['bench', 'nothing'], 'There is no model "nothing". The models here: breast-cancer'],
    [['bench', 'breast-cancer', '--version', '7'], 'There is no version "7" of breast-cancer'],
    [['bench', 'breast-cancer', '--clients', '0'], '--clients: expected a whole number from 1'],
    [
      ['profile', 'breast-cancer', '--batch', '65'],
      '--batch: expected a whole number from 1 to 64',
    ],
    [['tune', 'breast-cancer'], 'Expected a latency goal: --p99 MS'],
    [['tune', 'breast-cancer', '--p99', 'fast'], '--p99: expected a number from 1'],
    [['optimize', 'breast-cancer', '--method', 'int4'], '--method: expected one of graph, fp16'],
    [['optimize', 'breast-cancer', '--version', '1'], 'expected a new version; there is a 1'],
    [
      ['optimize', 'breast-cancer', '--inputs', '/nowhere'],
      'Expected a file or a folder at /nowhere',
    ],
  ])('%j', async (parameters, message) => {
    const { code, errors } = await run(makeModels(), ...parameters);
    expect(errors).toContain(message);
    expect(code).toBe(1);
  });
});
