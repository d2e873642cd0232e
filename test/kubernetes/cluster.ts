// Shared by the tests of the manifests: a folder of models, values to vary, and the generated objects as a
// cluster would read them.

import { rmSync } from 'node:fs';
import path from 'node:path';
import { loadAll } from 'js-yaml';
import { expect } from 'vitest';
import { makeManifests, writeManifests } from '../../k8s/manifests.js';
import type { Plan } from '../../k8s/plan.js';
import { readPlan } from '../../k8s/read-plan.js';
import {
  errorOf,
  makeFolder,
  sampleLabels,
  sampleManifest,
  writeFolder,
} from '../unit/sample-model.js';

const longName = 'a-model-whose-name-is-longer-than-kubernetes-can-take';
const urls = ['https://example.com/model.onnx'];

/** By folder: changes of the sample manifest. */
const modelChanges: Record<string, Record<string, unknown>> = {
  small: { description: 'Runs on CPUs.' },
  large: {
    version: '2.1_RC',
    device: 'cuda',
    runMsMax: 120_000,
    deadlineMs: 90_000,
    source: { file: 'model.onnx', bytes: 242_000_000, sha256: 'b'.repeat(64), urls },
    scaling: { max: 4, itemsPerWorker: 32, coolDownSeconds: 600 },
  },
  slow: { deadlineMs: 86_400_000, runMsMax: 3_600_000, loadMsMax: 7_200_000 },
  either: { device: { type: 'cuda', fallback: 'cpu' } },
  apple: { device: 'coreml' },
  tensor: { device: 'tensorrt' },
  eager: { device: { type: 'tensorrt', fallback: 'cpu' } },
  second: { device: { type: 'cuda', id: 1 } },
  [longName]: {},
  program: { engine: 'python', source: undefined },
};

export const gpuNodes = { gpu: { machine: 'Standard_NC4as_T4_v3', labels: { pool: 'gpus' } } };
export const azure = {
  tenantId: '00000000-0000-4000-8000-000000000001',
  clientId: '00000000-0000-4000-8000-000000000002',
  keyVault: 'scoreline-vault',
};

/** A cluster to be made on AKS; it needs a place for Azure's Prometheus too. */
export const aks = {
  region: 'westeurope',
  administrators: ['00000000-0000-4000-8000-00000000000a'],
};
export const onAks = { aks, monitoring: { namespaces: ['kube-system'] } };

/** Values with one model on CPUs and one on GPUs. */
export const sampleValues = {
  host: 'scoreline.example.com',
  images: {
    api: 'registry.example.com/api:1.2.3',
    worker: 'registry.example.com/worker:1.2.3',
    workerGpu: 'registry.example.com/worker-gpu:1.2.3',
  },
  models: [{ name: 'small' }, { name: 'large' }],
  nodes: gpuNodes,
  entrance: { kind: 'gateway', certificate: { secret: 'tls' } },
};

