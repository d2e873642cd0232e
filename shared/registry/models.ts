// The models of a service: each manifest with its labels, its queues and the paths of its files.

import path from 'node:path';
import { ScorelineError } from '../errors.js';
import { listed } from '../listed.js';
import { agreedSettings } from '../manifest/agreed-settings.js';
import {
  type FolderNames,
  listModels,
  listVersions,
  readManifestAsWritten,
} from '../manifest/file.js';
import { type Head, readHeads } from '../manifest/heads.js';
import { type Label, readLabels } from '../manifest/labels.js';
import { describedFiles } from '../manifest/manifest.js';
import { codeSha256 } from '../python/code.js';
import { shown } from '../shown.js';
import { queueName, readableWireVersions, wireVersion } from '../wire/version.js';
import { closedFile, fileMissing, isInCache, type Located, missingFile, placeOf } from './files.js';
import { allLeftOut, type LeftOut } from './left-out.js';
import { latestOf, plainTraffic, readTraffic, type Traffic } from './traffic.js';
import { compareVersions } from './version-order.js';

/** How much of a name that a client sent is quoted. Valid names are shorter. */
const quotedCharactersMax = 100;
/** How many models or versions an error names. */
const namesMax = 20;

export interface Model extends Located {
  readonly name: string;
  readonly version: string;
  /** The BullMQ queue to which the API adds jobs. */
  readonly queue: string;
  /** The queue of each wire version that this build reads. Workers serve all of them. */
  readonly queues: readonly { readonly wire: number; readonly name: string }[];
  /** The digest of a Python program with its modules, when the model was read. */
  readonly codeSha256?: string | undefined;
  readonly labels: readonly Label[];
  /** Its further answers. */
  readonly heads: readonly Head[];
}

export interface ModelChoice {
  readonly directory: string;
  /**
   * The models to serve. If undefined, every model whose files exist. A name may be that of the model's
   * queue, `name@version~digest`. Then the model in the folder must have this queue: whoever named it so,
   * such as the manifests of a cluster, will look at this queue and no other.
   */
  readonly names?: readonly string[] | undefined;
  /** Whether a named model must have its files: true for workers, which load them. */
  readonly filesNeeded: boolean;
  /** Where the caller keeps files that it downloads. Without it, a model's folder has the files. */
  readonly cache?: string | undefined;
}

/** What is in the folder of models. */
export interface Collected {
  /** By name, and of each name the version first that `latest` means, then the newest. */
  readonly models: readonly Model[];
  readonly leftOut: readonly LeftOut[];
  /** How the requests to a model are shared among its versions, for each name; undefined where that cannot be read. */
  readonly traffic: ReadonlyMap<string, Traffic | undefined>;
}

/**
 * Reads the models to serve. One that cannot be served is left out. A model that was not named and
 * could be pulled is not left out: nobody asked for it.
 * @throws ScorelineError `configuration_invalid` if the folder cannot be read or a model has another
 * queue than the named one; the reasons if no model is left
 */
export function collectModels(choice: ModelChoice): Collected {
  const { directory, names } = choice;
  const here = listModels(directory);
  const all = [...askedByName(names ?? here)].map(([name, asked]) =>
    collectVersions({ name, asked }, choice, here),
  );
  const models = all.flatMap((each) => each.models);
  const leftOut = all.flatMap((each) => each.leftOut);
  const traffic = new Map(all.map((each) => [each.name, each.traffic]));
  if (models.length > 0) return { models, leftOut, traffic };
  throw leftOut.length > 0 ? allLeftOut(leftOut) : nothingToServe(directory);
}

/** What is in the folder of one model. */
export interface CollectedVersions {
  readonly name: string;
  readonly models: readonly Model[];
  readonly leftOut: readonly LeftOut[];
  /** Undefined if it cannot be read. Then nobody knows which version may answer. */
  readonly traffic: Traffic | undefined;
}

/** A model, and how it was asked for: by its name, or by the queues of some of its versions. */
export interface Asked {
  readonly name: string;
  readonly asked: readonly string[];
}

/** Groups what was asked for by the names of models. */
export function askedByName(names: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const asked of names) {
    const name = nameIn(asked);
    groups.set(name, [...(groups.get(name) ?? []), asked]);
  }
  return groups;
}

/**
 * Reads the versions of a model.
 * @param here the names of all models in the folder
 * @throws ScorelineError `configuration_invalid` if it has another queue than the named one
 */
