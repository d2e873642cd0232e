// Tests that wrong values stop the generator, which says file, key, what was expected and what it got.

import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readPlan } from '../../k8s/read-plan.js';
import { packageDirectory } from '../../shared/version.js';
import { errorOf, makeFolder, sampleLabels, sampleManifest } from '../unit/sample-model.js';
import { expectFault, filesWith, gpuNodes, planIn, sampleValues } from './cluster.js';

const { images } = sampleValues;
const longName = 'a-model-whose-name-is-longer-than-kubernetes-can-take';
const schedule = { from: '08:00', to: '18:00', timezone: 'UTC', workers: 1 };
const one = (model: object) => ({ models: [{ name: 'small', ...model }] });
const twice = (model: object) => one({ scaling: model });

describe('wrong values', () => {
  /** Messages, and the changes that each is about. */
  const wrong: Record<string, Record<string, unknown>[]> = {
    'redis.discs: expected one of the keys kind, cpu, memory, disk, storageClass; got 2': [
      { redis: { kind: 'in-cluster', discs: 2 } },
    ],
    'redis.disk: expected a size such as 8Gi, or none; got 32': [
      { redis: { kind: 'in-cluster', disk: 32 } },
    ],
    'api.cpu: expected a number of processors, such as 0.5; got "500m"': [{ api: { cpu: '500m' } }],
    'telemetry.otlp.endpoint: expected a URL with http or https; got "collector:4318"': [
      { telemetry: { otlp: { endpoint: 'collector:4318' } } },
    ],
    'host: expected a host name; got nothing': [{ host: undefined }],
    'host: expected a host name in lower case, without a dot at its end, and no address; got "https://x"':
      [{ host: 'https://x' }],
    'models.0.name: expected the name of a model: a-model-whose-name-is-longer-than-kubernetes-can-take, apple, eager, either, large, program, second, slow, small, tensor; got "larg"':
      [{ models: [{ name: 'larg' }] }],
    'models: expected a list of 1 or more entries; got []': [{ models: [] }],
    'models.1.name: expected each name once; small and small are both worker-small-1 in Kubernetes; got "small"':
      [{ models: [{ name: 'small' }, { name: 'small' }] }],
    'models.0.scaling: expected min <= max; with its manifest this is {"min":11,"max":10,"itemsPerWorker":64,"coolDownSeconds":300,"schedule":[]}; got {"min":11}':
      [twice({ min: 11 })],
    'models.0.scaling.schedule: expected workers <= max; with its manifest this is {"min":0,"max":2,"itemsPerWorker":64,"coolDownSeconds":300,"schedule":[{"days":["mon","tue","wed","thu","fri"],"from":"08:00","to":"18:00","timezone":"UTC","workers":3}]}; got [{"from":"08:00","to":"18:00","timezone":"UTC","workers":3}]':
      [twice({ max: 2, schedule: [{ ...schedule, workers: 3 }] })],
    'models.0.scaling.schedule.0.from: expected a time from 00:00 to 23:59, in quotes; got "8:00"':
      [twice({ schedule: [{ ...schedule, from: '8:00' }] })],
    'models.0.scaling.schedule.0.to: expected another time than from; got "08:00"': [
      twice({ schedule: [{ ...schedule, to: '08:00' }] }),
    ],
    'models.0.scaling.schedule.0.timezone: expected the name of a time zone, such as Europe/Berlin or UTC; got "Europe/Colonia"':
      [twice({ schedule: [{ ...schedule, timezone: 'Europe/Colonia' }] })],
    'models.0.scaling.schedule.0.timezone: expected the name of a time zone, such as Europe/Berlin or UTC; got "europe/berlin"':
      [twice({ schedule: [{ ...schedule, timezone: 'europe/berlin' }] })],
    'api.replicas: expected min <= max; got {"min":3,"max":2}': [
      { api: { replicas: { min: 3, max: 2 } } },
    ],
    'nodes.gpu: expected the machines with GPUs, because large runs on a GPU; got nothing': [
      { nodes: {} },
    ],
    'images.workerGpu: expected an image, because large runs on a GPU; got nothing': [
      { images: { ...images, workerGpu: undefined } },
    ],
    'images.workerPython: expected an image, because program is a Python program; got nothing': [
      { models: [{ name: 'program' }] },
    ],
    'models.0.download: expected none for program, whose engine is Python: its files belong into the image; got true':
      [
        {
          images: { ...images, workerPython: images.worker },
          models: [{ name: 'program', download: true }],
        },
      ],
    'models.0.name: expected a model for a device that the images have, cpu or cuda; its manifest says coreml; got "apple"':
      [{ models: [{ name: 'apple' }] }],
    'models.0.name: expected a name and version that make a name of at most 54 characters in Kubernetes; worker-a-model-whose-name-is-longer-than-kubernetes-can-take-1 has 62; got "a-model-whose-name-is-longer-than-kubernetes-can-take"':
      [{ models: [{ name: longName }] }],
    'namespace: expected at most 55 characters; got "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"':
      [{ namespace: 'n'.repeat(60) }],
    'namespace: expected lower-case letters, digits and -, 63 characters at most; got "Scoreline"':
      [{ namespace: 'Scoreline' }],
    'images.api: expected an image with a tag or digest, such as registry.example.com/api:1.2.3; got "example.com/api"':
      [{ images: { ...images, api: 'example.com/api' } }],
    'images.api: expected an image with a tag or digest, such as registry.example.com/api:1.2.3; got "example.com:5000/api"':
      [{ images: { ...images, api: 'example.com:5000/api' } }],
    'images.worker: expected a tag that does not move; got "worker:latest"': [
      { images: { ...images, worker: 'worker:latest' } },
    ],
    'redis.memory: expected a text; got 2': [{ redis: { kind: 'in-cluster', memory: 2 } }],
    'models.0.memory: expected a size such as 512Mi or 2Gi; got "2GB"': [one({ memory: '2GB' })],
    'models.0.cpu: expected at least 0.01 processors; got 0': [one({ cpu: 0 })],
    "models.0.download: expected addresses of HTTP in source.urls of small's manifest, since workers have no pip; there are none; got true":
      [one({ download: true })],
    'entrance.kind: expected "gateway" or "ingress" or "none"; got "nginx"': [
      { entrance: { kind: 'nginx' } },
    ],
    'entrance.certificate: expected either secret: the name of a TLS Secret, or keyVaultUri: the address of a certificate; got {"secret":"a","keyVaultUri":"https://x"}':
      [{ entrance: { kind: 'gateway', certificate: { secret: 'a', keyVaultUri: 'https://x' } } }],
    'azure: expected the identity that reads entrance.certificate from the Key Vault; got nothing':
      [
        {
          entrance: {
            kind: 'gateway',
            certificate: { keyVaultUri: 'https://v.vault.azure.net/certificates/c' },
          },
        },
      ],
    'redis.host: expected a host name; got "rediss://x.redis.azure.net:10000"': [
      { redis: { kind: 'azure', host: 'rediss://x.redis.azure.net:10000' } },
    ],
    'redis.url: expected a URL as for REDIS_URL; it has a user, a password or an option. The user belongs into redis.user, and the password into the Secret redis; got "redis+cluster://:secret@one,two"':
      [{ redis: { kind: 'external', url: 'redis+cluster://:secret@one,two' } }],
    'redis.caSecret: expected none, because redis.url asks for no TLS: write rediss instead of redis there; got "ca"':
      [{ redis: { kind: 'external', url: 'redis://redis.example.com', caSecret: 'ca' } }],
    'redis.certificateSecret: expected none, because redis.url asks for no TLS: write rediss instead of redis there; got "own"':
      [{ redis: { kind: 'external', url: 'redis://redis.example.com', certificateSecret: 'own' } }],
    'redis.url: expected a URL as for REDIS_URL; it has no name of a primary. Write it behind the hosts, such as /mymaster; got "redis+sentinel://one,two"':
      [{ redis: { kind: 'external', url: 'redis+sentinel://one,two' } }],
    'api.settings.QUEUE_ITEM_MAX: expected a key of docs/configuration.md; other variables belong into environment; got 5':
      [{ api: { settings: { QUEUE_ITEM_MAX: 5 } } }],
    'workers.settings.BODY_BYTES_MAX: expected a key of docs/configuration.md; other variables belong into environment; got 5':
      [{ workers: { settings: { BODY_BYTES_MAX: 5 } } }],
    'api.settings.LOG_LEVEL: expected one of "trace", "debug", "info", "warn", "error", "silent"; got "loud"':
      [{ api: { settings: { LOG_LEVEL: 'loud' } } }],
    'api.settings.BODY_BYTES_MAX: expected at most BODIES_BYTES_MAX, or the largest body is never admitted; got 300000000':
      [{ api: { settings: { BODY_BYTES_MAX: 300_000_000 } } }],
    'api.settings.GRPC_PORT: expected a port from 1024 to 65535, which pods, Service and network policy can name; got 0':
      [{ api: { settings: { GRPC_PORT: 0 } } }],
    'api.settings.GRPC_PORT: expected a port from 1024 to 65535, which pods, Service and network policy can name; got 443':
      [{ api: { settings: { GRPC_PORT: 443 } } }],
    'api.settings.GRPC_PORT: expected another port than that of the metrics; got 8081': [
      { api: { settings: { GRPC_PORT: 8081 } } },
    ],
    'api.settings.GRPC_PORT: expected another port than PORT; got 8080': [
      { api: { settings: { GRPC_PORT: 8080 } } },
    ],
    'api.settings.GRPC_PORT: expected a whole number from 0 to 65535; got "grpc"': [
      { api: { settings: { GRPC_PORT: 'grpc' } } },
    ],
    'api.settings.REDIS_URL: expected a key that the manifests do not set themselves; got "redis://x"':
      [{ api: { settings: { REDIS_URL: 'redis://x' } } }],
    'api.keysSecret: expected AUTH with keys in api.settings; got "api-keys"': [
      { api: { keysSecret: 'api-keys', settings: { AUTH: 'none' } } },
    ],
    'api.webhookSecret: expected the name of a Secret if, and only if, api.settings has WEBHOOK_HOSTS; got nothing':
      [{ api: { settings: { WEBHOOK_HOSTS: 'hooks.example.com' } } }],
    'api.webhookSecret: expected the name of a Secret if, and only if, api.settings has WEBHOOK_HOSTS; got "webhooks"':
      [{ api: { webhookSecret: 'webhooks' } }],
    'api.settings.WEBHOOK_SECRETS: expected a key that the manifests do not set themselves; got "whsec_c2NvcmVsaW5l"':
      [{ api: { settings: { WEBHOOK_SECRETS: 'whsec_c2NvcmVsaW5l' } } }],
    'api.settings.OIDC_ISSUER: expected a value, because AUTH has oidc; got nothing': [
      { api: { settings: { AUTH: 'oidc' } } },
    ],
    ...Object.fromEntries(
      ['kube-system', 'kube-public', 'kube-node-lease', 'default', 'keda'].map((namespace) => [
        `namespace: expected a namespace for Scoreline alone, because everything else in it would be cut off; got "${namespace}"`,
        [{ namespace }],
      ]),
    ),
    ...Object.fromEntries(
      ['Scoreline.example.com', 'scoreline.example.com.', '192.0.2.1'].map((host) => [
        `host: expected a host name in lower case, without a dot at its end, and no address; got "${host}"`,
        [{ host }],
      ]),
    ),
    ...Object.fromEntries(
      ['sku=gpu:NoSchedule', 'gpu:NoSchedule', 'a b', 'sku=gpu=1'].map((taint) => [
        `nodes.gpu.taints.0: expected key or key=value, without an effect behind a colon, since every effect is tolerated; got "${taint}"`,
        [{ nodes: { gpu: { ...gpuNodes.gpu, taints: [taint] } } }],
      ]),
    ),
    'nodes.gpu.labels.my pool: expected a key such as team or example.com/team, 63 characters behind the /; got "gpus"':
      [{ nodes: { gpu: { ...gpuNodes.gpu, labels: { 'my pool': 'gpus' } } } }],
    'nodes.gpu.labels.pool: expected letters, digits, -, _ and ., 63 characters at most; got "all gpus"':
      [{ nodes: { gpu: { ...gpuNodes.gpu, labels: { pool: 'all gpus' } } } }],
    'nodes.cpu.machine: expected letters, digits, -, _ and ., 63 characters at most; got "Standard D4"':
      [{ nodes: { cpu: { machine: 'Standard D4' } } }],
    'images.api: expected lower-case letters before the tag; got "registry.example.com/Team/api:1.2.3-RC"':
      [{ images: { ...images, api: 'registry.example.com/Team/api:1.2.3-RC' } }],
    'entrance.certificate.secret: expected lower-case letters, digits, - and ., 253 characters at most; got "TLS"':
      [{ entrance: { kind: 'gateway', certificate: { secret: 'TLS' } } }],
    'api.settings.auth: expected a key of docs/configuration.md; other variables belong into environment; got "keys"':
      [{ api: { settings: { auth: 'keys' } } }],
    'models.0.name: expected a model for a device that the images have, cpu or cuda; its manifest says tensorrt; got "tensor"':
      [{ models: [{ name: 'tensor' }] }],
    'models.0.name: expected a model for a device that the images have, cpu or cuda; its manifest says tensorrt; got "eager"':
      [{ models: [{ name: 'eager' }] }],
    'models.0.name: expected device.id 0 in the manifest of second, because a worker gets one GPU, whichever is free, and it is 0 there; got 1 in the manifest; got "second"':
      [{ models: [{ name: 'second' }] }],
    'modelFolder.from: expected image, because program is a Python program: the environment of its packages is made with the image worker-python, and a volume would hide it; got "volume"':
      [
        {
          images: { ...images, workerPython: images.worker },
          models: [{ name: 'program' }],
          modelFolder: { from: 'volume', claim: 'models' },
        },
      ],
    'api.memory: expected at least 80Mi, or no API can start; got "79Mi"': [
      { api: { memory: '79Mi' } },
    ],
    'models.0.memory: expected at least 129Mi, or no worker can load small; more is needed to score, so leave it out to get what is usual; got "127Mi"':
      [one({ memory: '127Mi' })],
    'models.0.memory: expected at least 705Mi, or no worker can load large; more is needed to score, so leave it out to get what is usual; got "512Mi"':
      [{ models: [{ name: 'large', memory: '512Mi' }] }],
    'models.0.scaling.itemsPerWorker: expected fewer than 455 items for each worker, or a second one never comes: the API lets in at most 500 (QUEUE_ITEMS_MAX); with its manifest it is 455; got 455':
      [{ ...twice({ itemsPerWorker: 455 }), api: { settings: { QUEUE_ITEMS_MAX: 500 } } }],
    'models.0.scaling.itemsPerWorker: expected fewer than 9091 items for each worker, or a second one never comes: the API lets in at most 10000 (QUEUE_ITEMS_MAX); with its manifest it is 20000; got 20000':
      [twice({ itemsPerWorker: 20_000 })],
    'keda.pollSeconds: expected less than the deadline of small, 30 s, or its first request ends before KEDA looks; got 30':
      [{ keda: { pollSeconds: 30 } }],
    'redis.url: expected full names, such as redis.NAMESPACE.svc.cluster.local, because KEDA looks redis up from its own namespace; got "redis://redis"':
      [{ redis: { kind: 'external', url: 'redis://redis' } }],
    'redis.url: expected full names, such as two.NAMESPACE.svc.cluster.local, because KEDA looks two up from its own namespace; got "redis+sentinel://one.example.com,two/main"':
      [{ redis: { kind: 'external', url: 'redis+sentinel://one.example.com,two/main' } }],
    'redis.host: expected the host of an Azure Managed Redis, NAME.REGION.redis.azure.net; this is an Azure Cache for Redis, which is { kind: external, url: "rediss://mine.redis.cache.windows.net:6380", ports: [] }; got "mine.redis.cache.windows.net"':
      [{ redis: { kind: 'azure', host: 'mine.redis.cache.windows.net' } }],
    'redis.memory: expected at least 64Mi, of which 0.6 are for data; got "1Mi"': [
      { redis: { kind: 'in-cluster', memory: '1Mi' } },
    ],
    'redis.disk: expected at least the memory, 16Gi, better twice as much, because its file holds what the memory does, twice while it is rewritten; got "8Gi"':
      [{ redis: { kind: 'in-cluster', memory: '16Gi', disk: '8Gi' } }],
    'api.settings.AUTH: expected keys, oidc or keys,oidc, because others can reach HOST=::. Set AUTH=keys and make a key (npm run keys -- create NAME, or in a container: node /app/dist/cli/keys.js create NAME), or set AUTH=none to let everyone who reaches it do everything; got ""':
      [{ api: { settings: { AUTH: '' } } }],
    'api.settings.AUTH: expected a text, a number, true or false; lists have commas between their parts; got ["keys","oidc"]':
      [{ api: { settings: { AUTH: ['keys', 'oidc'] } } }],
    'workers.settings.MODEL_CACHE_DIR: expected a key that the manifests do not set themselves; got "/tmp/models"':
      [{ workers: { settings: { MODEL_CACHE_DIR: '/tmp/models' } } }],
    'environment.HTTPS_PROXY: expected the address of a proxy, such as http://proxy.example.com:3128; got "proxy.example.com:3128"':
      [{ environment: { HTTPS_PROXY: 'proxy.example.com:3128' } }],
    'environment.http_proxy: expected no password in it, because manifests are no secret; write $(PROXY_PASSWORD), and put PROXY_PASSWORD into the Secret that environmentSecret names; got "http://me:secret@proxy.example.com"':
      [{ environment: { http_proxy: 'http://me:secret@proxy.example.com' } }],
    'environment.NODE_EXTRA_CA_CERTS: expected none; authoritiesConfigMap is the key for it; got "/ca.crt"':
      [{ environment: { NODE_EXTRA_CA_CERTS: '/ca.crt' } }],
    'environment.REDIS_URL: expected a variable that the manifests do not set themselves; got "redis://x"':
      [{ environment: { REDIS_URL: 'redis://x' } }],
    'environment.LOG_LEVEL: expected a variable that is no setting of Scoreline; settings belong into api.settings and workers.settings, where they are checked; got "warn"':
      [{ environment: { LOG_LEVEL: 'warn' } }],
    'environment.no proxy: expected the name of a variable, such as NO_PROXY; got "x"': [
      { environment: { 'no proxy': 'x' } },
    ],
    'api.settings.HTTPS_PROXY: expected a key of docs/configuration.md; other variables belong into environment; got "http://x"':
      [{ api: { settings: { HTTPS_PROXY: 'http://x' } } }],
    'telemetry.share: expected connectionStringSecret or otlp with it, because nothing is sent without a receiver; got 0.5':
      [{ telemetry: { share: 0.5 } }],
    'azure.tenantId: expected a UUID; got "me"': [
      { azure: { tenantId: 'me', clientId: 'you', keyVault: 'vault' } },
    ],
  };

  test.each(Object.entries(wrong))('say: %s', (message, values) => {
    for (const changes of values) expectFault(changes, message);
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