/** What the manifests differ in: each way in, each Redis, each kind of machine. */
export const variants: Record<string, Record<string, unknown>> = {
  'a gateway and GPUs': {},
  'an ingress': {
    entrance: {
      kind: 'ingress',
      class: 'traefik',
      controllerNamespace: 'traefik',
      certificate: { secret: 'tls' },
      annotations: { 'traefik.ingress.kubernetes.io/router.entrypoints': 'websecure' },
    },
  },
  'no entrance': { entrance: { kind: 'none' } },
  'CPUs only': { models: [{ name: 'small' }], nodes: {} },
  'spot machines preferred': { nodes: { gpu: { ...gpuNodes.gpu, spot: 'prefer' } } },
  'spot machines only': {
    nodes: { cpu: { spot: 'only', taints: ['batch'] }, gpu: { spot: 'only', taints: ['sku=gpu'] } },
  },
  'Redis without a disk': { redis: { kind: 'in-cluster', disk: 'none' } },
  'Redis on a named class of disks': {
    redis: { kind: 'in-cluster', storageClass: 'managed-csi', disk: '32Gi' },
  },
  'Redis of Azure and its Key Vault': {
    azure,
    redis: { kind: 'azure', host: 'scoreline.westeurope.redis.azure.net' },
    entrance: {
      kind: 'gateway',
      certificate: { keyVaultUri: 'https://scoreline-vault.vault.azure.net/certificates/tls' },
    },
    access: { operators: ['00000000-0000-4000-8000-00000000000a'], viewers: ['readers'] },
  },
  'Redis in the cluster with a Key Vault': { azure },
  'Redis of Azure with shards': {
    redis: {
      kind: 'azure',
      host: 'scoreline.westeurope.redis.azure.net',
      clusteringPolicy: 'OSSCluster',
      prefix: '{staging}',
    },
    keda: { checkCertificates: false },
  },
  'Redis of Azure with shards behind one address': {
    redis: {
      kind: 'azure',
      host: 'scoreline.westeurope.redis.azure.net',
      clusteringPolicy: 'EnterpriseCluster',
    },
  },
  AKS: { ...onAks, azure },
  'AKS with spot machines': {
    ...onAks,
    azure,
    nodes: {
      cpu: { spot: 'only', taints: ['batch', 'team=red'], labels: { team: 'red' } },
      gpu: { ...gpuNodes.gpu, spot: 'prefer', taints: ['sku=gpu'] },
    },
  },
  'users that the cluster chooses': { podUser: 'cluster' },
  'a Redis elsewhere': {
    redis: { kind: 'external', url: 'redis://redis.example.com:6390/2', ports: [] },
  },
  'a Redis elsewhere, with a user and a private authority': {
    redis: {
      kind: 'external',
      url: 'rediss://redis.example.com:6380',
      user: 'team/scoreline',
      caSecret: 'redis-authority',
    },
  },
  'a Redis elsewhere that asks for certificates, and private authorities': {
    redis: {
      kind: 'external',
      url: 'rediss+sentinel://redis.example.com/main',
      certificateSecret: 'redis-client',
    },
    authoritiesConfigMap: 'authorities',
  },
  'a proxy and private authorities': {
    redis: {
      kind: 'external',
      url: 'rediss://redis.example.com:6380',
      caSecret: 'redis-authority',
    },
    authoritiesConfigMap: 'authorities',
    environmentSecret: 'proxy-user',
    environment: {
      HTTPS_PROXY: 'http://$(PROXY_USER):$(PROXY_PASSWORD)@proxy.example.com:3128',
      NO_PROXY: '.svc',
      THRESHOLD: 0.5,
    },
  },
  'Redis behind Sentinels': {
    redis: {
      kind: 'external',
      url: 'rediss+sentinel://one.example.com,two.example.com:26380/main/1',
      user: 'scoreline',
    },
  },
  'a cluster of Redis': {
    redis: {
      kind: 'external',
      url: 'redis+cluster://one.redis.svc:7000,two.redis.svc:7001',
      ports: [7002],
    },
  },
  'Secrets of telemetry': {
    telemetry: {
      connectionStringSecret: 'application-insights',
      otlp: { endpoint: 'http://collector.example.com:4318', headersSecret: 'collector' },
    },
  },
  'models from a volume, with downloads': {
    models: [{ name: 'small' }, { name: 'large', download: true }],
    modelFolder: { from: 'volume', claim: 'models' },
    downloadCache: { claim: 'downloads' },
    images: { ...sampleValues.images, pullSecret: 'registry' },
  },
  'keys from a Secret, and tokens': {
    api: {
      keysSecret: 'api-keys',
      settings: {
        AUTH: 'keys,oidc',
        OIDC_ISSUER: 'https://issuer.example.com',
        OIDC_AUDIENCE: 'scoreline',
        CALLER_CONCURRENT_MAX: 8,
      },
    },
  },
  webhooks: {
    api: {
      webhookSecret: 'webhooks',
      settings: {
        WEBHOOK_HOSTS:
          'hooks.example.com, http://receiver.shop.svc.cluster.local:8080=10.0.0.0/16=10.244.0.0/16',
      },
    },
  },
  gRPC: { api: { settings: { GRPC_PORT: 8001 } } },
  'times with warm workers': {
    models: [
      {
        name: 'small',
        scaling: {
          schedule: [
            { from: '08:00', to: '18:30', timezone: 'Europe/Berlin', workers: 2 },
            { days: ['fri', 'sat'], from: '22:15', to: '06:00', timezone: 'UTC', workers: 1 },
          ],
        },
      },
    ],
    keda: { namespaces: ['my-keda'], pollSeconds: 5 },
    api: { settings: { QUEUE_ITEMS_MAX: 500, LOG_LEVEL: 'warn' } },
    workers: { settings: { LOG_LEVEL: 'debug' } },
  },
};

