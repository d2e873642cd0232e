// The registry: which models and versions this process serves.
//
// It is the only owner of that list. Other parts ask it when they need a model. Parts that hold
// something for each model (a queue, a session) subscribe, and are told which models were added and
// removed.
//
// Invariant: no two models of a registry have the same name and version.

import { findModel, type Model } from './models.js';

export interface RegistryChange {
  readonly added: readonly Model[];
  readonly removed: readonly Model[];
}

export interface Registry {
  /** The models served now, in the order in which they were given. */
  readonly models: readonly Model[];
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

export function makeRegistry(initial: readonly Model[]): Registry {
  const listeners = new Set<(change: RegistryChange) => void>();
  let models = checked(initial);

  return {
    get models() {
      return models;
    },
    find: (name, version) => findModel(models, name, version),
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

function checked(models: readonly Model[]): readonly Model[] {
  const names = models.map(({ name, version }) => `${name}@${version}`);
  const duplicate = names.find((name, index) => names.indexOf(name) !== index);
  if (duplicate !== undefined)
    throw new Error(`The model ${duplicate} is there twice. This is a bug.`);
  return models;
}
