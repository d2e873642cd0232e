// Reads manifests from files, and finds the folders that have one. A model's folder has a manifest, or a folder for
// each version with a manifest of its own, or both.

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ScorelineError } from '../errors.js';
import { namesIn } from '../files/names-in.js';
import { readYamlFile } from '../files/yaml-file.js';
import { type Manifest, manifestSchema, namePattern, versionPattern } from './manifest.js';

const manifestName = 'model.yaml';
/** What a manifest is named by mistake. */
const misnamed = /^(model|manifest)\.(ya?ml|json)$/i;

/** The name of a model, and its version if its folder says it. */
export interface FolderNames {
  readonly name: string;
  readonly version?: string | undefined;
}

/**
 * Reads the manifest in a folder.
 * @param names what the manifest must be called; that of the folder unless it is the folder of a version
 * @throws ScorelineError `manifest_invalid`, with file, key, what was expected and what was given
 */
export function readManifest(
  folder: string,
  names: FolderNames = { name: path.basename(path.resolve(folder)) },
): Manifest {
  return readManifestAsWritten(folder, names).manifest;
}

/**
 * Reads the manifest in a folder, and returns it as it is written, too: without defaults and short forms.
 * @throws ScorelineError `manifest_invalid`, as `readManifest`
 */
export function readManifestAsWritten(
  folder: string,
  names: FolderNames,
): { manifest: Manifest; written: unknown } {
  const file = path.join(folder, manifestName);
  const name = findManifest(folder);
  if (name !== undefined && name !== manifestName) {
    throw new ScorelineError(
      'manifest_invalid',
      `${file}: expected a manifest; got ${name} instead. Rename it`,
    );
  }
  let written: unknown;
  const keep = (value: unknown) => {
    written = value;
    return value;
  };
  const manifest = readYamlFile(file, z.preprocess(keep, manifestSchema), {
    what: 'a manifest',
    code: 'manifest_invalid',
    texts: [['version']],
  });
  for (const key of ['name', 'version'] as const) {
    const expected = names[key];
    if (expected === undefined || manifest[key] === expected) continue;
    throw new ScorelineError(
      'manifest_invalid',
      `${file}: ${key}: expected the name of its folder, ${expected}; got ${manifest[key]}`,
    );
  }
  return { manifest, written };
}

/**
 * Returns the folders of a model that have a manifest: its own, and one for each version. A folder that this process
 * must not read is among them, so whoever reads its manifest says so.
 */
export function listVersions(folder: string): (FolderNames & { readonly folder: string })[] {
  const name = path.basename(path.resolve(folder));
  const isOwn = findManifest(folder) !== undefined || (namePattern.test(name) && isClosed(folder));
  const own = isOwn ? [{ name, folder }] : [];
  return [
    ...own,
    ...versionsIn(folder).map((each) => ({ name, version: each, folder: path.join(folder, each) })),
  ];
}

/** Other folders inside that of a model may have files of any name, such as `manifest.json`. */
function versionsIn(folder: string): string[] {
  return namesIn(folder)
    .filter((entry) => !entry.startsWith('.'))
    .filter((entry) => {
      const place = path.join(folder, entry);
      const hasManifest = existsSync(path.join(place, manifestName));
      return hasManifest || (versionPattern.test(entry) && isClosed(place));
    });
}

/** Whether there is a folder that this process must not read. */
function isClosed(folder: string): boolean {
  try {
    readdirSync(folder);
    return false;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EACCES';
  }
}

/**
 * Returns the names of the models in a folder, sorted: those of its folders that have a manifest,
 * or one with a wrong name, or versions.
 * @throws ScorelineError `configuration_invalid` if the folder cannot be read
 */
export function listModels(modelsDirectory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(modelsDirectory);
  } catch {
    throw new ScorelineError(
      'configuration_invalid',
      `MODELS_DIR: expected a folder with one folder a model; got ${modelsDirectory}, which cannot be read. Check that it is there, and that the user of this process may read it (user 1000 in the images)`,
    );
  }
  return names
    .filter((name) => !name.startsWith('.'))
    .filter((name) => listVersions(path.join(modelsDirectory, name)).length > 0)
    .sort();
}

/** Returns the name of the manifest in a folder, which may be a wrong one. */
function findManifest(folder: string): string | undefined {
  const names = namesIn(folder);
  return names.includes(manifestName) ? manifestName : names.find((name) => misnamed.test(name));
}