/** The files of values with these changes, and of the models. */
export function filesWith(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const models = Object.entries(modelChanges).flatMap(([name, manifest]) => [
    [`models/${name}/model.yaml`, { ...sampleManifest, name, ...manifest }],
    [`models/${name}/labels.txt`, sampleLabels],
  ]);
  const program = {
    'models/program/predict.py': 'def predict(texts): return [[1, 0, 0, 0, 0]] * len(texts)',
    'models/program/requirements.txt': '',
  };
  return {
    ...Object.fromEntries(models),
    ...program,
    'values.yaml': { ...sampleValues, ...changes },
  };
}

/** Expects values with these changes to be refused, for this reason among others. */
export function expectFault(changes: Record<string, unknown>, reason: string): void {
  const folder = makeFolder(filesWith(changes));
  const { code, message } = errorOf(() => planIn(folder));
  expect(code).toBe('configuration_invalid');
  const file = path.join(folder, 'values.yaml');
  const reasons = message
    .split('\n')
    .map((line) => line.replace(`${file}: `, '').replace(/^line \d+: /, ''));
  expect(reasons).toContain(reason);
}

/** Reads the plan from a folder with such files. */
export function planIn(folder: string): Plan {
  return readPlan({
    file: path.join(folder, 'values.yaml'),
    modelsDirectory: path.join(folder, 'models'),
  });
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
export type Loaded = any;

export interface Cluster {
  readonly plan: Plan;
  readonly files: Readonly<Record<string, string>>;
  /** What is in the files, without the kustomization. */
  readonly objects: readonly Loaded[];
  of(kind: string): Loaded[];
  /** Fails if there is no such object. */
  get(kind: string, name: string): Loaded;
  /** The templates of all pods, with the name of what makes the pods. */
  readonly templates: readonly {
    name: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
    spec: Loaded;
  }[];
}

/** Generates the manifests for these values, and reads them back. */
export function generate(changes: Record<string, unknown> = {}): Cluster {
  const folder = writeFolder(filesWith(changes));
  const plan = planIn(folder);
  rmSync(folder, { recursive: true });
  const files = writeManifests(makeManifests(plan));
  const objects = Object.entries(files)
    .filter(([name]) => name !== 'kustomization.yaml')
    .flatMap(([, text]) => loadAll(text) as Loaded[]);
  const of = (kind: string) => objects.filter((object) => object.kind === kind);
  return {
    plan,
    files,
    objects,
    of,
    get: (kind, name) => {
      const found = of(kind).find(({ metadata }) => metadata.name === name);
      if (!found) throw new Error(`There is no ${kind} ${name}.`);
      return found;
    },
    templates: [...of('Deployment'), ...of('StatefulSet')].map(({ metadata, spec }) => ({
      name: metadata.name,
      labels: spec.template.metadata.labels,
      annotations: spec.template.metadata.annotations ?? {},
      spec: spec.template.spec,
    })),
  };
}
