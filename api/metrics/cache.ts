// Counts what the response cache has served.

import type { Instruments } from '../../shared/metrics/instruments.js';
import type { Model } from '../../shared/registry/models.js';
import type { Registry } from '../../shared/registry/registry.js';
import { type CacheOutcome, cacheOutcomes } from '../cache/cache-note.js';

/** Returns a function to be called for each call that the cache has served. */
export function makeCacheMetrics(
  instruments: Instruments,
  registry: Pick<Registry, 'subscribe'>,
): (model: Model, outcome: CacheOutcome) => void {
  const count = ({ name: model, version }: Model, outcome: CacheOutcome, amount = 1) =>
    instruments.add('cacheRequests', { model, version, outcome }, amount);

  registry.subscribe(({ added }) => {
    for (const model of added) for (const outcome of cacheOutcomes) count(model, outcome, 0);
  });
  return (model, outcome) => count(model, outcome);
}
