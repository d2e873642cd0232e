// Which models can be scored: those that have had a live worker since this instance started, and those
// that may scale from zero; none that workers have reported to be broken.

import type { Model } from '../shared/registry/models.js';
import type { Registry } from '../shared/registry/registry.js';
import type { Calls } from './call/calls.js';
import type { Queue } from './queue/queue.js';
import type { MayRest } from './versions/at-rest.js';

export interface Readiness {
  /** Returns those of the models that have no worker and need one, or are refused; undefined without Redis. */
  missing(models: readonly Model[]): Promise<readonly Model[] | undefined>;
  /** Returns why this instance should get no requests; undefined if it should. */
  whyNot(): Promise<string | undefined>;
}

export function makeReadiness(options: {
  queue: Pick<Queue, 'countWorkers'>;
  registry: Pick<Registry, 'models'>;
  calls: Pick<Calls, 'isLeaving' | 'isRefused'>;
  mayRest: MayRest;
}): Readiness {
  const { queue, registry, calls, mayRest } = options;
  const seen = new Set<string>();

  const neverSeen: Readiness['missing'] = async (models) => {
    const counts = await queue
      .countWorkers(models.map((model) => model.queue))
      .catch(() => undefined);
    if (counts === undefined) return undefined;
    for (const [index, model] of models.entries()) {
      if ((counts[index] ?? 0) > 0) seen.add(model.queue);
    }
    return models.filter((model) => !mayRest(model) && !seen.has(model.queue));
  };

  return {
    async missing(models) {
      const unseen = await neverSeen(models);
      return unseen && models.filter((model) => unseen.includes(model) || calls.isRefused(model));
    },
    // Models that are refused do not count: one that breaks later must not take the others out of service.
    async whyNot() {
      if (calls.isLeaving) return 'shutting down';
      const { models } = registry;
      const without = await neverSeen(models);
      if (without === undefined) return 'Redis cannot be reached';
      if (without.length === 0) return undefined;
      // Anyone may ask, so this names no models.
      return `no worker yet for ${without.length} of ${models.length} models; see GET /v1/models`;
    },
  };
}
