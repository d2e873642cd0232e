// The registry: which models and versions this process serves.
//
// It is the only owner of that list. Other parts ask it when they need a model. Parts that hold
// something for each model (a queue, a session) subscribe, and are told which models were added and
// removed.
//
// Invariant: no two models of a registry have the same name and version.

import { ScorelineError } from './errors.js';
import type { LeftOut } from './left-out.js';
import { findModel, type Model } from './models.js';

export interface RegistryChange {
  readonly added: readonly Model[];
  readonly removed: readonly Model[];
}

export interface Registry {
  /** The models served now, in the order in which they were given. */
  readonly models: readonly Model[];
  /** The models that were to be served and cannot be. */
  readonly leftOut: readonly LeftOut[];
  /**
   * Finds a model by name: the given version, or else the first in the list.
   * @throws ScorelineError `model_not_found`, with the models or versions that exist
   */
  find(name: string, version?: string): Model;
  /**
   * Calls the listener with the present models at once, and again with each change. Returns a
   * function that ends the subscription.
   */
  subscribe(listener: (change: RegistryChange) => void): () => void;
  /** Replaces the list. A model whose file or labels changed is removed and added again. */
  replace(models: readonly Model[]): void;
}

/** What somebody may know of a registry. */
export type Catalogue = Pick<Registry, 'models' | 'leftOut' | 'find'>;

/** Returns a catalogue in which only models with these names exist. */
export function only(names: readonly string[], { models, leftOut }: Catalogue): Catalogue {
  const isAmong = ({ name }: { name: string }) => names.includes(name);
  return makeCatalogue(models.filter(isAmong), leftOut.filter(isAmong));
}

export function makeRegistry(
  initial: readonly Model[],
  leftOut: readonly LeftOut[] = [],
): Registry {
  const listeners = new Set<(change: RegistryChange) => void>();
  let models = checked(initial);

  return {
    get models() {
      return models;
    },
    leftOut,
    find: (name, version) => makeCatalogue(models, leftOut).find(name, version),
    subscribe(listener) {
      listeners.add(listener);
      listener({ added: models, removed: [] });
      return () => listeners.delete(listener);
    },
    replace(next) {
      const before = models;
      models = checked(next);
      const added = next.filter(({ queue }) => !before.some((model) => model.queue === queue));
      const removed = before.filter(({ queue }) => !next.some((model) => model.queue === queue));
      if (added.length + removed.length === 0) return;
      for (const listener of [...listeners]) listener({ added, removed });
    },
  };
}

function makeCatalogue(models: readonly Model[], leftOut: readonly LeftOut[]): Catalogue {
  return {
    models,
    leftOut,
    find(name, version) {
      const without = leftOut.find((model) => model.name === name);
      if (without && !models.some((model) => model.name === name)) throw notServed(without);
      return findModel(models, name, version);
    },
  };
}

function notServed({ name, error }: LeftOut): ScorelineError {
  return new ScorelineError(
    'model_not_found',
    `The model "${name}" is not served, because of an error at the start (${error.code}). The log of the API says what is wrong.`,
  );
}

function checked(models: readonly Model[]): readonly Model[] {
  const names = models.map(({ name, version }) => `${name}@${version}`);
  const duplicate = names.find((name, index) => names.indexOf(name) !== index);
  if (duplicate !== undefined)
    throw new Error(`The model ${duplicate} is there twice. This is a bug.`);
  return models;
}
