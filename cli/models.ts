// `npm run models -- list | add FILE | pull NAME … | check [NAME …] | optimize NAME | tune NAME | bench NAME | profile NAME`

import path from 'node:path';
import process from 'node:process';
import { coerceError } from '../shared/errors.js';
import { listModels } from '../shared/manifest/file.js';
import { filesOf, type ModelFile, missingFile } from '../shared/registry/files.js';
import type { LeftOut } from '../shared/registry/left-out.js';
import { collectModels, type Model, readModels } from '../shared/registry/models.js';
import { packageDirectory } from '../shared/version.js';
import { runCommand } from './command.js';
import { misused } from './faults.js';
import { addModel, addUsage } from './models/add.js';
import { benchModel, benchUsage } from './models/bench.js';
import { checkModel } from './models/check.js';
import { optimizeModel, optimizeUsage } from './models/optimize.js';
import { profileModel, profileUsage } from './models/profile.js';
import { pull } from './models/pull.js';
import { tuneModel, tuneUsage } from './models/tune.js';

const directory = process.env.MODELS_DIR ?? path.join(packageDirectory(), 'models');
const usage = `Usage: npm run models -- list | pull NAME … | check [NAME …] | ${addUsage} | ${optimizeUsage} | ${tuneUsage} | ${benchUsage} | ${profileUsage}`;
const say = (line: string) => process.stdout.write(`${line}\n`);

await runCommand(async () => {
  const [command, ...names] = process.argv.slice(2);
  if (command === 'list' && names.length === 0) list();
  else if (command === 'add') await addModel(process.argv.slice(3), { directory, say });
  else if (command === 'optimize') await optimizeModel(process.argv.slice(3), { directory, say });
  else if (command === 'tune') await tuneModel(process.argv.slice(3), { directory, say });
  else if (command === 'bench') await benchModel(process.argv.slice(3), { directory, say });
  else if (command === 'profile') await profileModel(process.argv.slice(3), { directory, say });
  else if (command === 'pull' && names.length > 0) {
    for (const model of versionsOf(names)) await pull(model, { say, complain });
  } else if (command === 'check' && names.length === 0) await checkAll();
  else if (command === 'check') await checkEach(versionsOf(names));
  else throw misused(process.argv.slice(2), usage);
});

function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}

function versionsOf(names: readonly string[]): readonly Model[] {
  return readModels({ directory, names, filesNeeded: false });
}

function list(): void {
  const names = listModels(directory);
  const { models, leftOut } = collectModels({ directory, names, filesNeeded: false });
  for (const model of models) {
    const bytes = filesOf(model).reduce((sum, file) => sum + file.bytes, 0);
    const megabytes = `${(bytes / 1e6).toFixed(1)} MB`;
    const missing = missingFile(model);
    const state = missing ? `not here; ${remedyFor(model, missing)}` : 'here';
    const title = `${model.name}${isAlone(model, models) ? '' : ` ${model.version}`}`;
    say(
      `${title.padEnd(22)} ${megabytes.padStart(9)}  ${state}\n    ${model.manifest.description}`,
    );
  }
  complainOf(leftOut);
}

function isAlone({ name }: Model, models: readonly Model[]): boolean {
  return models.filter((model) => model.name === name).length === 1;
}

function remedyFor({ name }: Model, { path: file, urls }: ModelFile): string {
  return urls.length > 0 ? `npm run models -- pull ${name}` : `put it at ${file}`;
}

function complainOf(leftOut: readonly LeftOut[]): void {
  for (const { name, error } of leftOut) complain(`${name} is left out: ${error.message}`);
}

/** Checks every model whose files are here. */
async function checkAll(): Promise<void> {
  const { models, leftOut } = collectModels({ directory, filesNeeded: true });
  complainOf(leftOut);
  if (leftOut.length > 0) process.exitCode = 1;
  await checkEach(models);
}

/** Checks models. One that fails does not stop the others. */
async function checkEach(models: readonly Model[]): Promise<void> {
  for (const model of models) {
    try {
      await checkModel(model, say);
    } catch (thrown) {
      complain(coerceError(thrown).message);
      process.exitCode = 1;
    }
  }
}
