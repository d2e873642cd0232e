// Tests what stops a cluster on Azure before anything is made: values that contradict each other, and a region
// or subscription without the machines.

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import { findMachineFaults, readLists } from '../../k8s/aks/machines.js';
import { makePools } from '../../k8s/aks/pools.js';
import { packageDirectory } from '../../shared/version.js';
import { errorOf, makeFolder } from '../unit/sample-model.js';
import { aks, azure, expectFault, filesWith, generate, gpuNodes, onAks } from './cluster.js';

const gpu = (changes: object) => ({ nodes: { gpu: { ...gpuNodes.gpu, ...changes } } });
const redis = (changes: object) => ({
  redis: { kind: 'azure', host: 'cache.westeurope.redis.azure.net', ...changes },
});
const other = 'https://other.vault.azure.net/certificates/tls';

describe('values', () => {
  /** Messages, and values that each is about. */
  const wrong: Record<string, Record<string, unknown>[]> = {
    'nodes.gpu: expected the machines with GPUs, because large runs on a GPU; got nothing': [
      { ...onAks, nodes: {} },
    ],
    'nodes.gpu.machine: expected a machine with a GPU, whose name begins with Standard_NC, ND or NV, such as Standard_NC4as_T4_v3; got "Standard_D4ds_v5"':
      [gpu({ machine: 'Standard_D4ds_v5' })],
    'nodes.gpu.machine: expected a machine with a GPU, whose name begins with Standard_NC, ND or NV, such as Standard_NC4as_T4_v3; got "Standard_NP10s"':
      [gpu({ machine: 'Standard_NP10s' })],
    'nodes.gpu.machine: expected a machine with a GPU of NVIDIA; this has one of AMD; got "Standard_NV16as_v4"':
      [gpu({ machine: 'Standard_NV16as_v4' })],
    'nodes.gpu.machine: expected a machine with a GPU of NVIDIA; this has one of AMD; got "Standard_ND96isr_MI300X_v5"':
      [gpu({ machine: 'Standard_ND96isr_MI300X_v5' })],
    'nodes.gpu.machine: expected the type of the machines, because Azure makes them, such as Standard_NC4as_T4_v3; got nothing':
      [{ ...onAks, nodes: { gpu: { labels: { pool: 'gpus' } } } }],
    'nodes.gpu: expected the machines with GPUs, because aks.machines.gpu counts them; got nothing':
      [
        {
          ...onAks,
          models: [{ name: 'small' }],
          nodes: {},
          aks: { ...aks, machines: { gpu: { max: 4 } } },
        },
      ],
    'redis.kind: expected azure, because aks.redisSku is a size of Azure Managed Redis; got "in-cluster"':
      [{ ...onAks, redis: { kind: 'in-cluster' }, aks: { ...aks, redisSku: 'Balanced_B5' } }],
    'aks.machines.gpu.min: expected 0, because spot machines may be taken away; got 1': [
      {
        ...onAks,
        ...gpu({ spot: 'only' }),
        aks: { ...aks, machines: { gpu: { min: 1, max: 2 } } },
      },
    ],
    'aks.machines.cpu: expected min <= max; got {"min":5,"max":2}': [
      { ...onAks, aks: { ...aks, machines: { cpu: { min: 5, max: 2 } } } },
    ],
    'aks.region: expected the name of a region without blanks, such as westeurope; got "West Europe"':
      [{ ...onAks, aks: { ...aks, region: 'West Europe' } }],
    'aks.administrators: expected at least one group, or nobody gets in; got []': [
      { ...onAks, aks: { ...aks, administrators: [] } },
    ],
    'access.operators.0: expected the object id of a group in Entra ID; got "ops"': [
      { ...onAks, access: { operators: ['ops'] } },
    ],
    'aks.reachableFrom.0: expected an address or a range, such as 192.0.2.0/24; got "office"': [
      { ...onAks, aks: { ...aks, reachableFrom: ['office'] } },
    ],
    'redis.host: expected the region of the cluster, westeurope; got "cache.northeurope.redis.azure.net"':
      [{ ...onAks, ...redis({ host: 'cache.northeurope.redis.azure.net' }) }],
    'redis.host: expected NAME.REGION.redis.azure.net, because Azure makes it; got "cache.redis.cache.windows.net"':
      [{ ...onAks, ...redis({ host: 'cache.redis.cache.windows.net' }) }],
    'redis.prefix: expected a hash tag in it, such as {scoreline}, because a cluster keeps only such keys together; got "scoreline"':
      [
        redis({ clusteringPolicy: 'OSSCluster', prefix: 'scoreline' }),
        redis({ clusteringPolicy: 'EnterpriseCluster', prefix: 'scoreline' }),
        { redis: { kind: 'external', url: 'redis+cluster://one,two', prefix: 'scoreline' } },
      ],
    'redis.prefix: expected a hash tag in it, such as {scoreline}, because a cluster keeps only such keys together; got "scoreline{}"':
      [redis({ clusteringPolicy: 'OSSCluster', prefix: 'scoreline{}' })],
    'redis.clusteringPolicy: expected NoCluster or EnterpriseCluster, because KEDA reaches the shards of OSSCluster by their numbers, which are not in their certificates; or keda: { checkCertificates: false }, with which KEDA gives the password to whoever answers; got "OSSCluster"':
      [redis({ clusteringPolicy: 'OSSCluster' })],
    'redis.clusteringPolicy: expected one of "NoCluster", "EnterpriseCluster", "OSSCluster"; got "oss"':
      [redis({ clusteringPolicy: 'oss' })],
    "monitoring.namespaces: expected kube-system among them; otherwise Azure's Prometheus cannot reach the metrics; got nothing":
      [{ aks }],
    'keda.namespaces: expected kube-system among them; otherwise KEDA cannot ask Redis, and no worker ever comes; got ["keda"]':
      [{ ...onAks, keda: { namespaces: ['keda'] } }],
    'entrance.certificate.keyVaultUri: expected a certificate in the Key Vault scoreline-vault, which the identity may read; got "https://other.vault.azure.net/certificates/tls"':
      [{ ...onAks, azure, entrance: { kind: 'gateway', certificate: { keyVaultUri: other } } }],
  };

  test.each(Object.entries(wrong))('are refused: %s', (message, values) => {
    for (const changes of values) expectFault(changes, message);
  });

  test('with a prefix of their own, or machines elsewhere than on Azure, are fine', () => {
    expect(() => generate(redis({ prefix: 'staging' }))).not.toThrow();
    const keda = { checkCertificates: false };
    expect(() => generate({ ...redis({ clusteringPolicy: 'OSSCluster' }), keda })).not.toThrow();
    expect(() => generate(gpu({ machine: 'g4dn.xlarge' }))).not.toThrow();
    for (const machine of [
      'Standard_ND96asr_v4',
      'Standard_NV36ads_A10_v5',
      'standard_nc24ads_a100_v4',
    ]) {
      expect(() => generate(gpu({ machine })), machine).not.toThrow();
    }
  });
});

