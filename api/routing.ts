// Which version of a model a request goes to.

import type { Model } from '../shared/registry/models.js';
import type { Catalogue } from '../shared/registry/registry.js';
import { choose, type Split } from '../shared/registry/traffic.js';

/** Reads a header of a request, by its name in lower case. */
export type ReadHeader = (name: string) => string | undefined;

/**
 * Returns the version that a request goes to: the one that it names, or one of those that share the model's requests.
 * @throws ScorelineError `model_not_found`
 */
export function routeTo(
  catalogue: Catalogue,
  { name, version }: { name: string; version?: string | undefined },
  read: ReadHeader,
): Model {
  const model = catalogue.find(name, version);
  return version === undefined ? chosen(catalogue, model, read) : model;
}

/** Returns the models that a request may be for that names none: a version of each. */
export function routeToAny(catalogue: Catalogue, read: ReadHeader): readonly Model[] {
  const { latest, splits } = catalogue;
  return splits.size === 0 ? latest : latest.map((model) => chosen(catalogue, model, read));
}

/** Returns the version that a request without a version goes to, given the latest one. */
export function chosen({ splits }: Catalogue, latest: Model, read: ReadHeader): Model {
  const split = splits.size === 0 ? undefined : splits.get(latest.name);
  return split ? choose(split, stickyValue(split, read)) : latest;
}

/** A repeat of a request must find the result of the first one, which its version keeps. Its key may be in quotes. */
function stickyValue({ header }: Split<Model>, read: ReadHeader): string | undefined {
  return (header && read(header)) ?? read('idempotency-key')?.replace(/^"(.*)"$/, '$1');
}
