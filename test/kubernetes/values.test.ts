// Tests that wrong values stop the generator, which says file, key, what was expected and what it got.

import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { nameLengthMax } from '../../k8s/names.js';
import { readPlan } from '../../k8s/read-plan.js';
import { packageDirectory } from '../../shared/version.js';
import { errorOf, makeFolder, sampleLabels, sampleManifest } from '../unit/sample-model.js';
import { filesWith, gpuNodes, planIn, sampleValues } from './cluster.js';

const { images } = sampleValues;
const longName = 'a-model-whose-name-is-longer-than-kubernetes-can-take';
const schedule = { from: '08:00', to: '18:00', timezone: 'UTC', workers: 1 };
const one = (model: object) => ({ models: [{ name: 'small', ...model }] });
const twice = (model: object) => one({ scaling: model });

describe('wrong values', () => {
  type Wrong = [what: string, changes: Record<string, unknown>, key: string, message: RegExp];
  const wrong: Wrong[] = [
    ['a wrong key', { hots: 'x.example.com' }, 'hots', /Unrecognized key.*got "x\.example\.com"/],
    [
      'a wrong key inside',
      { redis: { kind: 'in-cluster', discs: 2 } },
      'redis.discs',
      /Unrecognized key.*got 2/,
    ],
    ['a missing key', { host: undefined }, 'host', /expected.*got nothing/],
    [
      'a host that is no name',
      { host: 'https://x' },
      'host',
      /expected a .*host name.*got "https:\/\/x"/,
    ],
    [
      'a model that does not exist',
      { models: [{ name: 'larg' }] },
      'models.0.name',
      /expected the name of a model: .*large.*got "larg"/,
    ],
    ['no models', { models: [] }, 'models', /got \[\]/],
    [
      'a model twice',
      { models: [{ name: 'small' }, { name: 'small' }] },
      'models.1.name',
      /expected each name once.*got "small"/,
    ],
    [
      'min above max',
      twice({ min: 11 }),
      'models.0.scaling',
      /expected min <= max.*got {"min":11}/,
    ],
    [
      'a schedule above max',
      twice({ max: 2, schedule: [{ ...schedule, workers: 3 }] }),
      'models.0.scaling.schedule',
      /expected workers <= max/,
    ],
    [
      'a time that is none',
      twice({ schedule: [{ ...schedule, from: '8:00' }] }),
      'models.0.scaling.schedule.0.from',
      /expected a time.*got "8:00"/,
    ],
    [
      'a time without length',
      twice({ schedule: [{ ...schedule, to: '08:00' }] }),
      'models.0.scaling.schedule.0.to',
      /expected another time.*got "08:00"/,
    ],
    [
      'an unknown time zone',
      twice({ schedule: [{ ...schedule, timezone: 'Europe/Colonia' }] }),
      'models.0.scaling.schedule.0.timezone',
      /time zone.*got "Europe\/Colonia"/,
    ],
    [
      'a time zone in the wrong case',
      twice({ schedule: [{ ...schedule, timezone: 'europe/berlin' }] }),
      'models.0.scaling.schedule.0.timezone',
      /time zone/,
    ],
    [
      'replicas of the API upside down',
      { api: { replicas: { min: 3, max: 2 } } },
      'api.replicas',
      /expected min <= max; got {"min":3,"max":2}/,
    ],
    [
      'a GPU model without machines for it',
      { nodes: {} },
      'nodes.gpu',
      /expected the machines with GPUs.*large.*got nothing/,
    ],
    [
      'a GPU model without an image for it',
      { images: { ...images, workerGpu: undefined } },
      'images.workerGpu',
      /expected an image.*large.*got nothing/,
    ],
    [
      'a Python program without an image for it',
      { models: [{ name: 'program' }] },
      'images.workerPython',
      /expected an image, because program is a Python program; got nothing/,
    ],
    [
      'a Python program that is to be downloaded',
      {
        images: { ...images, workerPython: images.worker },
        models: [{ name: 'program', download: true }],
      },
      'models.0.download',
      /its files belong into the image/,
    ],
    [
      'a model for a device that containers lack',
      { models: [{ name: 'apple' }] },
      'models.0.name',
      /expected a model for a device.*coreml.*got "apple"/,
    ],
    [
      'a name that is too long',
      { models: [{ name: longName }] },
      'models.0.name',
      new RegExp(`at most ${nameLengthMax} characters.*got "${longName}"`),
    ],
    [
      'a namespace that is too long',
      { namespace: 'n'.repeat(60) },
      'namespace',
      /expected at most 55 characters/,
    ],
    [
      'a namespace in capitals',
      { namespace: 'Scoreline' },
      'namespace',
      /lower-case.*got "Scoreline"/,
    ],
    [
      'an image without a tag',
      { images: { ...images, api: 'example.com/api' } },
      'images.api',
      /expected an image with a tag.*got "example\.com\/api"/,
    ],
    [
      'an image on a port without a tag',
      { images: { ...images, api: 'example.com:5000/api' } },
      'images.api',
      /expected an image with a tag/,
    ],
    [
      'an image whose tag moves',
      { images: { ...images, worker: 'worker:latest' } },
      'images.worker',
      /does not move.*got "worker:latest"/,
    ],
    [
      'a size without a unit',
      { redis: { kind: 'in-cluster', memory: 2 } },
      'redis.memory',
      /got 2/,
    ],
    [
      'a size in other units',
      one({ memory: '2GB' }),
      'models.0.memory',
      /expected a size.*got "2GB"/,
    ],
    ['no processors', one({ cpu: 0 }), 'models.0.cpu', /expected at least 0\.01 processors; got 0/],
    [
      'a download from nowhere',
      one({ download: true }),
      'models.0.download',
      /expected addresses.*got true/,
    ],
    ['an unknown way in', { entrance: { kind: 'nginx' } }, 'entrance.kind', /got "nginx"/],
    [
      'two certificates',
      { entrance: { kind: 'gateway', certificate: { secret: 'a', keyVaultUri: 'https://x' } } },
      'entrance.certificate',
      /expected either/,
    ],
    [
      'a certificate in a Key Vault without an identity',
      {
        entrance: {
          kind: 'gateway',
          certificate: { keyVaultUri: 'https://v.vault.azure.net/certificates/c' },
        },
      },
      'azure',
      /expected the identity.*got nothing/,
    ],
    [
      'an address instead of a host for Redis',
      { redis: { kind: 'azure', host: 'rediss://x.redis.azure.net:10000' } },
      'redis.host',
      /expected a .*host name/,
    ],
    [
      'a password in the address of Redis',
      { redis: { kind: 'external', url: 'redis+cluster://:secret@one,two' } },
      'redis.url',
      /expected a URL as for REDIS_URL; .*redis\.user, and the password into the Secret redis/,
    ],
    [
      'an authority of a Redis without TLS',
      { redis: { kind: 'external', url: 'redis://redis.example.com', caSecret: 'ca' } },
      'redis.caSecret',
      /expected none, because redis\.url asks for no TLS.*got "ca"/,
    ],
    [
      'Sentinels without the name of the primary',
      { redis: { kind: 'external', url: 'redis+sentinel://one,two' } },
      'redis.url',
      /it has no name of a primary/,
    ],
    [
      'an unknown setting',
      { api: { settings: { QUEUE_ITEM_MAX: 5 } } },
      'api.settings.QUEUE_ITEM_MAX',
      /expected a key of docs\/configuration\.md; got 5/,
    ],
    [
      'a setting of the other role',
      { workers: { settings: { BODY_BYTES_MAX: 5 } } },
      'workers.settings.BODY_BYTES_MAX',
      /expected a key/,
    ],
    [
      'a setting with a wrong value',
      { api: { settings: { LOG_LEVEL: 'loud' } } },
      'api.settings.LOG_LEVEL',
      /got "loud"/,
    ],
    [
      'settings that contradict each other',
      { api: { settings: { BODY_BYTES_MAX: 300_000_000 } } },
      'api.settings.BODY_BYTES_MAX',
      /expected at most BODIES_BYTES_MAX/,
    ],
    [
      'a port of gRPC that is another in each pod',
      { api: { settings: { GRPC_PORT: 0 } } },
      'api.settings.GRPC_PORT',
      /expected a port from 1024 to 65535.*got 0/,
    ],
    [
      'a port of gRPC that pods cannot have',
      { api: { settings: { GRPC_PORT: 443 } } },
      'api.settings.GRPC_PORT',
      /expected a port from 1024 to 65535.*got 443/,
    ],
    [
      'the port of the metrics for gRPC',
      { api: { settings: { GRPC_PORT: 8081 } } },
      'api.settings.GRPC_PORT',
      /expected another port than that of the metrics.*got 8081/,
    ],
    [
      'the port of HTTP for gRPC',
      { api: { settings: { GRPC_PORT: 8080 } } },
      'api.settings.GRPC_PORT',
      /expected another port than PORT.*got 8080/,
    ],
    [
      'a port of gRPC that is none',
      { api: { settings: { GRPC_PORT: 'grpc' } } },
      'api.settings.GRPC_PORT',
      /got "grpc"/,
    ],
    [
      'a setting that follows from the values',
      { api: { settings: { REDIS_URL: 'redis://x' } } },
      'api.settings.REDIS_URL',
      /expected a key that the manifests do not set/,
    ],
    [
      'keys in a Secret that are not asked for',
      { api: { keysSecret: 'api-keys', settings: { AUTH: 'none' } } },
      'api.keysSecret',
      /expected AUTH with keys/,
    ],
    [
      'webhooks without the Secret that signs them',
      { api: { settings: { WEBHOOK_HOSTS: 'hooks.example.com' } } },
      'api.webhookSecret',
      /expected the name of a Secret if, and only if, api.settings has WEBHOOK_HOSTS/,
    ],
    [
      'a Secret for webhooks to nobody',
      { api: { webhookSecret: 'webhooks' } },
      'api.webhookSecret',
      /expected the name of a Secret if, and only if/,
    ],
    [
      'secrets of webhooks for everyone to read',
      { api: { settings: { WEBHOOK_SECRETS: 'whsec_c2NvcmVsaW5l' } } },
      'api.settings.WEBHOOK_SECRETS',
      /expected a key that the manifests do not set/,
    ],
    [
      'tokens of an issuer that is not named',
      { api: { settings: { AUTH: 'oidc' } } },
      'api.settings.OIDC_ISSUER',
      /expected a value, because AUTH has oidc/,
    ],
    ...['kube-system', 'kube-public', 'kube-node-lease', 'default', 'keda'].map(
      (namespace): Wrong => [
        `the namespace ${namespace}`,
        { namespace },
        'namespace',
        new RegExp(`expected a namespace for Scoreline alone.*got "${namespace}"`),
      ],
    ),
    ...['Scoreline.example.com', 'scoreline.example.com.', '192.0.2.1'].map(
      (host): Wrong => [
        `the host ${host}`,
        { host },
        'host',
        /expected a host name in lower case, without a dot at its end, and no address/,
      ],
    ),
    ...['sku=gpu:NoSchedule', 'gpu:NoSchedule', 'a b', 'sku=gpu=1'].map(
      (taint): Wrong => [
        `the taint ${taint}`,
        { nodes: { gpu: { ...gpuNodes.gpu, taints: [taint] } } },
        'nodes.gpu.taints.0',
        /expected key or key=value, without an effect.*NoSchedule; got/,
      ],
    ),
    [
      'a key of a label that Kubernetes does not take',
      { nodes: { gpu: { ...gpuNodes.gpu, labels: { 'my pool': 'gpus' } } } },
      'nodes.gpu.labels.my pool',
      /expected a key such as team/,
    ],
    [
      'a value of a label that Kubernetes does not take',
      { nodes: { gpu: { ...gpuNodes.gpu, labels: { pool: 'all gpus' } } } },
      'nodes.gpu.labels.pool',
      /expected letters, digits.*got "all gpus"/,
    ],
    [
      'a machine type with blanks',
      { nodes: { cpu: { machine: 'Standard D4' } } },
      'nodes.cpu.machine',
      /expected letters, digits.*got "Standard D4"/,
    ],
    [
      'an image in capitals',
      { images: { ...images, api: 'registry.example.com/Team/api:1.2.3-RC' } },
      'images.api',
      /expected lower-case letters before the tag.*got "registry/,
    ],
    [
      'a Secret in capitals',
      { entrance: { kind: 'gateway', certificate: { secret: 'TLS' } } },
      'entrance.certificate.secret',
      /expected lower-case letters, digits, - and \..*got "TLS"/,
    ],
    [
      'a setting in lower case',
      { api: { settings: { auth: 'keys' } } },
      'api.settings.auth',
      /expected a key of docs\/configuration\.md; got "keys"/,
    ],
    [
      'a model for TensorRT, which the image lacks',
      { models: [{ name: 'tensor' }] },
      'models.0.name',
      /expected a model for a device that the images have, cpu or cuda; its manifest says tensorrt/,
    ],
    [
      'a model for TensorRT that could run on a CPU, where there are GPUs',
      { models: [{ name: 'eager' }] },
      'models.0.name',
      /expected a model for a device that the images have/,
    ],
    [
      'a model for the second GPU of a pod with one',
      { models: [{ name: 'second' }] },
      'models.0.name',
      /expected device\.id 0 in the manifest of second.*got 1 in the manifest/,
    ],
    [
      'a Python program whose environment a volume would hide',
      {
        images: { ...images, workerPython: images.worker },
        models: [{ name: 'program' }],
        modelFolder: { from: 'volume', claim: 'models' },
      },
      'modelFolder.from',
      /expected image, because program is a Python program.*got "volume"/,
    ],
    [
      'an API that has no memory to start',
      { api: { memory: '79Mi' } },
      'api.memory',
      /expected at least 80Mi.*got "79Mi"/,
    ],
    [
      'a worker that has no memory to start',
      one({ memory: '127Mi' }),
      'models.0.memory',
      /expected at least 129Mi, or no worker can load small.*got "127Mi"/,
    ],
    [
      'a worker that has no memory for its model',
      { models: [{ name: 'large', memory: '512Mi' }] },
      'models.0.memory',
      /expected at least 705Mi, or no worker can load large.*got "512Mi"/,
    ],
    [
      'more items for each worker than the API lets in',
      { ...twice({ itemsPerWorker: 455 }), api: { settings: { QUEUE_ITEMS_MAX: 500 } } },
      'models.0.scaling.itemsPerWorker',
      /expected fewer than 455 items.*at most 500 \(QUEUE_ITEMS_MAX\).*got 455/,
    ],
    [
      'more items for each worker than the API lets in by default',
      twice({ itemsPerWorker: 20_000 }),
      'models.0.scaling.itemsPerWorker',
      /expected fewer than 9091 items.*at most 10000.*got 20000/,
    ],
    [
      'looks of KEDA that come after the deadline',
      { keda: { pollSeconds: 30 } },
      'keda.pollSeconds',
      /expected less than the deadline of small, 30 s.*got 30/,
    ],
    [
      'a short name of Redis, which KEDA does not find',
      { redis: { kind: 'external', url: 'redis://redis' } },
      'redis.url',
      /expected full names, such as redis\.NAMESPACE\.svc.*got "redis:\/\/redis"/,
    ],
    [
      'a short name of a Sentinel',
      { redis: { kind: 'external', url: 'redis+sentinel://one.example.com,two/main' } },
      'redis.url',
      /because KEDA looks two up from its own namespace/,
    ],
    [
      'an Azure Cache in place of an Azure Managed Redis',
      { redis: { kind: 'azure', host: 'mine.redis.cache.windows.net' } },
      'redis.host',
      /expected the host of an Azure Managed Redis.*url: "rediss:\/\/mine\.redis\.cache\.windows\.net:6380"/,
    ],
    [
      'a Redis without memory for data',
      { redis: { kind: 'in-cluster', memory: '1Mi' } },
      'redis.memory',
      /expected at least 64Mi.*got "1Mi"/,
    ],
    [
      'a disk of Redis that is smaller than its memory',
      { redis: { kind: 'in-cluster', memory: '16Gi', disk: '8Gi' } },
      'redis.disk',
      /expected at least the memory, 16Gi.*got "8Gi"/,
    ],
    [
      'nobody who is asked who calls',
      { api: { settings: { AUTH: '' } } },
      'api.settings.AUTH',
      /expected keys, oidc or keys,oidc, because others can reach.*got ""/,
    ],
    [
      'a list as a setting',
      { api: { settings: { AUTH: ['keys', 'oidc'] } } },
      'api.settings.AUTH',
      /expected a text, a number, true or false.*got \["keys","oidc"\]/,
    ],
    [
      'another folder for downloads than the one that is mounted',
      { workers: { settings: { MODEL_CACHE_DIR: '/tmp/models' } } },
      'workers.settings.MODEL_CACHE_DIR',
      /expected a key that the manifests do not set/,
    ],
    [
      'a share of traces for no receiver',
      { telemetry: { share: 0.5 } },
      'telemetry.share',
      /expected connectionStringSecret or otlp with it.*got 0\.5/,
    ],
    [
      'an identity that is none',
      { azure: { tenantId: 'me', clientId: 'you', keyVault: 'vault' } },
      'azure.tenantId',
      /expected a UUID; got "me"/,
    ],
  ];

  test.each(wrong)('with %s', (_, changes, key, message) => {
    const folder = makeFolder(filesWith(changes));
    const error = errorOf(() => planIn(folder));
    expect(error.code).toBe('configuration_invalid');
    const file = path.join(folder, 'values.yaml');
    const lines = error.message
      .split('\n')
      .filter((line) => line.replace(/: line \d+/, '').startsWith(`${file}: ${key}: `));
    expect(lines.join('\n'), error.message).toMatch(message);
  });

  test('are all reported together', () => {
    const folder = makeFolder(filesWith({ models: [{ name: 'x' }, { name: 'y' }] }));
    expect(errorOf(() => planIn(folder)).message.split('\n')).toHaveLength(2);
  });

  test('that are no YAML, or not there, are reported with their file', () => {
    const folder = makeFolder({ ...filesWith(), 'values.yaml': 'host: [' });
    expect(errorOf(() => planIn(folder)).message).toMatch(
      /values\.yaml: line \d+: expected valid YAML/,
    );
    const { 'values.yaml': _, ...models } = filesWith();
    const empty = makeFolder(models);
    expect(errorOf(() => planIn(empty)).message).toMatch(/values\.yaml: expected a file of values/);
  });
});

