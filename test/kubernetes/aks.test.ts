// Tests that what Azure makes from k8s/aks/main.bicep fits the manifests: parameters, pools, accounts, names, outputs.
// Whether main.bicep fits Azure's types is checked by `npm run aks:check`.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeAksParameters } from '../../k8s/aks/parameters.js';
import type { Pool } from '../../k8s/aks/pools.js';
import { machinesMax } from '../../k8s/aks/values.js';
import { vaultSecret } from '../../k8s/key-vault.js';
import { readPlan } from '../../k8s/read-plan.js';
import { valuesSchema } from '../../k8s/values.js';
import { packageDirectory } from '../../shared/version.js';
import { azure, type Cluster, generate, gpuNodes, type Loaded, onAks } from './cluster.js';

const root = packageDirectory();
const bicep = readFileSync(path.join(root, 'k8s/aks/main.bicep'), 'utf8');

const spots = ['never', 'prefer', 'only'] as const;
const places = spots.flatMap((cpu) => spots.map((gpu) => [cpu, gpu] as const));

function parametersOf({ plan }: Cluster): Record<string, Loaded> {
  const { parameters } = JSON.parse(writeAksParameters(plan) ?? '{}');
  return Object.fromEntries(
    Object.entries(parameters as Record<string, Loaded>).map(([key, { value }]) => [key, value]),
  );
}

/** The parameters of main.bicep: name, type, and whether there is a default. */
const declared = [...bicep.matchAll(/^param (\w+) (\w+)( = .*)?$/gm)].map(
  ([, name = '', type = '', given]) => ({ name, type, isOptional: given !== undefined }),
);

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

test('without a cluster to be made there are no parameters', () => {
  expect(writeAksParameters(generate().plan)).toBeUndefined();
});

test('each parameter is declared with its type, and none is missing', () => {
  for (const changes of [onAks, { ...onAks, redis: managed() }]) {
    const given = parametersOf(generate(changes));
    const needed = declared.filter(({ isOptional }) => !isOptional);
    expect(Object.keys(given).toSorted()).toEqual(needed.map(({ name }) => name).toSorted());
    for (const { name, type } of needed) expect([name, typeOf(given[name])]).toEqual([name, type]);
  }
});

test('each parameter and variable of main.bicep is used', () => {
  const code = bicep.replace(
    /\/\/.*|'[^'\n]*'/g,
    (part) => part.match(/\$\{.*?\}/g)?.join(' ') ?? '',
  );
  const variables = [...bicep.matchAll(/^var (\w+)/gm)].map(([, name = '']) => name);
  for (const name of [...declared.map((each) => each.name), ...variables]) {
    expect(code.match(new RegExp(`\\b${name}\\b`, 'g'))?.length, name).toBeGreaterThan(1);
  }
});

test('each property that main.bicep reads of a pool or of Redis is given', () => {
  const { pools, managedRedis } = parametersOf(generate({ ...onAks, redis: managed() }));
  const read = (object: string) =>
    [...bicep.matchAll(new RegExp(`\\b${object}\\.(\\w+)`, 'g'))].map(([, key = '']) => key);
  expect(read('pool').length).toBeGreaterThan(5);
  for (const pool of pools) expect(Object.keys(pool)).toEqual(expect.arrayContaining(read('pool')));
  expect(Object.keys(managedRedis)).toEqual(expect.arrayContaining(read('managedRedis')));
});

describe.each(places)('with spot machines for CPUs %s, for GPUs %s', (cpu, gpu) => {
  const cluster = generate({
    ...onAks,
    nodes: {
      cpu: { spot: cpu, taints: ['batch'], labels: { team: 'red' } },
      gpu: { ...gpuNodes.gpu, spot: gpu, taints: ['sku=gpu'] },
    },
  });
  const { pools, expander } = parametersOf(cluster) as { pools: Pool[]; expander: string };

  test('each pod finds a pool, and the right kind of it', () => {
    for (const { name, spec } of cluster.templates) {
      const names = pools.filter((pool) => accepts(pool, spec)).map((pool) => pool.name);
      expect(names.toSorted(), name).toEqual(expectedPools(name, { cpu, gpu }));
    }
  });

  test('the plugin that makes GPUs known runs on each machine with one, and nowhere else', () => {
    const { spec } = cluster.get('DaemonSet', 'nvidia-device-plugin').spec.template;
    const names = pools.filter((pool) => accepts(pool, spec)).map(({ name }) => name);
    expect(names).toEqual(pools.map(({ name }) => name).filter((name) => name.startsWith('gpu')));
  });

  test('the autoscaler is told what pods prefer', () => {
    const isPreferred = [cpu, gpu].includes('prefer');
    expect(expander).toBe(isPreferred ? 'priority' : 'least-waste');
    const maps = cluster.of('ConfigMap').map(({ metadata }) => metadata.name);
    expect(maps.includes('cluster-autoscaler-priority-expander')).toBe(isPreferred);
  });

  test('pools for GPUs and of spot machines begin at zero, the others run', () => {
    for (const { name, min, max, isSpot } of pools) {
      expect(min === 0, name).toBe(isSpot || name.startsWith('gpu'));
      expect(max).toBeGreaterThanOrEqual(min);
      expect(name).toMatch(/^[a-z][a-z0-9]{0,11}$/);
    }
  });

  test('AKS accepts each taint', () => {
    for (const taint of pools.flatMap(({ taints }) => taints)) {
      expect(taint).toMatch(/^[\w./-]+=[\w.-]+:NoSchedule$/);
    }
  });
});

