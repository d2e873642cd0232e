// Makes a models folder for one benchmark: the original model with some settings changed.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { dump, load } from 'js-yaml';
import { makeTemporary } from '../cli/temporary.js';
import type { Manifest } from '../shared/manifest/manifest.js';
import { makeLogger } from '../shared/process/log.js';
import { packageDirectory } from '../shared/version.js';
import { ensureEnvironment } from '../worker/engine/python/environment.js';

/** Makes a temporary models folder with one model in it. resnet152 gets random weights. */
export function makeModelsDirectory(
  name: string,
  changes: { batch?: Partial<Manifest['batch']>; device?: Partial<Manifest['device']> },
): string {
  const original = path.join(packageDirectory(), 'models', name);
  const directory = makeTemporary('models');
  const folder = path.join(directory, name);
  mkdirSync(folder);
  const manifest = load(readFileSync(path.join(original, 'model.yaml'), 'utf8')) as {
    source: { file: string };
    output: { labels: string };
  };
  const file =
    name === 'resnet152' ? generateResnet152() : path.join(original, manifest.source.file);
  symlinkSync(file, path.join(folder, 'model.onnx'));
  const changed = {
    ...manifest,
    ...changes,
    source: { ...manifest.source, ...describeFile(file), file: 'model.onnx' },
    output: {
      ...manifest.output,
      labels: path.relative(folder, path.join(original, manifest.output.labels)),
    },
  };
  writeFileSync(path.join(folder, 'model.yaml'), dump(changed));
  return directory;
}

/**
 * Makes a temporary models folder with the FAQ matcher as a Python program, the one that the peers run, and
 * its environment.
 */
export async function makeProgramDirectory(): Promise<string> {
  const root = packageDirectory();
  const peers = path.join(root, 'bench/peers');
  const directory = makeTemporary('models');
  const folder = path.join(directory, 'faq-matcher');
  mkdirSync(folder);
  const original = path.join(root, 'models/faq-matcher');
  const {
    source: _,
    network: __,
    ...manifest
  } = load(readFileSync(path.join(original, 'model.yaml'), 'utf8')) as Record<string, unknown>;
  const changes = {
    engine: 'python',
    input: { kind: 'text' },
    output: programOutput(original, folder),
  };
  writeFileSync(path.join(folder, 'model.yaml'), dump({ ...manifest, ...changes }));
  const program = readFileSync(path.join(peers, 'program.py'), 'utf8');
  const search = `import sys\n\nsys.path.insert(0, ${JSON.stringify(peers)})\n`;
  writeFileSync(path.join(folder, 'predict.py'), `${search}${program}`);
  cpSync(path.join(peers, 'model.txt'), path.join(folder, 'requirements.txt'));
  await keepEnvironment(folder);
  return directory;
}

function programOutput(original: string, folder: string) {
  const labels = path.relative(folder, path.join(original, 'questions.json'));
  return { kind: 'ranking', labels, top: 3 };
}

/** Makes the environment once for all runs. */
async function keepEnvironment(folder: string): Promise<void> {
  const kept = path.join(packageDirectory(), 'data/bench/program');
  mkdirSync(kept, { recursive: true });
  cpSync(path.join(folder, 'requirements.txt'), path.join(kept, 'requirements.txt'));
  const log = makeLogger({ role: 'bench', level: 'warn' });
  const packages = { name: 'faq-matcher', folder: kept, requirements: 'requirements.txt' };
  await ensureEnvironment(packages, log);
  symlinkSync(path.join(kept, '.venv'), path.join(folder, '.venv'));
}

/** The random weights are not those of the manifest, and workers verify their files. */
function describeFile(file: string): { bytes: number; sha256: string } {
  const content = readFileSync(file);
  return {
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  };
}

/**
 * Generates the network with weights from a seed. It runs as fast as the real one, with no
 * download.
 */
function generateResnet152(): string {
  const root = packageDirectory();
  const file = path.join(root, 'data/bench/resnet152.onnx');
  if (existsSync(file)) return file;
  mkdirSync(path.dirname(file), { recursive: true });
  const parameters = ['bench/requirements.txt', 'bench/resnet152.py', '--out', file];
  execFileSync(
    process.execPath,
    ['dist/cli/python.js', ...parameters, '--seed', '7', '--time', '0'],
    {
      cwd: root,
      stdio: ['ignore', 2, 2],
    },
  );
  return file;
}