/** Machines as `az vm list-skus` prints them. */
function sku(name: string, family: string, capabilities: Record<string, string>, reason?: string) {
  return {
    name,
    family,
    resourceType: 'virtualMachines',
    locations: ['westeurope'],
    capabilities: Object.entries(capabilities).map(([key, value]) => ({ name: key, value })),
    restrictions: reason ? [{ type: 'Location', reasonCode: reason, values: ['westeurope'] }] : [],
  };
}

/** Quotas as `az vm list-usage` prints them. */
const quota = (value: string, currentValue: number | string, limit: number | string) => ({
  name: { value, localizedValue: value },
  currentValue,
  limit,
});

const cpuSku = sku('Standard_D4ds_v5', 'standardDDSv5Family', { vCPUs: '4' });
const gpuCapabilities = { vCPUs: '4', GPUs: '1', LowPriorityCapable: 'True' };
const gpuFamily = 'standardNCASv3_T4Family';
const gpuSku = sku('Standard_NC4as_T4_v3', gpuFamily, gpuCapabilities);
const lists = {
  region: 'westeurope',
  skus: [cpuSku, gpuSku],
  usage: [
    quota('standardDDSv5Family', 10, 100),
    quota(gpuFamily, 0, 24),
    quota('cores', 10, 100),
  ].map((each) => ({
    ...each,
    currentValue: Number(each.currentValue),
    limit: Number(each.limit),
  })),
};

