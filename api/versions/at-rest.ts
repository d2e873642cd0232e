// Which models may be at rest: without workers, which come only for requests. The manifest says it (`scaling.min: 0`),
// unless the service was told otherwise, such as by the values of a cluster.

import type { Model } from '../../shared/registry/models.js';

export type MayRest = (model: Pick<Model, 'name' | 'queue' | 'manifest'>) => boolean;

/** @param those names or queues of the models that may be at rest; undefined if their manifests say it */
export function makeMayRest(those?: readonly string[]): MayRest {
  if (!those) return ({ manifest }) => manifest.scaling.min === 0;
  return ({ name, queue }) => those.includes(name) || those.includes(queue);
}

/** Returns which of those are neither the name nor the queue of a model, such as misspelt ones. */
export function namesOfNoModel(
  those: readonly string[],
  models: readonly Pick<Model, 'name' | 'queue'>[],
): string[] {
  const known = new Set(models.flatMap(({ name, queue }) => [name, queue]));
  return those.filter((one) => !known.has(one));
}
