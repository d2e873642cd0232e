// Tests `npm run models -- bench, profile and tune` with small models, a real Redis and real processes.

import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { benchModel } from '../../cli/models/bench.js';
import { optimizeModel } from '../../cli/models/optimize.js';
import { profileModel } from '../../cli/models/profile.js';
import { tuneModel } from '../../cli/models/tune.js';
import { addEmbeddingModel } from '../embedding-model.js';
import { root } from '../harness.js';
import { elementTypes, floats, node, tensor } from '../onnx.js';
import { addTensorModel, declared } from '../tensor-model.js';
import { makeFolder } from '../unit/sample-model.js';

/** Returns a folder of models with the table of this repository. */
function makeModels(): string {
  const directory = makeFolder({ '.keep': '' });
  cpSync(path.join(root, 'models/breast-cancer'), path.join(directory, 'breast-cancer'), {
    recursive: true,
  });
  return directory;
}

/** Runs a command in this process, and returns what it says. Its processes are real. */
async function run(
  directory: string,
  command: typeof benchModel,
  ...parameters: string[]
): Promise<string> {
  const lines: string[] = [];
  await command(parameters, { directory, say: (line) => lines.push(line) });
  return lines.join('\n');
}

test('profile names the slowest operators with their shares', async () => {
  const output = await run(
    path.join(root, 'models'),
    profileModel,
    ...['faq-matcher', '--batch', '4', '--seconds', '0.05', '--json'],
  );
  const { slowest, operators, runs, totalMs } = JSON.parse(output);
  expect(slowest).toHaveLength(10);
  expect(slowest[0].msPerRun).toBeGreaterThanOrEqual(slowest[9].msPerRun);
  expect(operators.map(({ operator }: { operator: string }) => operator)).toContain('MatMul');
  expect(slowest[0].share).toBeCloseTo(slowest[0].msPerRun / totalMs);
  expect(runs).toBeGreaterThan(0);
});

test('profile takes the texts of a network of tokens', async () => {
  const directory = makeFolder({ '.keep': '' });
  addEmbeddingModel(directory, 'embeddings');
  const output = await run(directory, profileModel, 'embeddings', '--seconds', '0.05', '--json');
  const { operators } = JSON.parse(output);
  expect(operators.map(({ operator }: { operator: string }) => operator)).toContain('Gather');
});

test('profile says where the largest batch comes from', async () => {
  const profiled = run(makeModels(), profileModel, 'breast-cancer', '--batch', '100000');
  await expect(profiled).rejects.toThrow(
    /--batch: .* from 1 to \d+, batch.max of its manifest; got/,
  );
});

test('bench asks a model through the real path', async () => {
  const few = ['--clients', '1,4', '--seconds', '0.1', '--json'];
  const output = await run(makeModels(), benchModel, 'breast-cancer', ...few);
  expect(JSON.parse(output)).toMatchObject({
    ...{ model: 'breast-cancer', version: '1' },
    levels: [
      { clients: 1, refused: 0 },
      { clients: 4, refused: 0 },
    ],
  });
  expect(JSON.parse(output).levels[1].perSecond).toBeGreaterThan(0);
});

test('bench asks a model of tensors of every kind with a sample', async () => {
  const directory = makeFolder({ '.keep': '' });
  const tensors = (['FP32', 'INT64', 'BOOL', 'BYTES'] as const).map((datatype) =>
    declared(datatype, datatype, [-1, 2]),
  );
  addTensorModel(directory, {
    name: 'mixed',
    nodes: tensors.map(({ name }) => node('Identity', [name], [`${name}_out`])),
    network: {
      inputs: tensors,
      outputs: tensors.map((each) => ({ ...each, name: `${each.name}_out` })),
    },
  });
  const few = ['--clients', '1', '--seconds', '0.1', '--json'];
  const output = await run(directory, benchModel, 'mixed', ...few);
  expect(JSON.parse(output).levels).toMatchObject([{ clients: 1, refused: 0 }]);
});

