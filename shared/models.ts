// The models of a service: manifests joined with what lies beside them.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { queueName } from './contract.js';
import { ScorelineError } from './errors.js';
import { type Manifest, readManifests } from './manifest.js';

/** A class of a model: a known question with its answer, or a kind of thing in a picture. */
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
  readonly queue: string;
  readonly folder: string;
  /** The ONNX file, which an API without models does not have. */
  readonly file: string;
  readonly labels: readonly Label[];
}

/**
 * The models to serve: those named, or every one whose file is there.
 * @throws ScorelineError `manifest_invalid`, `model_not_found`, `model_file_missing`
 */
export function readModels(options: {
  directory: string;
  names?: readonly string[] | undefined;
  /** Whether a named model must have its file: true for those who load it. */
  filesNeeded: boolean;
}): Model[] {
  const manifests = readManifests(options.directory);
  const fileOf = ({ name, source }: Manifest) => path.join(options.directory, name, source.file);
  const chosen = (
    options.names
      ? options.names.map((name) => findModel(manifests, name))
      : manifests.filter((manifest) => existsSync(fileOf(manifest)))
  ).map((manifest) => makeModel(options.directory, manifest));
  const missing = chosen.find((model) => options.filesNeeded && !existsSync(model.file));
  if (missing) throw fileMissing(missing);
  if (chosen.length === 0) {
    throw new ScorelineError(
      'model_file_missing',
      `${options.directory}: expected at least one model with its ONNX file; got none. See which there are: npm run models -- list`,
    );
  }
  return chosen;
}

/** @throws ScorelineError `model_not_found` with the list of those that exist. */
export function findModel<M extends { name: string }>(models: readonly M[], name: string): M {
  const model = models.find((candidate) => candidate.name === name);
  if (model) return model;
  const known = models.map((candidate) => candidate.name).join(', ');
  throw new ScorelineError(
    'model_not_found',
    `There is no model ${JSON.stringify(name)}. The models here: ${known}.`,
  );
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

function makeModel(directory: string, manifest: Manifest): Model {
  const folder = path.join(directory, manifest.name);
  return {
    name: manifest.name,
    version: manifest.version,
    manifest,
    queue: queueName(manifest),
    folder,
    file: path.join(folder, manifest.source.file),
    labels: readLabels(path.join(folder, manifest.output.labels), manifest),
  };
}

const questionsSchema = z
  .array(
    z
      .object({ id: z.number(), answerId: z.number(), question: z.string(), answer: z.string() })
      .transform(({ question, ...rest }): Label => ({ ...rest, text: question })),
  )
  .min(1);

function readLabels(file: string, manifest: Manifest): Label[] {
  try {
    const text = readFileSync(file, 'utf8');
    return manifest.output.kind === 'ranking'
      ? questionsSchema.parse(JSON.parse(text))
      : text.trim().split('\n').map(classLabel);
  } catch (error) {
    const expected =
      manifest.output.kind === 'ranking'
        ? 'a JSON array of {id, answerId, question, answer}'
        : 'a text file with one line a class, `id label`';
    throw new ScorelineError(
      'manifest_invalid',
      `${manifest.name}: output.labels: expected ${expected}; ${file} is not that or cannot be read`,
      { cause: error },
    );
  }
}

/** "n02127052 lynx, catamount": the class's id up to the first blank, then its name. */
function classLabel(line: string): Label {
  const [, id, text] = /^(\S+) (.*\S)\s*$/.exec(line) ?? [];
  if (id === undefined || text === undefined) throw new Error(`not an id and a label: ${line}`);
  return { id, text };
}
