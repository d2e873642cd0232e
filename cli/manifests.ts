// `npm run manifests [-- --values FILE] [--models FOLDER] [--out FOLDER]` writes the Kubernetes manifests.

import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { parametersFile, writeAksParameters } from '../k8s/aks/parameters.js';
import { isGenerated, makeManifests, writeManifests } from '../k8s/manifests.js';
import { readPlan } from '../k8s/read-plan.js';
import { readTextIfAny } from '../shared/files/text-file.js';
import { packageDirectory } from '../shared/version.js';
import { runCommand } from './command.js';
import { makeWritable } from './writable-folder.js';

const root = packageDirectory();

const usage = `Usage: npm run manifests -- [--values FILE] [--models FOLDER] [--out FOLDER]

Writes the Kubernetes manifests of a file of values (k8s/values.yaml) into a folder (k8s/generated).
docs/kubernetes.md explains each value.`;

await runCommand(usage, () => {
  const { values: options } = parseArgs({
    options: {
      values: { type: 'string', default: path.join(root, 'k8s/values.yaml') },
      models: { type: 'string', default: path.join(root, 'models') },
      out: { type: 'string', default: path.join(root, 'k8s/generated') },
    },
  });
  writeAll(options);
});

function writeAll(options: { values: string; models: string; out: string }): void {
  const plan = readPlan({ file: options.values, modelsDirectory: options.models });
  const parameters = writeAksParameters(plan);
  const files = {
    ...writeManifests(makeManifests(plan)),
    ...(parameters !== undefined && { [parametersFile]: parameters }),
  };
  makeWritable('--out', options.out);
  for (const name of readdirSync(options.out)) {
    if (!(name in files)) removeLeftover(path.join(options.out, name));
  }
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(path.join(options.out, name), text);
  }
  const folder = path.relative(process.cwd(), options.out) || '.';
  process.stdout.write(`${Object.keys(files).length} files in ${folder}\n`);
  process.stdout.write(`Apply them: kubectl apply -k ${folder}\n`);
}

/** Removes what was generated for other values, and nothing else that lies in the folder. */
function removeLeftover(file: string): void {
  const text = readTextIfAny(file);
  const isOurs =
    path.basename(file) === parametersFile || (text !== undefined && isGenerated(text));
  if (isOurs) rmSync(file);
}
