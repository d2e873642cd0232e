// Adds, checks, measures and speeds up models.

import process from 'node:process';
import { coerceError } from '../shared/errors.js';
import { listModels } from '../shared/manifest/file.js';
import { filesOf, type ModelFile, missingFile } from '../shared/registry/files.js';
import type { LeftOut } from '../shared/registry/left-out.js';
import { collectModels, type Model, readModels } from '../shared/registry/models.js';
import { runCommand } from './command.js';
import { misused } from './faults.js';
import { addModel } from './models/add.js';
import { addUsage } from './models/adding/wishes.js';
import { benchModel, benchUsage } from './models/bench.js';
import { checkModel } from './models/check.js';
import { modelsDirectory as directory } from './models/directory.js';
import { optimizeModel, optimizeUsage } from './models/optimize.js';
import { profileModel, profileUsage } from './models/profile.js';
import { pull } from './models/pull.js';
import { tuneModel, tuneUsage } from './models/tune.js';

const say = (line: string) => process.stdout.write(`${line}\n`);

interface Command {
  /** How it is called, behind `npm run models --`. */
  readonly usage: string;
  readonly run: (parameters: readonly string[]) => void | Promise<void>;
}

const commands: readonly Command[] = [
  { usage: 'list', run: list },
  { usage: 'pull NAME …', run: pullEach },
  { usage: 'check [NAME …]', run: checkEach },
  { usage: addUsage, run: (given) => addModel(given, { directory, say }) },
  { usage: optimizeUsage, run: (given) => optimizeModel(given, { directory, say }) },
  { usage: tuneUsage, run: (given) => tuneModel(given, { directory, say }) },
  { usage: benchUsage, run: (given) => benchModel(given, { directory, say }) },
  { usage: profileUsage, run: (given) => profileModel(given, { directory, say }) },
];

const [name = '', ...parameters] = process.argv.slice(2);
const command = commands.find(({ usage }) => usage.split(' ', 1)[0] === name);
const usages = (command ? [command] : commands).map(({ usage }) => usage);
const whereToRead = `

docs/models.md explains add and check, and docs/optimizing.md the last four.`;
const usage = `Usage: npm run models -- ${usages.join('\n       npm run models -- ')}${command ? '' : whereToRead}`;

await runCommand(usage, async () => {
  if (!command) throw misused(process.argv.slice(2), usage);
  await command.run(parameters);
});

function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}

function versionsOf(names: readonly string[]): readonly Model[] {
  return readModels({ directory, names, filesNeeded: false });
}

function list(given: readonly string[]): void {
  if (given.length > 0) throw misused(process.argv.slice(2), usage);
  const names = listModels(directory);
  const { models, leftOut } = collectModels({ directory, names, filesNeeded: false });
  for (const model of models) {
    const bytes = filesOf(model).reduce((sum, file) => sum + file.bytes, 0);
    const size = bytes < 1e5 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
    const missing = missingFile(model);
    const state = missing ? `not here; ${remedyFor(model, missing)}` : 'here';
    const title = `${model.name}${isAlone(model, models) ? '' : ` ${model.version}`}`;
    say(`${title.padEnd(22)} ${size.padStart(9)}  ${state}\n    ${model.manifest.description}`);
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

async function pullEach(names: readonly string[]): Promise<void> {
  if (names.length === 0) throw misused(process.argv.slice(2), usage);
  for (const model of versionsOf(names)) await pull(model, { say, complain });
}

/** Checks models: every one whose files are here if none is named. One that fails does not stop the others. */
async function checkEach(names: readonly string[]): Promise<void> {
  for (const model of names.length > 0 ? versionsOf(names) : modelsHere()) {
    try {
      await checkModel(model, say);
    } catch (thrown) {
      complain(coerceError(thrown).message);
      process.exitCode = 1;
    }
  }
}

function modelsHere(): readonly Model[] {
  const { models, leftOut } = collectModels({ directory, filesNeeded: true });
  complainOf(leftOut);
  if (leftOut.length > 0) process.exitCode = 1;
  return models;
}