function faultsWith(changes: Partial<typeof lists>, spot: 'never' | 'only' = 'never'): string {
  const { plan } = generate({ ...onAks, ...gpu({ spot }) });
  if (!plan.values.aks) throw new Error('Expected values with aks.');
  return findMachineFaults(makePools(plan, plan.values.aks), { ...lists, ...changes }).join('\n');
}

describe('machines', () => {
  test('that the region has are fine', () => {
    expect(faultsWith({})).toBe('');
    expect(faultsWith({}, 'only')).toBe('');
  });

  test('that the region does not have are named', () => {
    expect(faultsWith({ skus: [cpuSku] })).toBe(
      'pool gpu: expected a machine that westeurope has; got Standard_NC4as_T4_v3. Choose another machine or region.',
    );
  });

  test('that the subscription may not use are named, with the reason', () => {
    const skus = [
      cpuSku,
      sku('Standard_NC4as_T4_v3', gpuFamily, gpuCapabilities, 'NotAvailableForSubscription'),
    ];
    expect(faultsWith({ skus })).toMatch(
      /^pool gpu: expected a machine that your subscription may use.*\(NotAvailableForSubscription\)/,
    );
  });

  test('that have no GPU, or do not come as spot machines, are named', () => {
    const bare = sku('Standard_NC4as_T4_v3', gpuFamily, { vCPUs: '4' });
    expect(faultsWith({ skus: [cpuSku, bare] }, 'only')).toMatch(
      /pool gpuspot: expected a machine that there are as spot.*\npool gpuspot: expected a machine with a GPU/,
    );
  });

  test('beyond a quota are named, with what is needed and what is left', () => {
    const usage = [quota(gpuFamily, 12, 24), quota('cores', 10, 100)] as typeof lists.usage;
    expect(faultsWith({ usage })).toBe(
      `quota ${gpuFamily}: expected 16 processors, for 4 Standard_NC4as_T4_v3 for pool gpu; got 12, of 24. Ask for more in the portal under Quotas, or lower max in aks.machines.`,
    );
    const spots = [quota('lowPriorityCores', 0, 3)] as typeof lists.usage;
    expect(faultsWith({ usage: spots }, 'only')).toMatch(/^quota lowPriorityCores: expected 16/);
    const all = [quota('cores', 90, 100)] as typeof lists.usage;
    // 3 and 10 machines for CPUs and 4 with GPUs.
    expect(faultsWith({ usage: all })).toMatch(/^quota cores: expected 68 .*got 10, of 100/);
  });
});

describe('npm run aks:machines', () => {
  const script = path.join(packageDirectory(), 'dist/cli/aks-machines.js');
  const files = (skus: unknown, usage: unknown) => ({
    ...filesWith(onAks),
    'skus.json': JSON.stringify(skus),
    'usage.json': JSON.stringify(usage),
  });
  function run(given: Record<string, unknown>) {
    const options = ['--values', 'values.yaml', '--models', 'models'];
    const cwd = makeFolder(given);
    return spawnSync(process.execPath, [script, ...options], { cwd, encoding: 'utf8' });
  }

  test('says that all is there, or what is missing', () => {
    const usage = [quota(gpuFamily, '0', '24')];
    expect(run(files(lists.skus, usage))).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('westeurope has the machines'),
    });
    expect(run(files([cpuSku], usage))).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^pool gpu: expected a machine that westeurope has/),
    });
  });

  test('says what is missing in the values', () => {
    expect(run({ ...files([], []), ...filesWith() }).stderr).toMatch(/values\.yaml: aks: expected/);
  });
});

describe('a list that is none', () => {
  const read = (given: Record<string, unknown>) => {
    const folder = makeFolder(given);
    const file = (name: string) => path.join(folder, name);
    return errorOf(() => readLists({ skus: file('skus.json'), usage: file('usage.json') })).message;
  };

  test.each([
    ['empty', { 'skus.json': [] }, /skus\.json: .*expected the machines of the region; there are/],
    ['something else', { 'skus.json': { error: 'x' } }, /skus\.json: .*`az vm list-skus --all/],
    ['missing', {}, /skus\.json: expected a list of machines; there is no such file/],
    [
      'one of quotas that is something else',
      { 'skus.json': [cpuSku], 'usage.json': { value: [] } },
      /usage\.json: .*`az vm list-usage/,
    ],
  ])('is refused if it is %s', (_, given, message) => {
    expect(read(given)).toMatch(message);
  });
});
