// Which machines a pod may run on.

import type { INodeAffinity } from 'kubernetes-models/v1/NodeAffinity';
import type { INodeSelectorTerm } from 'kubernetes-models/v1/NodeSelectorTerm';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IToleration } from 'kubernetes-models/v1/Toleration';
import type { ITopologySpreadConstraint } from 'kubernetes-models/v1/TopologySpreadConstraint';
import type { Nodes } from './values.js';

type Placement = Pick<IPodSpec, 'affinity' | 'nodeSelector' | 'tolerations'>;

/** AKS labels and taints its spot machines with this. */
export const spotLabel = { key: 'kubernetes.azure.com/scalesetpriority', value: 'spot' };

/** Machines with GPUs keep other pods away by this taint. */
export const gpuTaintKey = 'nvidia.com/gpu';
const gpuToleration: IToleration = {
  key: gpuTaintKey,
  operator: 'Exists',
  effect: 'NoSchedule',
};

/** For the API and Redis, which must not be taken away together with a spot machine. */
export function placeOnCpu(nodes: Nodes): Placement {
  return place({ ...nodes, spot: 'never' }, []);
}

export function placeWorker(nodes: Nodes, isOnGpu: boolean): Placement {
  return place(nodes, isOnGpu ? [gpuToleration] : []);
}

/** Spreads pods over zones and machines, but rather runs two on one machine than none. */
export function spread(selector: Record<string, string>): ITopologySpreadConstraint[] {
  return ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map((topologyKey) => ({
    maxSkew: 1,
    topologyKey,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: selector },
    // In a rolling update, old pods do not count.
    matchLabelKeys: ['pod-template-hash'],
  }));
}

function place({ machine, labels, taints, spot }: Nodes, always: IToleration[]): Placement {
  const nodeSelector = {
    ...(machine !== undefined && { 'node.kubernetes.io/instance-type': machine }),
    ...labels,
  };
  const tolerations = [...always, ...taints.map(tolerate)];
  if (spot !== 'never') tolerations.push(tolerate(`${spotLabel.key}=${spotLabel.value}`));
  return {
    ...(Object.keys(nodeSelector).length > 0 && { nodeSelector }),
    ...(tolerations.length > 0 && { tolerations }),
    ...(spot !== 'never' && { affinity: { nodeAffinity: spotAffinity(spot) } }),
  };
}

function spotAffinity(spot: 'prefer' | 'only'): INodeAffinity {
  const preference: INodeSelectorTerm = {
    matchExpressions: [{ key: spotLabel.key, operator: 'In', values: [spotLabel.value] }],
  };
  return spot === 'only'
    ? { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [preference] } }
    : { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, preference }] };
}

/**
 * Tolerates a taint, whatever its effect.
 * @param taint `key` or `key=value`
 */
function tolerate(taint: string): IToleration {
  const [key = '', value] = taint.split('=');
  return value === undefined ? { key, operator: 'Exists' } : { key, operator: 'Equal', value };
}