test('each version of a model has workers of its own, and the API sends to all of them', () => {
  const files = filesWith({ models: [{ name: 'small', cpu: 2 }] });
  const version = { ...(files['models/small/model.yaml'] as object), version: 2 };
  const { models } = planIn(
    makeFolder({
      ...files,
      'models/small/2/model.yaml': version,
      'models/small/2/labels.txt': files['models/small/labels.txt'],
    }),
  );
  expect(models.map(({ name, cpu }) => [name, cpu])).toEqual([
    ['worker-small-2', 2],
    ['worker-small-1', 2],
  ]);
  expect(new Set(models.map(({ model }) => model.queue)).size).toBe(2);
});

describe('a model whose manifest is wrong', () => {
  const half = { 'models/half/model.yaml': 'name: half\n' };

  test('does not matter if the values do not name it', () => {
    const { models } = planIn(makeFolder({ ...filesWith(), ...half }));
    expect(models.length).toBeGreaterThan(0);
  });

  test('is refused with its own reason if the values name it', () => {
    const folder = makeFolder({
      ...filesWith({ models: [{ name: 'half' }] }),
      ...half,
    });
    expect(errorOf(() => planIn(folder)).message).toMatch(/half\/model.yaml: source: /);
  });
});

describe('right values', () => {
  test.each<[what: string, changes: Record<string, unknown>]>([
    ['one worker alone, however many items wait', twice({ max: 1, itemsPerWorker: 20_000 })],
    [
      'rare looks of KEDA at workers that are always there',
      { ...twice({ min: 1 }), keda: { pollSeconds: 60 } },
    ],
    ['a model for TensorRT on a CPU', { models: [{ name: 'eager' }], nodes: {} }],
    ['the least memory', { models: [{ name: 'small', memory: '129Mi' }], api: { memory: '80Mi' } }],
    [
      'addresses of Redis',
      { redis: { kind: 'external', url: 'redis+cluster://10.0.0.7,[fd00::7]' } },
    ],
  ])('include %s', (_, changes) => {
    const { models } = planIn(makeFolder(filesWith(changes)));
    expect(models.length).toBeGreaterThan(0);
  });

  test('may have dots in the names of classes, Secrets and volume claims', () => {
    const name = 'webapprouting.kubernetes.azure.com';
    const { values } = planIn(
      makeFolder(
        filesWith({
          entrance: {
            kind: 'ingress',
            class: name,
            controllerNamespace: 'app-routing-system',
            certificate: { secret: 'scoreline.example.com' },
          },
          redis: { kind: 'in-cluster', storageClass: 'disks.premium' },
          modelFolder: { from: 'volume', claim: 'models.v1' },
          images: { ...images, pullSecret: 'registry.example.com' },
          nodes: {
            gpu: {
              ...gpuNodes.gpu,
              labels: { 'example.com/Pool': 'GPUs_1', empty: '' },
              taints: ['example.com/sku=gpu', 'batch'],
            },
          },
        }),
      ),
    );
    expect(values.entrance).toMatchObject({ class: name });
  });

  test.each([
    'registry.example.com:5000/a/b/worker:1.2.3',
    'worker:1.2.3-rc.1',
    `worker@sha256:${'a'.repeat(64)}`,
    `worker:1.2.3@sha256:${'a'.repeat(64)}`,
  ])('include the image %s', (worker) => {
    const { values } = planIn(makeFolder(filesWith({ images: { ...images, worker } })));
    expect(values.images.worker).toBe(worker);
  });

  test('need no machines with GPUs if no model uses one', () => {
    const { models } = planIn(makeFolder(filesWith({ models: [{ name: 'small' }], nodes: {} })));
    expect(models.map(({ isOnGpu }) => isOnGpu)).toEqual([false]);
    const both = planIn(makeFolder(filesWith({ nodes: gpuNodes })));
    expect(both.models.map(({ isOnGpu }) => isOnGpu)).toEqual([false, true]);
  });

  test('leave out no version of a model, nor its traffic', () => {
    const versions = (other: object) =>
      Object.entries(other).flatMap(([file, content]) => [[`models/both/${file}`, content]]);
    const manifest = { ...sampleManifest, name: 'both' };
    const files = (other: object) => ({
      ...filesWith({ models: [{ name: 'small' }, { name: 'both' }] }),
      'models/both/1/model.yaml': { ...manifest, version: '1' },
      'models/both/1/labels.txt': sampleLabels,
      ...Object.fromEntries(versions(other)),
    });
    const second = { '2/model.yaml': { ...manifest, version: '2' }, '2/labels.txt': sampleLabels };
    expect(planIn(makeFolder(files(second))).models).toHaveLength(3);
    for (const [other, reason] of [
      [{ ...second, '2/model.yaml': { ...manifest, version: '2', deadline: 1 } }, /deadline/],
      [{ 'traffic.yaml': { latest: '3' } }, /traffic\.yaml.*3/s],
    ] as const) {
      const { message } = errorOf(() => planIn(makeFolder(files(other))));
      expect(message).toMatch(/models\.1\.name: expected a model whose versions and traffic/);
      expect(message).toMatch(reason);
    }
    const long = { ...second, '2/model.yaml': { ...manifest, version: '2'.repeat(60) } };
    expect(errorOf(() => planIn(makeFolder(files(long)))).message).toContain('models.1.name:');
  });

  test('are those of this repository', () => {
    const root = packageDirectory();
    const plan = readPlan({
      file: path.join(root, 'k8s/values.yaml'),
      modelsDirectory: path.join(root, 'models'),
    });
    expect(plan.models.map(({ model }) => model.name)).toEqual([
      'faq-matcher',
      'breast-cancer',
      'efficientnet-lite0',
    ]);
  });
});
