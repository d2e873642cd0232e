// Reads manifests from files, and finds the folders that have one.

import { readdirSync } from 'node:fs';
import path from 'node:path';
import { ScorelineError } from './errors.js';
import { type Manifest, manifestSchema } from './manifest.js';
import { readYamlFile } from './yaml-file.js';

const manifestName = 'model.yaml';
/** What a manifest is named by mistake. */
const misnamed = /^(model|manifest)\.(ya?ml|json)$/i;

/**
 * Reads the manifest in a model's folder.
 * @throws ScorelineError `manifest_invalid`, with file, key, what was expected and what was given
 */
export function readManifest(folder: string): Manifest {
  const file = path.join(folder, manifestName);
  const name = findManifest(folder);
  if (name !== undefined && name !== manifestName) {
    throw new ScorelineError(
      'manifest_invalid',
      `${file}: expected a manifest; got ${name} instead. Rename it`,
    );
  }
  const manifest = readYamlFile(file, manifestSchema, {
    what: 'a manifest',
    code: 'manifest_invalid',
  });
  const folderName = path.basename(path.resolve(folder));
  if (manifest.name !== folderName) {
    throw new ScorelineError(
      'manifest_invalid',
      `${file}: name: expected the name of its folder, ${folderName}; got ${manifest.name}`,
    );
  }
  return manifest;
}

/**
 * Returns the names of the models in a folder, sorted: those of its folders that have a manifest,
 * or one with a wrong name.
 * @throws ScorelineError `configuration_invalid` if the folder cannot be read
 */
export function listModels(modelsDirectory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(modelsDirectory);
  } catch {
    throw new ScorelineError(
      'configuration_invalid',
      `MODELS_DIR: expected a folder with one folder a model; got ${modelsDirectory}, which cannot be read`,
    );
  }
  return names
    .filter((name) => !name.startsWith('.'))
    .filter((name) => findManifest(path.join(modelsDirectory, name)) !== undefined)
    .sort();
}

/** Returns the name of the manifest in a folder, which may be a wrong one. */
function findManifest(folder: string): string | undefined {
  try {
    const names = readdirSync(folder);
    return names.includes(manifestName) ? manifestName : names.find((name) => misnamed.test(name));
  } catch {
    return undefined;
  }
}
