// Bakes models into an image. A worker gets each manifest with its labels and its network. An API
// gets no networks, since it loads none. Both get the code of Python programs, by which they know that they
// have the same model.

import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { ScorelineError } from '../shared/errors.js';
import { listModels, listVersions, readManifest } from '../shared/manifest/file.js';
import { labelFilesOf } from '../shared/manifest/labels.js';
import { makeLogger } from '../shared/process/log.js';
import { codeFiles } from '../shared/python/code.js';
import { filesOf } from '../shared/registry/files.js';
import { type Model, readModels } from '../shared/registry/models.js';
import { trafficName } from '../shared/registry/traffic.js';
import { ensureEnvironment } from '../worker/engine/python/environment.js';
import { ensureModelFiles } from '../worker/files/model-files.js';
import type { ImageRole } from './assemble.js';

/**
 * Copies the named models from the folder `directory` to `target`. A worker's networks that are not
 * there are downloaded.
 * @throws ScorelineError `model_not_found`, `manifest_invalid`, `model_file_missing`,
 *   `model_file_wrong`, `download_failed`
 */
export async function bake(options: {
  role: ImageRole;
  directory: string;
  names: readonly string[];
  target: string;
  /** A folder for downloads. */
  cache: string;
}): Promise<void> {
  const { role, directory, names, target, cache } = options;
  mkdirSync(target, { recursive: true });
  if (names.length === 0) return;
  const needsFiles = role === 'worker';
  for (const model of readModels({ directory, names, filesNeeded: needsFiles, cache })) {
    const labels = labelFilesOf(model.manifest).map(({ file }) => file);
    const { source } = model.manifest;
    const code = source.engine === 'python' ? codeFiles(model.folder, model.name, source) : [];
    for (const file of ['model.yaml', ...labels, ...code]) copy(model, directory, target, file);
    copyTraffic(model, directory, target);
    if (!needsFiles) continue;
    await ensureModelFiles(model, makeLogger({ role: 'bake', level: 'info' }));
    for (const { path: from, file } of filesOf(model)) {
      cpSync(from, path.join(target, path.relative(directory, model.folder), file));
    }
  }
  letEveryoneRead(target);
}

/** Lets the user of the images read what a private umask has kept from others. */
function letEveryoneRead(directory: string): void {
  for (const name of ['.', ...readdirSync(directory, { recursive: true, encoding: 'utf8' })]) {
    const place = path.join(directory, name);
    const stats = statSync(place);
    chmodSync(place, stats.mode | (stats.isDirectory() ? 0o555 : 0o444));
  }
}

/** Makes the environments of the Python programs among the models in a folder. */
export async function makeEnvironments(directory: string): Promise<void> {
  const log = makeLogger({ role: 'bake', level: 'info' });
  for (const name of listModels(directory)) {
    for (const { folder, ...names } of listVersions(path.resolve(directory, name))) {
      const { source } = readManifest(folder, names);
      if (source.engine !== 'python') continue;
      await ensureEnvironment({ name, folder, requirements: source.requirements }, log);
    }
  }
}

/** Copies how a model's requests are shared among its versions, if a file says it. */
function copyTraffic({ name }: Model, directory: string, target: string): void {
  const file = path.join(name, trafficName);
  if (existsSync(path.join(directory, file))) {
    cpSync(path.join(directory, file), path.join(target, file));
  }
}

/** Copies a file, named relative to the model's folder, and keeps its place among the models. */
function copy({ name, folder }: Model, directory: string, target: string, file: string): void {
  const relative = path.normalize(path.join(path.relative(directory, folder), file));
  if (relative.startsWith('..') || !existsSync(path.join(directory, relative))) {
    throw new ScorelineError(
      'manifest_invalid',
      `${name}: expected ${file} inside ${directory}, the folder of models; it is elsewhere, so an image cannot have it`,
    );
  }
  mkdirSync(path.dirname(path.join(target, relative)), { recursive: true });
  cpSync(path.join(directory, relative), path.join(target, relative));
}
