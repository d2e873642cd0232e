// The models of a service: each manifest with its labels, its queues and the path of its file.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ScorelineError } from './errors.js';
import { type Manifest, readManifests } from './manifest.js';
import { queueName, readableWireVersions, wireVersion } from './wire-version.js';

/** A class of a model: a known question with its answer, or the name of a thing in an image. */
export interface Label {
  /** The text that names the class: the question, or the label. */
  readonly text: string;
  readonly id: string | number;
  readonly answerId?: number;
  readonly answer?: string;
}

export interface Model {
  readonly name: string;
  readonly version: string;
  readonly manifest: Manifest;
  /** The BullMQ queue to which the API adds jobs. */
  readonly queue: string;
  /** The queue of each wire version that this build reads. Workers serve all of them. */
  readonly queues: readonly { readonly wire: number; readonly name: string }[];
  readonly folder: string;
  /**
   * The path of the ONNX file, in the model's folder or in the cache of downloads. On a machine that
   * only runs the API, the file may be missing.
   */
  readonly file: string;
  readonly labels: readonly Label[];
}

/**
 * Reads the models to serve: the named ones, or every model whose file exists. A name may be that of the
 * model's queue, `name@version~digest`. Then the model in the folder must have this queue: whoever named it
 * so, such as the manifests of a cluster, will look at this queue and no other.
 * @throws ScorelineError `manifest_invalid`, `model_not_found`, `model_file_missing`, and
 *   `configuration_invalid` if a model has another queue
 */
export function readModels(options: {
  directory: string;
  names?: readonly string[] | undefined;
  /** Whether a named model must have its file: true for workers, which load it. */
  filesNeeded: boolean;
  /** Where the caller keeps files that it downloads. Without it, a model's folder has the file. */
  cache?: string | undefined;
}): Model[] {
  const { directory, cache } = options;
  const manifests = readManifests(directory);
  const fileOf = (manifest: Manifest) => placeOf(directory, manifest, cache);
  const chosen = (
    options.names
      ? options.names.map((name) => findModel(manifests, modelOf(name)))
      : manifests.filter((manifest) => existsSync(fileOf(manifest)))
  ).map((manifest) => makeModel(directory, manifest, fileOf(manifest)));
  for (const [index, name] of options.names?.entries() ?? []) {
    checkQueue(name, chosen[index] as Model, directory);
  }
  const isMissing = (model: Model) => !isInCache(model) && !existsSync(model.file);
  const missing = options.filesNeeded ? chosen.find(isMissing) : undefined;
  if (missing) throw fileMissing(missing);
  if (chosen.length === 0) {
    throw new ScorelineError(
      'model_file_missing',
      `${directory}: expected at least one model with its ONNX file; got none. Put one there, or set MODELS_DIR; in a container, mount a folder of models there. List the models: npm run models -- list`,
    );
  }
  return chosen;
}

/** The model's name in that of its queue. */
function modelOf(name: string): string {
  return name.split('@', 1)[0] as string;
}

function checkQueue(name: string, model: Model, directory: string): void {
  if (!name.includes('@') || name === model.queue) return;
  throw new ScorelineError(
    'configuration_invalid',
    `MODELS: expected the model whose queue is ${name}; ${directory} has ${model.queue}. Manifests of a cluster and images belong together: make both from the same checkout.`,
  );
}

/**
 * Finds a model by name: the given version, or else the first in the list.
 * @throws ScorelineError `model_not_found`, with the models or versions that exist
 */
export function findModel<M extends { name: string; version: string }>(
  models: readonly M[],
  name: string,
  version?: string,
): M {
  const versions = models.filter((model) => model.name === name);
  const model = versions.find(
    (candidate) => version === undefined || candidate.version === version,
  );
  if (model) return model;
  const [anyVersion] = versions;
  if (anyVersion) {
    const known = versions.map((candidate) => candidate.version).join(', ');
    throw new ScorelineError(
      'model_not_found',
      `There is no version ${show(version)} of ${name}. The versions here: ${known}.`,
    );
  }
  const known = [...new Set(models.map((candidate) => candidate.name))].join(', ');
  throw new ScorelineError(
    'model_not_found',
    `There is no model ${show(name)}. The models here: ${known}.`,
  );
}

/** Quotes a name that a client sent, cut to 100 characters; valid names are shorter. */
function show(name: string | undefined): string {
  return JSON.stringify(name?.slice(0, 100));
}

export function fileMissing(model: Model): ScorelineError {
  const remedy =
    model.manifest.source.urls.length > 0
      ? `Get it with: npm run models -- pull ${model.name}`
      : 'Put it there.';
  return new ScorelineError(
    'model_file_missing',
    `${model.name}: expected the file ${model.file}; there is none. ${remedy}`,
  );
}

/** Whether a model's file has its place in the cache of downloads, and not in the model's folder. */
export function isInCache({ file, folder, manifest }: Model): boolean {
  return file !== path.join(folder, manifest.source.file);
}

/** A file that can be downloaded has its place in the cache, named by its checksum. */
function placeOf(directory: string, { name, source }: Manifest, cache: string | undefined): string {
  const own = path.join(directory, name, source.file);
  if (cache === undefined || source.urls.length === 0 || existsSync(own)) return own;
  return path.join(cache, `${source.sha256}${path.extname(source.file)}`);
}

function makeModel(directory: string, manifest: Manifest, file: string): Model {
  const { name, version, source } = manifest;
  const folder = path.join(directory, name);
  const labelsFile = path.join(folder, manifest.output.labels);
  const labelsText = readLabels(labelsFile, manifest);
  const agreed = { name, version, fileSha256: source.sha256, labels: labelsText };
  return {
    name,
    version,
    manifest,
    queue: queueName(agreed, wireVersion),
    queues: readableWireVersions.map((wire) => ({ wire, name: queueName(agreed, wire) })),
    folder,
    file,
    labels: parseLabels(labelsText, labelsFile, manifest),
  };
}

const questionsSchema = z
  .array(
    z
      .object({ id: z.number(), answerId: z.number(), question: z.string(), answer: z.string() })
      .transform(({ question, ...rest }): Label => ({ ...rest, text: question })),
  )
  .min(1);

function readLabels(file: string, manifest: Manifest): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw labelsInvalid(file, manifest, cause);
  }
}

function parseLabels(text: string, file: string, manifest: Manifest): Label[] {
  try {
    return manifest.output.kind === 'ranking'
      ? questionsSchema.parse(JSON.parse(text))
      : text.trim().split('\n').map(classLabel);
  } catch (cause) {
    throw labelsInvalid(file, manifest, cause);
  }
}

function labelsInvalid(file: string, manifest: Manifest, cause: unknown): ScorelineError {
  const expected =
    manifest.output.kind === 'ranking'
      ? 'a JSON array of {id, answerId, question, answer}'
      : 'a text file with one line a class, `id label`';
  return new ScorelineError(
    'manifest_invalid',
    `${manifest.name}: output.labels: expected ${expected}; ${file} has another form or cannot be read`,
    { cause },
  );
}

/**
 * Parses a line such as "n02127052 lynx, catamount": the id up to the first blank, then the name.
 */
function classLabel(line: string): Label {
  const [, id, text] = /^(\S+) (.*\S)\s*$/.exec(line) ?? [];
  if (id === undefined || text === undefined) throw new Error(`not an id and a label: ${line}`);
  return { id, text };
}