test('the names of machine groups match the priority of their pool', () => {
  const nodes = { gpu: { ...gpuNodes.gpu, spot: 'prefer' } };
  const { data } = generate({ ...onAks, nodes }).get(
    'ConfigMap',
    'cluster-autoscaler-priority-expander',
  );
  const [, first = '', , second = ''] = data.priorities.split('\n') as string[];
  const pattern = (line: string) => new RegExp(`^${line.replace(/^\s*- /, '')}$`);
  expect('aks-gpuspot-12345678-vmss').toMatch(pattern(first));
  expect('aks-gpu-12345678-vmss').not.toMatch(pattern(first));
  expect('aks-gpu-12345678-vmss').toMatch(pattern(second));
});

test('labels and taints are those that AKS itself gives to spot and system machines', () => {
  const poolsWith = (nodes: object) => parametersOf(generate({ ...onAks, nodes })).pools as Pool[];
  const [system, , spot] = poolsWith({ cpu: { spot: 'prefer' }, ...gpuNodes });
  expect(spot?.labels).toEqual({ 'kubernetes.azure.com/scalesetpriority': 'spot' });
  expect(spot?.taints).toEqual(['kubernetes.azure.com/scalesetpriority=spot:NoSchedule']);
  expect(system?.taints).toEqual(['CriticalAddonsOnly=true:NoSchedule']);
  // The gateway tolerates no taint, so one pool must do without.
  expect(poolsWith({ cpu: { taints: ['batch'] }, ...gpuNodes })[0]?.taints).toEqual([]);
});

test('there are as many machines with GPUs as workers may need, unless the values say so', () => {
  const max = (changes: Record<string, unknown>) =>
    (parametersOf(generate(changes)).pools as Pool[]).find(({ name }) => name === 'gpu')?.max;
  expect(max(onAks)).toBe(4);
  expect(max({ ...onAks, aks: { ...onAks.aks, machines: { gpu: { max: 2 } } } })).toBe(2);
  expect(max({ ...onAks, aks: { ...onAks.aks, machines: { gpu: { min: 50 } } } })).toBe(50);
  const thousands = [{ name: 'large', scaling: { max: 5000 } }];
  expect(max({ ...onAks, models: thousands })).toBe(machinesMax);
});

test('each account of a pod that may use the identity has a credential', () => {
  const cluster = generate({
    ...onAks,
    azure,
    entrance: {
      kind: 'gateway',
      certificate: { keyVaultUri: `https://${azure.keyVault}.vault.azure.net/certificates/tls` },
    },
  });
  const accounts = cluster
    .of('ServiceAccount')
    .filter(({ metadata }) => metadata.annotations?.['azure.workload.identity/client-id'])
    .map(({ metadata }) => `system:serviceaccount:${metadata.namespace}:${metadata.name}`);
  expect(accounts).toHaveLength(4);
  expect(parametersOf(cluster).podAccounts.toSorted()).toEqual(accounts.toSorted());
});

test('the output that goes into the values has the keys that they need', () => {
  const [, output = ''] = /^output values object = \{\n {2}azure: \{\n([^}]*)\}/m.exec(bicep) ?? [];
  const keys = [...output.matchAll(/^ +(\w+):/gm)].map(([, key]) => key);
  const { azure: schema } = valuesSchema.shape;
  expect(keys.toSorted()).toEqual(Object.keys(schema.unwrap().shape).toSorted());
});

