// A models folder for one benchmark: the model as it is, with some of its settings changed.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { dump, load } from 'js-yaml';
import type { Manifest } from '../shared/manifest.js';
import { packageDirectory } from '../shared/version.js';

export function makeModelsDirectory(
  name: string,
  changes: { batch?: Partial<Manifest['batch']>; device?: Partial<Manifest['device']> },
  file?: string,
) {
  const original = path.join(packageDirectory(), 'models', name);
  const directory = mkdtempSync(path.join(os.tmpdir(), 'scoreline-models-'));
  const folder = path.join(directory, name);
  mkdirSync(folder);
  const manifest = load(readFileSync(path.join(original, 'model.yaml'), 'utf8')) as {
    source: { file: string };
    output: { labels: string };
  };
  symlinkSync(file ?? path.join(original, manifest.source.file), path.join(folder, 'model.onnx'));
  const changed = {
    ...manifest,
    ...changes,
    source: { ...manifest.source, file: 'model.onnx' },
    output: {
      ...manifest.output,
      labels: path.relative(folder, path.join(original, manifest.output.labels)),
    },
  };
  writeFileSync(path.join(folder, 'model.yaml'), dump(changed));
  return { path: directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
