// The registry: which models and versions this process serves.
//
// It is the only owner of that list. Other parts ask it when they need a model. Parts that hold
// something for each model, such as a queue, subscribe, and are told which models were added and
// removed.
//
// A model that leaves the list may *drain*: no request comes to it any more, and those that it has are answered.
// Then it is *retired*: only the results of its jobs are still written.
//
// Invariant: no two models of the list have the same name and version. A draining one may.

import { ScorelineError } from '../errors.js';
import type { LeftOut } from './left-out.js';
import { findModel, type Model } from './models.js';
import type { Split } from './traffic.js';

export interface RegistryChange {
  readonly added: readonly Model[];
  readonly removed: readonly Model[];
}

/** A version that gets copies of requests. */
export interface Shadow {
  readonly model: Model;
  /** The queues of the versions whose requests it can score: they take the same inputs. */
  readonly of: ReadonlySet<string>;
  readonly percent: number;
}

/** What a process serves. */
export interface Served {
  /** By name, the latest version of each name first. */
  readonly models: readonly Model[];
  /** The models that were to be served and cannot be. */
  readonly leftOut: readonly LeftOut[];
  /** How requests are shared among versions, by name; nothing where all go to the latest one. */
  readonly splits: ReadonlyMap<string, Split<Model>>;
  /** Why no version of a model answers requests that name none, by name. Then the model has no latest version. */
  readonly refusals: ReadonlyMap<string, ScorelineError>;
  /** The versions that get copies of requests, by name. */
  readonly shadows: ReadonlyMap<string, Shadow>;
  /** The models that only answer the requests that they have. */
  readonly draining: readonly Model[];
}

export interface Registry extends Served {
  /** The latest version of each model that answers requests without a version, in the order of `models`. */
  readonly latest: readonly Model[];
  /**
   * Finds a model by name: the given version, or else the latest one.
   * @throws ScorelineError `model_not_found`, with the models or versions that exist; `model_load_failed` if the model
   * is here and cannot be served
   */
  find(name: string, version?: string): Model;
  /** Returns the model with this queue, served, draining or retired. */
  ofQueue(queue: string): Model | undefined;
  /**
   * Returns whether a model that is not here may still come, since other instances know it first where versions change
   * or instances are replaced. After the first question about a queue, that is so for a minute.
   */
  awaitQueue(model: { readonly name: string; readonly queue: string }): boolean;
  /**
   * Calls the listener with the present models at once, and again with each change. Returns a
   * function that ends the subscription. A draining model is still there.
   */
  subscribe(listener: (change: RegistryChange) => void): () => void;
  /**
   * Replaces what is served. A model whose file, labels or settings changed is removed and added again.
   * @param rest fields that are left out stay as they are, except that no model drains
   */
  replace(models: readonly Model[], rest?: Partial<Omit<Served, 'models'>>): void;
}

/** The part of a registry that callers may see. */
export type Catalogue = Pick<
  Registry,
  'models' | 'latest' | 'leftOut' | 'splits' | 'refusals' | 'find' | 'ofQueue' | 'awaitQueue'
>;

/** Of how many retired models the results of jobs are still written. */
const retiredMax = 64;
const awaitedMsMax = 60_000;
const unknownMax = 1000;

/** Returns a catalogue in which only models with these names exist. */
export function only(names: readonly string[], catalogue: Catalogue): Catalogue {
  const isAmong = ({ name }: { name: string }) => names.includes(name);
  const { models, latest, leftOut, splits, refusals } = catalogue;
  const known = { models: models.filter(isAmong), leftOut: leftOut.filter(isAmong), refusals };
  return {
    ...known,
    latest: latest.filter(isAmong),
    // Not filtered, since a caller cannot name a model that it does not know.
    splits,
    find: (name, version) => findIn(known, name, version),
    ofQueue: (queue) => {
      const model = catalogue.ofQueue(queue);
      return model && isAmong(model) ? model : undefined;
    },
    awaitQueue: (model) => isAmong(model) && catalogue.awaitQueue(model),
  };
}

