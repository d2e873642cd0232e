// The plan of a run: that of the values, but apart from whatever else the cluster serves, and quick to scale.

import type { Plan, PlannedModel } from '../../k8s/plan.js';
import { readPlan } from '../../k8s/read-plan.js';
import type { Values } from '../../k8s/values.js';
import { modelNames } from '../catalogue.js';

export interface TrialImages {
  readonly api?: string | undefined;
  readonly worker?: string | undefined;
  readonly redis?: string | undefined;
}

/** Few enough for a small cluster, and enough to see the autoscaler at work. */
const workersMax = 3;
/** So few unanswered pictures are worth a worker that the burst keeps the most workers busy. */
const scaling = { min: 0, max: workersMax, itemsPerWorker: 4, coolDownSeconds: 15, schedule: [] };

/**
 * Reads the values and changes what a run must decide for itself.
 * @throws ScorelineError `configuration_invalid` if the values are wrong or lack a model of the run
 */
export function readTrialPlan(options: {
  file: string;
  modelsDirectory: string;
  namespace: string;
  images: TrialImages;
}): Plan {
  const { values, models } = readPlan(options);
  const find = (name: string): PlannedModel => {
    const found = models.find(({ model }) => model.name === name);
    if (found) return { ...found, scaling };
    throw new Error(
      `${options.file}: models: expected ${modelNames.join(' and ')}; ${name} is missing`,
    );
  };
  // What AKS needs lies in a namespace that the whole cluster shares.
  const { azure: _azure, aks: _aks, ...others } = values;
  return {
    values: {
      ...others,
      namespace: options.namespace,
      images: withImages(values.images, options.images),
      entrance: { kind: 'none' },
      redis: values.redis.kind === 'in-cluster' ? values.redis : ownRedis,
      api: withKeys(values.api),
    },
    models: modelNames.map(find),
  };
}

/** Callers show keys of the run's own, which have no limits. */
function withKeys({ keysSecret: _keysSecret, settings, ...others }: Values['api']): Values['api'] {
  const isAboutCallers = /^(AUTH$|CALLER_|OIDC_)/;
  const kept = Object.entries(settings).filter(([key]) => !isAboutCallers.test(key));
  return {
    ...others,
    settings: { ...Object.fromEntries(kept), AUTH: 'keys' },
    // Two, so one can be updated or lost.
    replicas: { min: 2, max: 2 },
  };
}

/** A run never touches a Redis that others use. */
const ownRedis: Values['redis'] = { kind: 'in-cluster', cpu: 0.1, memory: '256Mi', disk: 'none' };

function withImages(
  given: Values['images'],
  { api, worker, redis }: TrialImages,
): Values['images'] {
  return {
    ...given,
    ...(api !== undefined && { api }),
    ...(worker !== undefined && { worker }),
    ...(redis !== undefined && { redis }),
  };
}
