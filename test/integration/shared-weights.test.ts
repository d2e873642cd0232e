// Tests that copies of a model share its weights, that this changes no answer, and that a model is served where it
// cannot be.

import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { expect, onTestFinished, test, vi } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { missingFile } from '../../shared/registry/files.js';
import { type Model, readModels } from '../../shared/registry/models.js';
import { packageDirectory } from '../../shared/version.js';
import { exampleInputs, sampleInputs } from '../../worker/batch/inputs/sample.js';
import { openScorer, type WarmScorer } from '../../worker/batch/scorer.js';
import { makeFolder, makeSampleModel } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const directory = path.join(packageDirectory(), 'models');

/** A bundled model in some copies of one thread each. */
function modelOf(name: string, instances: number): Model {
  const [model] = readModels({ directory, names: [name], filesNeeded: false }) as [Model];
  const device = { ...model.manifest.device, threads: 1, instances };
  return { ...model, manifest: { ...model.manifest, device } };
}

async function open(model: Model): Promise<WarmScorer> {
  const scorer = await openScorer(model, log);
  onTestFinished(() => scorer.close());
  return scorer;
}

/** How many mapped weights this process has whose file is gone. */
const mappedWeights = () =>
  process.platform === 'linux'
    ? readFileSync('/proc/self/maps', 'utf8').split('.weights (deleted)').length - 1
    : 0;

/** Lets the files be written to a folder of their own, since other processes write theirs as well. */
function ownTemporaryFolder(): string {
  const folder = makeFolder({});
  vi.stubEnv('TMPDIR', folder);
  onTestFinished(() => void vi.unstubAllEnvs());
  return folder;
}

/** Scores the sample of a model in some runs at the same time. */
const score = ({ values, ...scorer }: WarmScorer, { manifest }: Model, runs: number) =>
  Promise.all(
    Array.from({ length: runs }, async () => {
      const inputs = exampleInputs(manifest) ?? sampleInputs(manifest, values.inputs);
      const { results } = await scorer.score([{ inputs }]);
      return results;
    }),
  );

test.for(['efficientnet-lite0', 'faq-matcher', 'breast-cancer', 'faq-semantic', 'minilm'])(
  'copies of %s answer the same as one with weights of its own',
  async (name, { skip }) => {
    const model = modelOf(name, 3);
    skip(missingFile(model) !== undefined, 'the files of the model are not here');
    const folder = ownTemporaryFolder();
    const single = modelOf(name, 1);
    const alone = await open(single);
    const copies = await open(model);
    const [expected] = await score(alone, single, 1);
    expect(expected?.[0]).toHaveProperty('outputs');
    for (const results of await score(copies, model, 6)) expect(results).toEqual(expected);
    expect(copies.values).toMatchObject({
      inputs: alone.values.inputs,
      outputs: alone.values.outputs,
    });
    expect(readdirSync(folder)).toEqual([]);
  },
);

test.runIf(process.platform === 'linux')('copies map the same weights', async () => {
  const before = mappedWeights();
  const model = modelOf('efficientnet-lite0', 2);
  await open(model);
  const weightsOfOne = mappedWeights() - before;
  expect(weightsOfOne).toBeGreaterThan(0);
});

test.each([
  ['is no folder', path.join(os.tmpdir(), 'scoreline-no-such-folder')],
  ['cannot be written', '/proc'],
])('copies have their own weights if the folder for temporary files %s', async (_, folder) => {
  vi.stubEnv('TMPDIR', folder);
  onTestFinished(() => void vi.unstubAllEnvs());
  const model = modelOf('efficientnet-lite0', 2);
  const before = mappedWeights();
  const [first, second] = await score(await open(model), model, 2);
  expect(first?.[0]).toHaveProperty('outputs');
  expect(first).toEqual(second);
  expect(mappedWeights()).toBe(before);
});

test('a network that cannot be loaded is refused with its own error', async () => {
  const folder = makeFolder({ 'model.onnx': 'no network' });
  const temporary = ownTemporaryFolder();
  const model = makeSampleModel({ device: { threads: 1, instances: 2 } });
  const broken = { ...model, file: path.join(folder, 'model.onnx') };
  await expect(openScorer(broken, log)).rejects.toMatchObject({
    code: 'model_file_wrong',
    message: expect.stringContaining('expected an ONNX model that ONNX Runtime can load'),
  });
  expect(readdirSync(temporary)).toEqual([]);
});

test('what a worker left that ended while it loaded is removed after a while', async () => {
  const folder = ownTemporaryFolder();
  const names = ['scoreline-weights-old', 'scoreline-weights-new', 'somebody-elses'];
  const anHourAgo = new Date(Date.now() - 3_600_000);
  for (const name of names) {
    mkdirSync(path.join(folder, name));
    writeFileSync(path.join(folder, name, 'model.onnx'), '');
    if (name !== 'scoreline-weights-new') {
      utimesSync(path.join(folder, name), anHourAgo, anHourAgo);
    }
  }
  await open(modelOf('efficientnet-lite0', 2));
  expect(readdirSync(folder)).toEqual(['scoreline-weights-new', 'somebody-elses']);
});