export function makeRegistry(
  initial: readonly Model[],
  leftOut: readonly LeftOut[] = [],
): Registry {
  const listeners = new Set<(change: RegistryChange) => void>();
  let served: Served & Pick<Registry, 'latest'> = toServed(initial, {
    leftOut,
    splits: new Map(),
    refusals: new Map(),
    shadows: new Map(),
    draining: [],
  });
  const retired = new Map<string, Model>();
  /** When a queue was first asked for that is not known. */
  const unknown = new Map<string, number>();
  const all = () => [...served.models, ...served.draining];

  return {
    get models() {
      return served.models;
    },
    get latest() {
      return served.latest;
    },
    get leftOut() {
      return served.leftOut;
    },
    get splits() {
      return served.splits;
    },
    get refusals() {
      return served.refusals;
    },
    get shadows() {
      return served.shadows;
    },
    get draining() {
      return served.draining;
    },
    find: (name, version) => findIn(served, name, version),
    ofQueue: (queue) => all().find((model) => model.queue === queue) ?? retired.get(queue),
    awaitQueue({ queue }) {
      const since = unknown.get(queue) ?? performance.now();
      unknown.set(queue, since);
      for (const first of unknown.keys()) if (unknown.size > unknownMax) unknown.delete(first);
      return performance.now() - since < awaitedMsMax;
    },
    subscribe(listener) {
      listeners.add(listener);
      listener({ added: all(), removed: [] });
      return () => listeners.delete(listener);
    },
    replace(models, rest) {
      const before = all();
      served = toServed(models, { ...served, draining: [], ...rest });
      const now = all();
      const added = now.filter(({ queue }) => !before.some((model) => model.queue === queue));
      const removed = before.filter(({ queue }) => !now.some((model) => model.queue === queue));
      for (const model of removed) retired.set(model.queue, model);
      for (const queue of retired.keys()) if (retired.size > retiredMax) retired.delete(queue);
      if (added.length + removed.length === 0) return;
      for (const listener of [...listeners]) listener({ added, removed });
    },
  };
}

function toServed(
  models: readonly Model[],
  { leftOut, splits, refusals, shadows, draining }: Omit<Served, 'models'>,
) {
  const isFirst = ({ name }: Model, at: number) =>
    models.findIndex((other) => other.name === name) === at;
  const latest = models.filter(isFirst).filter(({ name }) => !refusals.has(name));
  return { models: checked(models), latest, leftOut, splits, refusals, shadows, draining };
}

function findIn(
  { models, leftOut, refusals }: Pick<Served, 'models' | 'leftOut' | 'refusals'>,
  name: string,
  version: string | undefined,
): Model {
  const isHere = () => models.some((model) => model.name === name);
  const without = leftOut.find((model) => model.name === name);
  if (without && !isHere()) throw notServed(without);
  const refusal = version === undefined ? refusals.get(name) : undefined;
  if (refusal && isHere()) throw refusal;
  return findModel(models, name, version);
}

function notServed({ name, error, fault }: LeftOut): ScorelineError {
  if (error.code === 'model_not_found') return error;
  const detail =
    error.code === 'model_load_failed'
      ? `No worker can load the model "${name}"${fault === undefined ? '' : ` (${fault})`}. The log of the workers says what is wrong.`
      : `The model "${name}" is not served, because of an error when it was read (${error.code}). The log of the API says what is wrong.`;
  return new ScorelineError('model_load_failed', detail, { unservedModel: name });
}

function checked(models: readonly Model[]): readonly Model[] {
  const names = models.map(({ name, version }) => `${name}@${version}`);
  const duplicate = names.find((name, index) => names.indexOf(name) !== index);
  if (duplicate !== undefined)
    throw new Error(`The model ${duplicate} is there twice. This is a bug.`);
  return models;
}