test('bench says that a model needs an example if it takes no sample', async () => {
  const directory = makeFolder({ '.keep': '' });
  addTensorModel(directory, {
    name: 'second',
    nodes: [node('Gather', ['numbers', 'at'], ['out'])],
    constants: [tensor('numbers', elementTypes.FP32, [1], floats([7]))],
    network: { inputs: [declared('at', 'INT64', [-1])], outputs: [declared('out', 'FP32', [-1])] },
  });
  await expect(run(directory, benchModel, 'second', '--clients', '1')).rejects.toThrow(
    /^second: expected an answer to a sample, since its manifest has no example; got 422: .*\. Give it one that the model takes$/,
  );
});

const quickly = ['--batches', '1,2', '--threads', '1', '--seconds', '0.02', '--clients-max', '1'];

test('tune proposes settings, draws them, and writes them with the comments of the manifest', async () => {
  const directory = makeModels();
  const file = path.join(directory, 'breast-cancer/model.yaml');
  writeFileSync(file, `# Ours.\n${readFileSync(file, 'utf8')}`);
  const svg = path.join(directory, 'plot.svg');
  const written = ['--plot', svg, '--write', '--json'];
  const goal = ['breast-cancer', '--p99', '30000'];
  const output = await run(directory, tuneModel, ...goal, ...quickly, ...written);
  const { settings, cells } = JSON.parse(output);
  expect(cells).toHaveLength(2);
  expect(settings).toMatchObject({ 'device.threads': 1, 'scaling.itemsPerWorker': 1 });
  const text = readFileSync(file, 'utf8');
  expect(text).toContain('# Ours.');
  expect(text).toContain(`max: ${settings['batch.max']}\n`);
  expect(text).toContain('scaling: { itemsPerWorker: 1 }');
  expect(readFileSync(svg, 'utf8')).toContain('<polyline');
});

test('a goal that nothing keeps writes nothing', async () => {
  const directory = makeModels();
  const file = path.join(directory, 'breast-cancer/model.yaml');
  const before = readFileSync(file, 'utf8');
  // Others may tune models at the same time.
  const temporary = makeFolder({});
  vi.stubEnv('TMPDIR', temporary);
  onTestFinished(() => void vi.unstubAllEnvs());
  // The way of a request alone is reckoned with more.
  const goal = ['breast-cancer', '--p99', '1', '--write'];
  await expect(run(directory, tuneModel, ...goal, ...quickly)).rejects.toThrow(
    'expected settings that keep a p99 of 1 ms; none did. Nothing was written.',
  );
  expect(readFileSync(file, 'utf8')).toBe(before);
  expect(readdirSync(temporary)).toEqual([]);
});

test('tune measures nothing if its plot could not be written', async () => {
  const directory = makeModels();
  const svg = path.join(directory, 'nowhere/plot.svg');
  await expect(
    run(directory, tuneModel, 'breast-cancer', '--p99', '100', '--plot', svg),
  ).rejects.toThrow(`--plot: expected a file that can be written to; got ${svg} (ENOENT)`);
});

describe('a wrong command is refused with what was expected', () => {
  test.each<[typeof benchModel, string[], string]>([
    [benchModel, [], 'Expected the name of a model; got none.'],
    [benchModel, ['nothing'], 'There is no model "nothing". The models here: breast-cancer'],
    [benchModel, ['breast-cancer', '--version', '7'], 'There is no version "7" of breast-cancer'],
    [benchModel, ['breast-cancer', '--clients', '0'], '--clients: expected a whole number from 1'],
    [
      profileModel,
      ['breast-cancer', '--batch', '65'],
      '--batch: expected a whole number from 1 to 64',
    ],
    [tuneModel, ['breast-cancer'], 'Expected a latency goal: --p99 MS'],
    [tuneModel, ['breast-cancer', '--p99', 'fast'], '--p99: expected a number from 1'],
    [optimizeModel, ['breast-cancer', '--method', 'int4'], '--method: expected one of graph, fp16'],
    [optimizeModel, ['breast-cancer', '--version', '1'], 'expected a new version; there is a 1'],
    [
      optimizeModel,
      ['breast-cancer', '--inputs', '/nowhere'],
      'Expected a file or a folder at /nowhere',
    ],
  ])('%o %j', async (command, parameters, message) => {
    await expect(run(makeModels(), command, ...parameters)).rejects.toThrow(message);
  });
});
