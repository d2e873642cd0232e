// What the namespace as a whole may take. The quota follows from the values: all that they can ask for at
// the same time, twice, since in a rolling update old pods still count while they end. It stops a mistake,
// such as a Deployment that somebody scales by hand to a thousand pods.

import type { ILimitRange } from 'kubernetes-models/v1/LimitRange';
import type { IResourceQuota } from 'kubernetes-models/v1/ResourceQuota';
import type { Plan } from './plan.js';
import { parseMemory } from './quantity.js';
import type { Values } from './values.js';

const roomFactor = 2;

interface Demand {
  readonly pods: number;
  readonly cpu: number;
  readonly memoryMi: number;
  readonly gpus: number;
}

export function makeQuota(plan: Plan): IResourceQuota {
  const demands = [...demandsOf(plan)];
  const total = (of: (demand: Demand) => number) =>
    roomFactor * demands.reduce((sum, demand) => sum + demand.pods * of(demand), 0);
  const memory = `${Math.ceil(total(({ memoryMi }) => memoryMi) / 1024)}Gi`;
  const gpus = total((demand) => demand.gpus);
  return {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'scoreline', namespace: plan.values.namespace },
    spec: {
      hard: {
        pods: `${total(() => 1)}`,
        'requests.cpu': `${Math.ceil(total(({ cpu }) => cpu))}`,
        'requests.memory': memory,
        'limits.memory': memory,
        'requests.nvidia.com/gpu': `${gpus}`,
        // The API is reached through the entrance and not by addresses of its own.
        'services.loadbalancers': '0',
        'services.nodeports': '0',
      },
    },
  };
}

/** For containers that say nothing, such as those of `kubectl debug`. */
export function makeLimitRange({ namespace }: Values): ILimitRange {
  return {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'scoreline', namespace },
    spec: {
      limits: [
        {
          type: 'Container',
          defaultRequest: { cpu: '100m', memory: '128Mi' },
          default: { memory: '256Mi' },
        },
      ],
    },
  };
}

function* demandsOf({ values, models }: Plan): Generator<Demand> {
  const { api, redis } = values;
  yield { pods: api.replicas.max, cpu: api.cpu, memoryMi: parseMemory(api.memory), gpus: 0 };
  if (redis.kind === 'in-cluster') {
    yield { pods: 1, cpu: redis.cpu, memoryMi: parseMemory(redis.memory), gpus: 0 };
  }
  for (const { scaling, cpu, memoryMi, isOnGpu } of models) {
    yield { pods: scaling.max, cpu, memoryMi, gpus: isOnGpu ? 1 : 0 };
  }
}