export function collectVersions(
  { name, asked }: Asked,
  choice: ModelChoice,
  here: readonly string[],
): CollectedVersions {
  const { directory, names } = choice;
  if (!here.includes(name)) {
    return {
      name,
      models: [],
      leftOut: [{ name, error: noModel(name, here) }],
      traffic: undefined,
    };
  }
  const folder = path.join(directory, name);
  const leftOut: LeftOut[] = [];
  const attempt = <T>(of: Omit<LeftOut, 'error'>, read: () => T): T | undefined => {
    try {
      return read();
    } catch (thrown) {
      const error = closedFile(name, thrown) ?? thrown;
      const isOfModel = error instanceof ScorelineError && error.code !== 'configuration_invalid';
      if (!isOfModel) throw thrown;
      leftOut.push({ ...of, error });
      return undefined;
    }
  };
  const read = listVersions(folder).flatMap(({ folder: place, ...called }) => {
    const model = attempt({ ...called, folder: place }, () =>
      readModel(place, called, choice.cache),
    );
    return model ? [model] : [];
  });
  for (const each of asked) checkQueue(each, read, directory);
  const models: Model[] = [];
  for (const model of read.filter(({ queue }) => asked.includes(name) || asked.includes(queue))) {
    attempt({ name, version: model.version, folder: model.folder }, () => {
      const twin = models.find(({ version }) => version === model.version);
      if (twin) throw versionTwice(model, twin);
      if (hasFiles(model, choice, names !== undefined)) models.push(model);
    });
  }
  models.sort((a, b) => compareVersions(a.version, b.version));
  const versions = [...read, ...leftOut].flatMap(({ version }) => version ?? []);
  const traffic = attempt({ name, isTraffic: true }, () => readTraffic(folder, versions));
  return { name, models: latestFirst(models, traffic ?? plainTraffic), leftOut, traffic };
}

/**
 * Whether a model can be served by whoever chose it.
 * @throws ScorelineError `model_file_missing` if somebody should be told that it cannot
 */
function hasFiles(model: Model, { filesNeeded }: ModelChoice, isNamed: boolean): boolean {
  const needsFiles = isNamed ? filesNeeded && !isInCache(model) : true;
  const missing = needsFiles ? missingFile(model) : undefined;
  if (!missing) return true;
  if (isNamed || missing.urls.length === 0) throw fileMissing(model, missing);
  return false;
}

/**
 * Puts the version first that `latest` means.
 * @param current what it means now
 */
export function latestFirst(
  models: readonly Model[],
  traffic: Traffic,
  current?: string,
): readonly Model[] {
  const latest = latestOf(models, traffic, current);
  return latest === undefined || latest === models[0]
    ? models
    : [latest, ...models.filter((model) => model !== latest)];
}

function versionTwice({ folder, version }: Model, twin: Model): ScorelineError {
  return new ScorelineError(
    'manifest_invalid',
    `${path.join(folder, 'model.yaml')}: version: expected a version of its own; got ${version}, which ${twin.folder} has, too`,
  );
}

/**
 * Reads the models like `collectModels`, and leaves none out.
 * @throws ScorelineError `manifest_invalid`, `model_not_found`, `model_file_missing`,
 * `configuration_invalid`
 */
export function readModels(choice: ModelChoice): Model[] {
  const { models, leftOut } = collectModels(choice);
  const [first] = leftOut;
  if (first) throw first.error;
  return [...models];
}

/** Returns the model's name in that of its queue. */
function nameIn(name: string): string {
  return name.split('@', 1)[0] as string;
}

function checkQueue(name: string, models: readonly Model[], directory: string): void {
  if (!name.includes('@') || models.length === 0) return;
  if (models.some(({ queue }) => queue === name)) return;
  const queues = models.map(({ queue }) => queue).join(', ');
  throw new ScorelineError(
    'configuration_invalid',
    `MODELS: expected the model whose queue is ${name}; ${directory} has ${queues}. Manifests of a cluster and images belong together: make both from the same checkout.`,
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
  if (versions.length > 0) {
    const known = listed(
      versions.map((candidate) => candidate.version),
      namesMax,
    );
    throw new ScorelineError(
      'model_not_found',
      `There is no version ${shown(version, quotedCharactersMax)} of ${name}. The versions here: ${known}.`,
    );
  }
  throw noModel(
    name,
    models.map((candidate) => candidate.name),
  );
}

function noModel(name: string, here: readonly string[]): ScorelineError {
  const models =
    here.length > 0
      ? `The models here: ${listed([...new Set(here)], namesMax)}.`
      : 'No models are here.';
  return new ScorelineError(
    'model_not_found',
    `There is no model ${shown(name, quotedCharactersMax)}. ${models}`,
  );
}

function nothingToServe(directory: string): ScorelineError {
  return new ScorelineError(
    'model_file_missing',
    `${directory}: expected at least one model with its ONNX file; got none. Put one there, or set MODELS_DIR; in a container, mount a folder of models there. List the models: npm run models -- list`,
  );
}

function readModel(folder: string, names: FolderNames, cache: string | undefined): Model {
  const { manifest, written } = readManifestAsWritten(folder, names);
  const { name, version, source } = manifest;
  const labels = readLabels(folder, manifest);
  const code = source.engine === 'python' ? codeSha256(folder, name, source) : undefined;
  const hashes = describedFiles(source).map(({ sha256 }) => sha256);
  const fileSha256 = [...(code === undefined ? [] : [code]), ...hashes].join(' ');
  const heads = readHeads(folder, manifest);
  const agreed = {
    name,
    version,
    fileSha256,
    settings: agreedSettings(written),
    labels: JSON.stringify([labels, ...heads.map((head) => head.labels)]),
  };
  return {
    name,
    version,
    manifest,
    queue: queueName(agreed, wireVersion),
    queues: readableWireVersions.map((wire) => ({ wire, name: queueName(agreed, wire) })),
    folder,
    file: placeOf(folder, manifest, cache),
    codeSha256: code,
    labels,
    heads,
  };
}
