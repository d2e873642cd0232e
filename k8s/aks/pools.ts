// The pools of machines: one for the cluster's own pods, one for ours, and those that `nodes` asks for. Labels
// and taints are those by which k8s/placement.ts chooses machines.

import { gpuTaintKey, spotLabel } from '../placement.js';
import type { Plan } from '../plan.js';
import type { Values } from '../values.js';
import { type AksValues, machineDefault, machinesMax } from './values.js';

/** A pool, as main.bicep takes it. */
export interface Pool {
  readonly name: string;
  readonly machine: string;
  readonly min: number;
  readonly max: number;
  readonly mode: 'System' | 'User';
  readonly isSpot: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly string[];
}

/** The name of a pool of spot machines ends in this; the priorities of the autoscaler go by it. */
export const spotSuffix = 'spot';

export function makePools({ values, models }: Plan, aks: AksValues): Pool[] {
  const { cpu, gpu } = values.nodes;
  const { machines } = aks;
  const cpuMachine = cpu.machine ?? machineDefault;
  const system: Pool = {
    ...{ name: 'system', mode: 'System', ...machines.system, isSpot: false, labels: {} },
    // Pods that are neither AKS' own nor ours, such as those of the gateway, need a pool that takes them.
    taints: cpu.taints.length === 0 ? ['CriticalAddonsOnly=true:NoSchedule'] : [],
  };
  const onCpu = { machine: cpuMachine, labels: cpu.labels, taints: cpu.taints.map(taintOf) };
  const pools: Pool[] = [system, makePool('cpu', onCpu, machines.cpu)];
  if (cpu.spot !== 'never') pools.push(makeSpotPool('cpu', onCpu, machines.cpu.max));
  if (!gpu?.machine) return pools;
  const workersMax = models
    .filter(({ isOnGpu }) => isOnGpu)
    .reduce((sum, { scaling }) => sum + scaling.max, 0);
  const { min, max = Math.min(Math.max(workersMax, min, 1), machinesMax) } = machines.gpu;
  const onGpu = {
    machine: gpu.machine,
    labels: gpu.labels,
    taints: [`${gpuTaintKey}=true:NoSchedule`, ...gpu.taints.map(taintOf)],
  };
  if (gpu.spot !== 'only') pools.push(makePool('gpu', onGpu, { min, max }));
  if (gpu.spot !== 'never') pools.push(makeSpotPool('gpu', onGpu, max));
  return pools;
}

/** Whether workers have a choice between spot machines and others. */
export function hasPreference({ nodes }: Pick<Values, 'nodes'>): boolean {
  return [nodes.cpu, nodes.gpu].some((each) => each?.spot === 'prefer');
}

type Machines = Pick<Pool, 'machine' | 'labels' | 'taints'>;

function makePool(
  name: string,
  machines: Machines,
  { min, max }: { min: number; max: number },
): Pool {
  return { name, ...machines, min, max, mode: 'User', isSpot: false };
}

function makeSpotPool(name: string, machines: Machines, max: number): Pool {
  const { key, value } = spotLabel;
  return {
    ...makePool(`${name}${spotSuffix}`, machines, { min: 0, max }),
    isSpot: true,
    labels: { ...machines.labels, [key]: value },
    taints: [...machines.taints, `${key}=${value}:NoSchedule`],
  };
}

/** AKS wants a value in each taint. Where the values give none, pods tolerate any. */
function taintOf(taint: string): string {
  return `${taint.includes('=') ? taint : `${taint}=true`}:NoSchedule`;
}
