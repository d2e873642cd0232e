// Which models can be scored: those that have had a live worker since this instance started, and those
// that may scale from zero.

import type { Model } from '../../shared/models.js';
import type { Queue } from '../queue/queue.js';

export interface Readiness {
  /** Returns those of the models that have no worker and need one; undefined without Redis. */
  missing(models: readonly Model[]): Promise<readonly Model[] | undefined>;
}

export function makeReadiness(queue: Pick<Queue, 'countWorkers'>): Readiness {
  const seen = new Set<string>();

  return {
    async missing(models) {
      const counts = await queue
        .countWorkers(models.map((model) => model.queue))
        .catch(() => undefined);
      if (counts === undefined) return undefined;
      for (const [index, model] of models.entries()) {
        if ((counts[index] ?? 0) > 0) seen.add(model.queue);
      }
      return models.filter((model) => model.manifest.scaling.min > 0 && !seen.has(model.queue));
    },
  };
}
