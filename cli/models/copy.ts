// Copies of a model with another manifest: a new version beside it, or a trial in a temporary folder.

import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { isInnerPath } from '../../shared/files/inner-path.js';
import { linkFile } from '../../shared/files/link-file.js';
import { scoresExampleOf } from '../../shared/manifest/example.js';
import { labelFilesOf } from '../../shared/manifest/labels.js';
import { filesOf } from '../../shared/registry/files.js';
import { findModel, type Model, readModels } from '../../shared/registry/models.js';
import { type Edit, editYaml } from './yaml-edit.js';

const shortForms = { device: 'type', batch: 'max' };

export function manifestFile({ folder }: Pick<Model, 'folder'>): string {
  return path.join(folder, 'model.yaml');
}

/** Returns the manifest of a model with some keys changed. */
export function editManifest(model: Model, edits: readonly Edit[]): string {
  const file = manifestFile(model);
  return editYaml(readFileSync(file, 'utf8'), edits, { file, shortForms });
}

/**
 * Makes `directory/NAME` with an edited manifest, the labels and the example's picture. The caller adds the network.
 */
export function copyManifest(model: Model, directory: string, edits: readonly Edit[]): string {
  const folder = path.join(directory, model.name);
  mkdirSync(folder, { recursive: true });
  for (const [, file] of namedFiles(model).filter(([, name]) => isInnerPath(name))) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    copyFileSync(path.join(model.folder, file), path.join(folder, file));
  }
  const moved = movedTo(model, folder);
  writeFileSync(manifestFile({ folder }), editManifest(model, [...moved, ...edits]));
  return folder;
}

/** Returns the edits with which a manifest in another folder names the same files outside of it. */
export function movedTo(model: Model, folder: string): Edit[] {
  return namedFiles(model)
    .filter(([, file]) => !isInnerPath(file))
    .map(([keys, file]) => [keys, path.relative(folder, path.resolve(model.folder, file))]);
}

/** The files that the manifest names by paths relative to itself. */
function namedFiles({ manifest }: Model): [keys: string[], file: string][] {
  const { input } = manifest;
  const example = scoresExampleOf(manifest);
  return [
    ...labelFilesOf(manifest).map(({ keys, file }): [string[], string] => [keys, file]),
    ...(example && input.kind === 'image'
      ? [[['example', 'input'], String(example.input)] as [string[], string]]
      : []),
  ];
}

/** Makes a copy of a model that is served for a trial, with links to its files. */
export function makeTrial(model: Model, directory: string, edits: readonly Edit[]): Model {
  const folder = copyManifest(model, directory, edits);
  const here = new Set(readdirSync(folder));
  if (model.manifest.engine === 'python') {
    for (const entry of readdirSync(model.folder)) {
      if (!here.has(entry)) symlinkSync(path.join(model.folder, entry), path.join(folder, entry));
    }
  } else for (const file of filesOf(model)) linkFile(file.path, path.join(folder, file.file));
  return modelIn(directory, model.name);
}

/**
 * Reads a model of a folder of models: the given version, or else the one that answers requests without a version.
 * @throws ScorelineError `model_not_found`
 */
export function modelIn(directory: string, name: string, version?: string): Model {
  const models = readModels({ directory, names: [name], filesNeeded: true });
  return findModel(models, name, version);
}
