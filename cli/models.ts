// `npm run models -- list | pull NAME | check [NAME]`

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { Presets, SingleBar } from 'cli-progress';
import { Ending } from '../api/ending.js';
import { makeInputKinds } from '../api/kinds/kinds.js';
import { coerceError, ScorelineError } from '../shared/errors.js';
import { makeLogger } from '../shared/log.js';
import { readManifests } from '../shared/manifest.js';
import { fileMissing, findModel, type Model, readModels } from '../shared/models.js';
import { mapScores } from '../shared/scores.js';
import { packageDirectory } from '../shared/version.js';
import { openScorer, type ScorerItem } from '../worker/batch/scorer.js';
import { download, sha256Of } from '../worker/download.js';
import { checkModelFile } from '../worker/model-file.js';

const directory = process.env.MODELS_DIR ?? path.join(packageDirectory(), 'models');
const say = (line: string) => process.stdout.write(`${line}\n`);

try {
  const [command, name, ...others] = process.argv.slice(2);
  if (command === 'list' && name === undefined) list();
  else if (command === 'pull' && name && others.length === 0) await pull(modelNamed(name));
  else if (command === 'check' && others.length === 0) await checkAll(name);
  else {
    throw new ScorelineError(
      'configuration_invalid',
      'Usage: npm run models -- list | pull NAME | check [NAME]',
    );
  }
} catch (error) {
  process.stderr.write(`${coerceError(error).message}\n`);
  process.exitCode = 1;
}

function allModels(): Model[] {
  const names = readManifests(directory).map((manifest) => manifest.name);
  return readModels({ directory, names, filesNeeded: false });
}

function modelNamed(name: string): Model {
  return findModel(allModels(), name);
}

function list(): void {
  for (const model of allModels()) {
    const { source, description } = model.manifest;
    const megabytes = `${(source.bytes / 1e6).toFixed(1)} MB`;
    const state = existsSync(model.file)
      ? 'here'
      : `not here; npm run models -- pull ${model.name}`;
    say(`${model.name.padEnd(22)} ${megabytes.padStart(9)}  ${state}\n    ${description}`);
  }
}

async function pull(model: Model): Promise<void> {
  const { source } = model.manifest;
  if (existsSync(model.file) && (await sha256Of(model.file)) === source.sha256) {
    say(`${model.name}: ${model.file} is already there, and its SHA-256 matches.`);
    return;
  }
  if (source.urls.length === 0) {
    throw new ScorelineError(
      'download_failed',
      `${model.name}: expected addresses in source.urls of its manifest; got none. The file comes with the repository.`,
    );
  }
  const bar = new SingleBar(
    {
      format: `${model.name} {bar} {percentage}% {value}/{total} bytes, {eta} s left`,
      noTTYOutput: true,
      notTTYSchedule: 5000,
    },
    Presets.shades_classic,
  );
  bar.start(source.bytes, 0);
  try {
    await download({
      urls: source.urls,
      file: model.file,
      bytes: source.bytes,
      sha256: source.sha256,
      onProgress: (bytesDone) => bar.update(bytesDone),
      onRetry: (reason) => process.stderr.write(`\n${reason}\n`),
    });
  } finally {
    bar.stop();
  }
  say(`${model.name}: ${model.file} is in place; its size and SHA-256 match.`);
}

async function checkAll(name: string | undefined): Promise<void> {
  const models =
    name === undefined ? allModels().filter((model) => existsSync(model.file)) : [modelNamed(name)];
  for (const model of models) await check(model);
}

/** Prints one line per step. The first step that fails ends the check with an error. */
async function check(model: Model): Promise<void> {
  const { source, example } = model.manifest;
  say(`${model.name}@${model.version}`);
  say(`  manifest   valid, ${model.labels.length} classes`);

  if (!existsSync(model.file)) throw fileMissing(model);
  await checkModelFile(model);
  say(`  file       ${source.bytes} bytes, SHA-256 matches`);

  const scorer = await openScorer(model, makeLogger({ role: 'check', level: 'silent' }));
  try {
    say('  shapes     inputs and outputs fit, at the smallest and the largest batch');
    const item = await exampleItem(model);
    const { results } = await scorer.score([item]);
    const result = results[0];
    if (!result) throw new Error('No result. This is a bug.');
    if ('error' in result) throw new ScorelineError(result.error.code, result.error.detail);
    const [best] = mapScores(result.outputs, (index, score) => ({ index, score }));
    if (!best) throw new Error('No scores. This is a bug.');
    const { score } = best;
    const label = model.labels[best.index]?.text;
    const { expected } = example;
    const scoreFits =
      expected.score === undefined || Math.abs(score - expected.score) <= expected.tolerance;
    if (label !== expected.label || !scoreFits) {
      const wanted =
        expected.score === undefined ? '' : ` at ${expected.score} ± ${expected.tolerance}`;
      throw new ScorelineError(
        'model_file_wrong',
        `${model.name}: example: expected ${JSON.stringify(expected.label)}${wanted}; got ${JSON.stringify(label)} at ${score}`,
      );
    }
    say(`  example    ${JSON.stringify(label)} at ${score}, as expected`);
  } finally {
    await scorer.close();
  }
}

async function exampleItem(model: Model): Promise<ScorerItem> {
  const { input, example } = model.manifest;
  const value =
    input.kind === 'text' ? example.input : readFileSync(path.join(model.folder, example.input));
  // Prepared as the API does it.
  const kinds = makeInputKinds({ imagePixelsMax: 50_000_000, imagesMax: 1, threads: 4 });
  const inputs = await kinds[input.kind].prepare({ name: undefined, value }, model, new Ending());
  return { inputs, top: 1 };
}
