// `npm run manifests [-- --values FILE] [--models FOLDER] [--out FOLDER]` writes the Kubernetes manifests.

import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parametersFile, writeAksParameters } from '../k8s/aks/parameters.js';
import { deletionsOf } from '../k8s/gone.js';
import { isGenerated, makeManifests, writeManifests } from '../k8s/manifests.js';
import { listNeeded } from '../k8s/needed.js';
import { readPlan } from '../k8s/read-plan.js';
import { readTextIfAny } from '../shared/files/text-file.js';
import { packageDirectory } from '../shared/version.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { makeWritable } from './writable.js';

const root = packageDirectory();

const usage = `Usage: npm run manifests -- [--values FILE] [--models FOLDER] [--out FOLDER]

Writes the Kubernetes manifests of a file of values (k8s/values.yaml) into a folder (k8s/generated).
docs/kubernetes.md explains each value.`;

await runCommand(usage, () => {
  const { values: options } = parseArguments({
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
  const earlier = readEarlier(options.out);
  for (const name of Object.keys(earlier)) {
    if (!(name in files)) rmSync(path.join(options.out, name));
  }
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(path.join(options.out, name), text);
  }
  const folder = path.relative(process.cwd(), options.out) || '.';
  const lines = [
    `${Object.keys(files).length} files in ${folder}`,
    `Apply them: kubectl apply -k ${folder}`,
    ...underTitle(
      'Pods and the entrance wait until these are there, too:',
      listNeeded(plan.values).map(
        ({ kind, namespace, name, command }) =>
          command ?? `${kind} ${name} in the namespace ${namespace}`,
      ),
    ),
    ...underTitle(
      'The cluster keeps what is no longer in the files. Once nobody needs it or what it holds, delete it:',
      deletionsOf(Object.values(earlier), Object.values(files)),
    ),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function underTitle(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];
}

/** Returns the texts of what was generated before, by name, and of nothing else that lies in the folder. */
function readEarlier(folder: string): Record<string, string> {
  const texts = readdirSync(folder).map(
    (name) => [name, readTextIfAny(path.join(folder, name))] as const,
  );
  return Object.fromEntries(
    texts.filter(
      (each): each is [string, string] =>
        each[1] !== undefined && (each[0] === parametersFile || isGenerated(each[1])),
    ),
  );
}
