// `npm run manifests [-- --values FILE] [--models FOLDER] [--out FOLDER]` writes the Kubernetes manifests.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { makeManifests, writeManifests } from '../k8s/manifests.js';
import { readPlan } from '../k8s/read-plan.js';
import { coerceError } from '../shared/errors.js';
import { packageDirectory } from '../shared/version.js';

const root = packageDirectory();

try {
  const { values: options } = parseArgs({
    options: {
      values: { type: 'string', default: path.join(root, 'k8s/values.yaml') },
      models: { type: 'string', default: path.join(root, 'models') },
      out: { type: 'string', default: path.join(root, 'k8s/generated') },
    },
  });
  const plan = readPlan({ file: options.values, modelsDirectory: options.models });
  const files = writeManifests(makeManifests(plan));
  mkdirSync(options.out, { recursive: true });
  for (const old of readdirSync(options.out).filter((name) => name.endsWith('.yaml'))) {
    if (!(old in files)) rmSync(path.join(options.out, old));
  }
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(path.join(options.out, name), text);
  }
  const folder = path.relative(process.cwd(), options.out) || '.';
  process.stdout.write(`${Object.keys(files).length} files in ${folder}\n`);
  process.stdout.write(`Apply them: kubectl apply -k ${folder}\n`);
} catch (error) {
  process.stderr.write(`${coerceError(error).message}\n`);
  process.exitCode = 1;
}