test('the Key Vault has the secret that the manifests mount', () => {
  const names = [...bicep.matchAll(/vaults\/secrets@.*\n {2}parent: vault\n {2}name: '(.*)'/g)].map(
    ([, name]) => name,
  );
  expect(names.filter((name) => name === vaultSecret)).toHaveLength(2);
});

const sharded = { redis: managed('OSSCluster'), keda: { checkCertificates: false } };

test('Azure makes the Redis that the manifests use, with all that it must not lose', () => {
  const cluster = generate({ ...onAks, ...sharded });
  const { managedRedis } = parametersOf(cluster);
  expect(managedRedis).toEqual({
    name: 'scoreline',
    sku: 'Balanced_B1',
    clusteringPolicy: 'OSSCluster',
  });
  const ports = /port: 10000[\s\S]*evictionPolicy: 'NoEviction'[\s\S]*aofEnabled: true/;
  expect(bicep).toMatch(ports);
});

test('shards of Azure are reached on their own ports', () => {
  const [rule] = generate({ ...sharded })
    .of('NetworkPolicy')
    .find(({ metadata }) => metadata.name === 'worker').spec.egress;
  expect(rule.ports).toEqual([
    { protocol: 'TCP', port: 10_000 },
    { protocol: 'TCP', port: 8500, endPort: 8599 },
  ]);
});

test('Prometheus follows the annotations in the namespace of the service only', () => {
  const { data } = generate({ ...onAks, namespace: 'pictures' }).get(
    'ConfigMap',
    'ama-metrics-settings-configmap',
  );
  expect(data['pod-annotation-based-scraping']).toBe('podannotationnamespaceregex = "^pictures$"');
});

test('the queries of the docs ask for fields and messages that our logs have', () => {
  const page = readFileSync(path.join(root, 'docs/aks.md'), 'utf8');
  const queries = [...page.matchAll(/```kusto\n(.*?)```/gs)].map(([, text = '']) => text).join('');
  const sources = ['api', 'worker', 'shared'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(path.join(root, folder, name), 'utf8')),
  );
  const calls = sources.join('\n');
  const ofPino = ['level', 'time', 'msg', 'pid'];
  const fields = [...queries.matchAll(/LogMessage\.(\w+)/g)].map(([, field = '']) => field);
  expect(fields.length).toBeGreaterThan(5);
  for (const field of fields) {
    if (!ofPino.includes(field)) expect(calls).toMatch(new RegExp(`\\b${field}\\b`));
  }
  const messages = [...queries.matchAll(/LogMessage\.msg\) == "(.*?)"/g)];
  expect(messages).not.toEqual([]);
  for (const [, message] of messages) expect(calls).toContain(`'${message}'`);
});

test('the example has no fault', () => {
  const plan = readPlan({
    file: path.join(root, 'k8s/aks/values.yaml'),
    modelsDirectory: path.join(root, 'models'),
  });
  expect(writeAksParameters(plan)).toContain('westeurope');
});

function managed(clusteringPolicy = 'NoCluster') {
  return { kind: 'azure', host: 'scoreline.westeurope.redis.azure.net', clusteringPolicy };
}

/** Whether Kubernetes may put the pod onto a machine of the pool. */
function accepts({ machine, labels, taints }: Pool, spec: Loaded): boolean {
  const all: Record<string, string> = { ...labels, 'node.kubernetes.io/instance-type': machine };
  const isSelected = Object.entries(spec.nodeSelector ?? {}).every(
    ([key, value]) => all[key] === value,
  );
  const { requiredDuringSchedulingIgnoredDuringExecution: required } =
    spec.affinity?.nodeAffinity ?? {};
  const isRequired = (required?.nodeSelectorTerms ?? []).every((term: Loaded) =>
    term.matchExpressions.every(({ key, values }: Loaded) => values.includes(all[key])),
  );
  const isTolerated = taints.every((taint) => {
    const [, key, value] = /^(.*)=(.*):NoSchedule$/.exec(taint) ?? [];
    return (spec.tolerations ?? []).some(
      (toleration: Loaded) =>
        toleration.key === key && (toleration.operator === 'Exists' || toleration.value === value),
    );
  });
  return isSelected && isRequired && isTolerated;
}

function expectedPools(name: string, spot: { cpu: string; gpu: string }): string[] {
  const kind = name === 'worker-large-2-1-rc' ? 'gpu' : 'cpu';
  if (!name.startsWith('worker')) return ['cpu'];
  return [
    ...(spot[kind] === 'only' ? [] : [kind]),
    ...(spot[kind] === 'never' ? [] : [`${kind}spot`]),
  ];
}
