// Makes the models folder of a chaos run. The models are the originals, but with a short
// `runMsMax`, so the workers notice a hanging model run within the time of the test.

import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dump, load } from 'js-yaml';
import { packageDirectory } from '../shared/version.js';

const runMsMax = 3000;

/**
 * Writes a models folder with the named models. Everything but the manifests is a symbolic link,
 * unless `place` copies it: a link would lead nowhere inside a container.
 */
export function copyModels(
  directory: string,
  names: readonly string[],
  place: (from: string, to: string) => void = symlinkSync,
): void {
  const original = path.join(packageDirectory(), 'models');
  mkdirSync(directory, { recursive: true });
  for (const entry of readdirSync(original, { withFileTypes: true })) {
    if (entry.isFile()) place(path.join(original, entry.name), path.join(directory, entry.name));
  }
  for (const name of names) {
    const from = path.join(original, name);
    const to = path.join(directory, name);
    mkdirSync(to);
    for (const entry of readdirSync(from)) {
      if (entry !== 'model.yaml') place(path.join(from, entry), path.join(to, entry));
    }
    const manifest = load(readFileSync(path.join(from, 'model.yaml'), 'utf8')) as object;
    writeFileSync(path.join(to, 'model.yaml'), dump({ ...manifest, runMsMax }));
  }
}
