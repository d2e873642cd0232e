// Tests what the manifests make a cluster do.

import { describe, expect, test } from 'vitest';
import { makeMayRest } from '../../api/versions/at-rest.js';
import { receiverSecret } from '../../chaos/receiver.js';
import type { PlannedModel } from '../../k8s/plan.js';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { parseRedisUrl } from '../../shared/redis/url.js';
import { azure, type Cluster, generate, gpuNodes, type Loaded, variants } from './cluster.js';

const small = 'worker-small-1';
const large = 'worker-large-2-1-rc';
const container = (cluster: Cluster, name: string) => templateOf(cluster, name).spec.containers[0];

function templateOf({ templates }: Cluster, name: string) {
  const found = templates.find((template) => template.name === name);
  if (!found) throw new Error(`There are no pods of ${name}.`);
  return found;
}

/** What Secrets hold that has a form. */
const secrets: Readonly<Record<string, string>> = {
  WEBHOOK_SECRETS: receiverSecret,
  APPLICATIONINSIGHTS_CONNECTION_STRING:
    'InstrumentationKey=00000000-0000-4000-8000-000000000001;IngestionEndpoint=https://example.com',
  OTEL_EXPORTER_OTLP_HEADERS: 'api-key=secret',
};

/** The environment of a container, with something in place of each secret. */
function environmentOf(cluster: Cluster, name: string): Record<string, string> {
  const { env } = container(cluster, name);
  return Object.fromEntries(
    env.map(({ name, value }: Loaded) => [name, value ?? secrets[name] ?? 'secret']),
  );
}

function authenticationOf(cluster: Cluster): Loaded {
  return cluster.get('TriggerAuthentication', 'redis').spec;
}

/** Whether a reference of a TriggerAuthentication is to one of these parameters. */
function isOf(...parameters: string[]) {
  return ({ parameter }: Loaded) => parameters.includes(parameter);
}

test('models that take as long as any may, and none that scales from zero, make processes that start and wait for workers', () => {
  const cluster = generate({ models: [{ name: 'slow', scaling: { min: 1 } }] });
  const api = readConfiguration('api', environmentOf(cluster, 'api'));
  const [{ name, model }] = cluster.plan.models as [PlannedModel];
  expect(readConfiguration('worker', environmentOf(cluster, name)).SHUTDOWN_MS).toBeGreaterThan(
    model.manifest.runMsMax,
  );
  expect(api.SHUTDOWN_MS).toBeGreaterThan(model.manifest.deadlineMs);
  const { startupProbe } = container(cluster, name);
  expect(startupProbe.periodSeconds * startupProbe.failureThreshold * 1000).toBeGreaterThan(
    model.manifest.loadMsMax + 2 * model.manifest.runMsMax,
  );
  expect([model.manifest.scaling.min, makeMayRest(api.SCALE_FROM_ZERO)(model)]).toEqual([0, false]);
});

describe.each(Object.entries(variants))('with %s', (_, changes) => {
  const cluster = generate(changes);
  const { templates, of } = cluster;
  const workers = templates.filter(({ name }) => name.startsWith('worker-'));

  test('API and workers accept their environments, and mean the same queues', () => {
    const api = readConfiguration('api', environmentOf(cluster, 'api'));
    for (const { name } of workers) {
      const worker = readConfiguration('worker', environmentOf(cluster, name));
      expect(worker.REDIS_URL).toBe(api.REDIS_URL);
      expect(worker.QUEUE_PREFIX).toBe(api.QUEUE_PREFIX);
      expect(api.MODELS).toEqual(expect.arrayContaining([...(worker.MODELS ?? [])]));
    }
    // A process that starts with other models would use queues that KEDA does not look at.
    expect(api.MODELS).toEqual(cluster.plan.models.map(({ model }) => model.queue));
    expect(api.MODELS).toHaveLength(workers.length);
  });

  test('KEDA reads the set in which the API counts, on the same Redis', () => {
    const api = readConfiguration('api', environmentOf(cluster, 'api'));
    for (const { name, model } of cluster.plan.models) {
      const { triggers } = cluster.get('ScaledObject', name).spec;
      const [{ type, metadata }] = triggers.filter(({ type }: Loaded) => type !== 'cron');
      expect(metadata.listName).toBe(makeKeys(api.QUEUE_PREFIX).unanswered(model.queue));
      const { kind, nodes, primary, username, db, isTls } = parseRedisUrl(api.REDIS_URL);
      expect(type).toBe(kind === 'single' ? 'redis' : `redis-${kind}`);
      const servers = nodes.map(({ host, port }) => `${host}:${port}`).join(',');
      expect(kind === 'single' ? metadata.address : metadata.addresses).toBe(servers);
      expect(metadata.sentinelMaster ?? '').toBe(primary);
      expect(metadata.username).toBe(username);
      expect(Number(metadata.databaseIndex ?? 0)).toBe(db);
      expect(metadata.enableTLS).toBe(String(isTls));
    }
  });

  test('KEDA trusts the authority of Redis, and all processes that of the values, or else of Redis', () => {
    const { redis, authoritiesConfigMap } = cluster.plan.values;
    const caSecret = redis.kind === 'external' ? redis.caSecret : undefined;
    const isTls = environmentOf(cluster, 'api').REDIS_URL?.startsWith('rediss');
    const { secretTargetRef, configMapTargetRef = [] } = authenticationOf(cluster);
    const known = [...secretTargetRef, ...configMapTargetRef].filter(isOf('ca'));
    const authority = caSecret ?? (isTls ? authoritiesConfigMap : undefined);
    expect(known.map(({ name, key }: Loaded) => `${name}/${key}`)).toEqual(
      authority === undefined ? [] : [`${authority}/ca.crt`],
    );
    expect(configMapTargetRef.some(isOf('ca'))).toBe(authority !== caSecret);
    for (const { spec } of cluster.templates) {
      const [{ env = [], volumeMounts }] = spec.containers;
      const file = env.find(({ name }: Loaded) => name === 'NODE_EXTRA_CA_CERTS')?.value;
      const volume = spec.volumes.find(({ name }: Loaded) => name === 'authorities');
      const mount = volumeMounts.find(({ name }: Loaded) => name === 'authorities');
      expect(volume?.configMap?.name).toBe(authoritiesConfigMap);
      expect(volume?.secret?.secretName).toBe(authoritiesConfigMap ? undefined : caSecret);
      expect(file).toBe(volume && `${mount.mountPath}/ca.crt`);
    }
  });

  test('API, workers and KEDA show Redis the same certificate, if it asks for one', () => {
    const { redis } = cluster.plan.values;
    const secretName = redis.kind === 'external' ? redis.certificateSecret : undefined;
    const keys = secretName === undefined ? [] : ['tls.crt', 'tls.key'];
    const shown = authenticationOf(cluster).secretTargetRef.filter(isOf('cert', 'key'));
    expect(shown.map(({ name, key }: Loaded) => `${name}/${key}`)).toEqual(
      keys.map((key) => `${secretName}/${key}`),
    );
    for (const { name, spec } of templates.filter(({ name }) => name !== 'redis')) {
      const volume = spec.volumes.find(({ secret }: Loaded) => secret?.secretName === secretName);
      const { volumeMounts } = spec.containers[0];
      const mount = volumeMounts.find((each: Loaded) => each.name === volume?.name);
      const { REDIS_CERT_FILE, REDIS_KEY_FILE } = environmentOf(cluster, name);
      const files = [REDIS_CERT_FILE, REDIS_KEY_FILE].filter((file) => file !== undefined);
      expect(files).toEqual(keys.map((key) => `${mount.mountPath}/${key}`));
    }
  });

  test('KEDA checks certificates, unless it is told not to', () => {
    const { checkCertificates } = cluster.plan.values.keda;
    for (const { metadata, type } of of('ScaledObject').flatMap(({ spec }) => spec.triggers)) {
      const isUnsafe = type.startsWith('redis') && !checkCertificates;
      expect(metadata.unsafeSsl).toBe(isUnsafe ? 'true' : undefined);
    }
  });

  test('every value of a trigger is a text, as KEDA wants it', () => {
    for (const { metadata } of of('ScaledObject').flatMap(({ spec }) => spec.triggers)) {
      for (const value of Object.values(metadata)) expect(value).toBeTypeOf('string');
    }
  });

  test('nothing but the work decides about workers: there is no fallback', () => {
    for (const { spec } of of('ScaledObject')) {
      expect(spec.fallback).toBeUndefined();
      expect(spec.minReplicaCount).toBeLessThanOrEqual(spec.maxReplicaCount);
    }
  });

  test('the API knows which models are scaled to zero, whatever their manifests say', () => {
    const api = readConfiguration('api', environmentOf(cluster, 'api'));
    const mayRest = makeMayRest(api.SCALE_FROM_ZERO);
    for (const { name, model } of cluster.plan.models) {
      const { minReplicaCount } = cluster.get('ScaledObject', name).spec;
      expect([name, mayRest(model)]).toEqual([name, minReplicaCount === 0]);
    }
  });

  test('a pod has more time to end than its process takes, and a process more than a run', () => {
    for (const { name, model } of cluster.plan.models) {
      const shutdownMs = Number(environmentOf(cluster, name).SHUTDOWN_MS);
      expect(shutdownMs).toBeGreaterThan(model.manifest.runMsMax);
      const { terminationGracePeriodSeconds } = templateOf(cluster, name).spec;
      // The process ends itself a second after SHUTDOWN_MS.
      expect(terminationGracePeriodSeconds * 1000).toBeGreaterThan(shutdownMs + 1000);
    }
    const shutdownMs = Number(environmentOf(cluster, 'api').SHUTDOWN_MS);
    const leaveMs = Number(environmentOf(cluster, 'api').LEAVE_MS);
    expect(leaveMs).toBeGreaterThan(0);
    for (const { model } of cluster.plan.models) {
      expect(shutdownMs).toBeGreaterThan(leaveMs + model.manifest.deadlineMs);
    }
    expect(templateOf(cluster, 'api').spec.terminationGracePeriodSeconds * 1000).toBeGreaterThan(
      shutdownMs + 1000,
    );
  });

  test('no pod may do more than the restricted standard allows', () => {
    const [namespace] = of('Namespace');
    expect(namespace.metadata.labels['pod-security.kubernetes.io/enforce']).toBe('restricted');
    for (const { spec } of templates) {
      expect(spec).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      });
      const { runAsUser, runAsGroup, fsGroup } = spec.securityContext;
      const isOurs = cluster.plan.values.podUser === 'own';
      expect(
        [runAsUser, runAsGroup, fsGroup].every((id) => (isOurs ? id > 0 : id === undefined)),
      ).toBe(true);
      expect(spec.hostNetwork ?? spec.hostPID ?? spec.hostIPC).toBeUndefined();
      for (const each of spec.containers) {
        expect(each.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      }
      for (const volume of spec.volumes) {
        const [kind] = Object.keys(volume).filter((key) => key !== 'name');
        expect(['emptyDir', 'persistentVolumeClaim', 'csi', 'secret', 'configMap']).toContain(kind);
      }
    }
  });

  test('a container that fails leaves the end of its log where `kubectl describe` shows it', () => {
    for (const { spec } of templates) {
      for (const each of spec.containers) {
        expect(each.terminationMessagePolicy).toBe('FallbackToLogsOnError');
      }
    }
  });

  test('every container asks for processors and memory, and is limited in memory', () => {
    for (const { spec } of templates) {
      for (const { resources } of spec.containers) {
        expect(resources.requests.cpu).toBeDefined();
        expect(resources.limits.memory).toBe(resources.requests.memory);
        expect(resources.limits.cpu).toBeUndefined();
      }
    }
  });

  test('the quota leaves room for all pods twice', () => {
    const [quota] = of('ResourceQuota');
    const most = [...of('ScaledObject'), ...of('HorizontalPodAutoscaler')].map(
      ({ spec }) => spec.maxReplicaCount ?? spec.maxReplicas,
    );
    const pods = most.reduce((sum, count) => sum + count, 0) + of('StatefulSet').length;
    expect(Number(quota.spec.hard.pods)).toBe(2 * pods);
  });

  test('everything is denied on the network first', () => {
    const denies = of('NetworkPolicy').find(({ metadata }) => metadata.name === 'deny-all');
    expect(denies.spec).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    // Only the API serves others. Workers let scrapers read their metrics, and nobody else in.
    const listening = of('NetworkPolicy').filter(({ spec }) => spec.ingress);
    expect(listening.map(({ metadata }) => metadata.name)).toEqual(
      of('StatefulSet').length > 0 ? ['api', 'worker', 'redis'] : ['api', 'worker'],
    );
  });

  test('only scrapers reach the metrics, and they reach nothing else', () => {
    const scraped = templates.filter(({ name }) => name !== 'redis');
    const port = (template: Loaded, name: string) =>
      template.spec.containers[0].ports.find((each: Loaded) => each.name === name)?.containerPort;
    const [api] = scraped.filter(({ name }) => name === 'api');
    expect(port(api, 'metrics')).not.toBe(port(api, 'http'));
    const rules = of('NetworkPolicy')
      .filter(({ metadata }) => ['api', 'worker'].includes(metadata.name))
      .flatMap(({ spec }) => spec.ingress);
    const toMetrics = rules.filter(({ ports }) => ports.some((each: Loaded) => each.port === 8081));
    expect(toMetrics).toHaveLength(2);
    for (const { from, ports } of toMetrics) {
      expect(ports).toEqual([{ protocol: 'TCP', port: 8081 }]);
      const [namespace] = cluster.plan.values.monitoring.namespaces;
      expect(from).toEqual([
        { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
      ]);
    }
    for (const { spec } of of('Service')) {
      for (const { targetPort } of spec.ports) expect(targetPort).not.toBe('metrics');
    }
    for (const template of scraped) {
      const { env, ports } = template.spec.containers[0];
      const number = template.annotations['prometheus.io/port'];
      expect(ports.some((each: Loaded) => `${each.containerPort}` === number)).toBe(true);
      const setting = template.name === 'api' ? 'METRICS_PORT' : 'PROBE_PORT';
      expect(env.find(({ name }: Loaded) => name === setting).value).toBe(number);
    }
  });

  test('no secret is in the manifests', () => {
    expect(of('Secret')).toEqual([]);
    for (const { spec } of templates) {
      const secrets = spec.containers[0].env.filter(
        ({ name }: Loaded) => /PASS|AUTH|KEY|TOKEN/.test(name) && !/^AUTH$|_FILE$/.test(name),
      );
      for (const { value, valueFrom } of secrets) {
        expect(value).toBeUndefined();
        expect(valueFrom.secretKeyRef).toBeDefined();
      }
    }
  });
});

describe('telemetry', () => {
  const telemetry = {
    connectionStringSecret: 'application-insights',
    otlp: { endpoint: 'http://collector.monitoring.svc.cluster.local:4317', protocol: 'grpc' },
    share: 0.1,
  };
  const egressPorts = ({ of }: Cluster, policy: string) =>
    of('NetworkPolicy')
      .filter(({ metadata }) => metadata.name === policy)
      .flatMap(({ spec }) => spec.egress)
      .flatMap(({ ports }) => ports.map(({ port }: Loaded) => port));
  const processes = ({ templates }: Cluster) => templates.filter(({ name }) => name !== 'redis');

  test('reaches its receivers, and its secrets stay secret', () => {
    const cluster = generate({ telemetry });
    for (const { name } of processes(cluster)) {
      const { env } = container(cluster, name);
      const find = (key: string) => env.find((each: Loaded) => each.name === key);
      expect(find('APPLICATIONINSIGHTS_CONNECTION_STRING')).toEqual({
        name: 'APPLICATIONINSIGHTS_CONNECTION_STRING',
        valueFrom: { secretKeyRef: { name: 'application-insights', key: 'connection-string' } },
      });
      expect(find('OTEL_EXPORTER_OTLP_PROTOCOL').value).toBe('grpc');
      expect(find('OTEL_TRACES_SAMPLER_ARG').value).toBe('0.1');
    }
    const environment = {
      ...environmentOf(cluster, 'api'),
      APPLICATIONINSIGHTS_CONNECTION_STRING: '',
    };
    expect(readConfiguration('api', environment).OTEL_TRACES_SAMPLER_ARG).toBe(0.1);
    for (const policy of ['api', 'worker']) {
      expect(egressPorts(cluster, policy)).toEqual(expect.arrayContaining([443, 4317]));
    }
  });

  test('reaches the endpoints that the settings name for single signals, with the share of the values', () => {
    const cluster = generate({
      telemetry: { share: 0.2 },
      api: {
        settings: {
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example.com/v1/traces',
          OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://logs.example.com:4319/v1/logs',
        },
      },
      workers: {
        settings: { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://metrics.example.com:9090/otlp' },
      },
    });
    expect(egressPorts(cluster, 'api')).toEqual(expect.arrayContaining([443, 4319]));
    expect(egressPorts(cluster, 'api')).not.toContain(9090);
    expect(egressPorts(cluster, 'worker')).toContain(9090);
    expect(egressPorts(cluster, 'worker')).not.toContain(4319);
    expect(environmentOf(cluster, 'api').OTEL_TRACES_SAMPLER_ARG).toBe('0.2');
  });

  test('by gRPC reaches port 443 where the address names none, and a tiny share has no exponent', () => {
    const otlp = { endpoint: 'http://collector.example.com', protocol: 'grpc' };
    const cluster = generate({ telemetry: { otlp, share: 0.0000001 } });
    expect(egressPorts(cluster, 'worker')).toContain(443);
    expect(egressPorts(cluster, 'worker')).not.toContain(80);
    const environment = environmentOf(cluster, 'api');
    expect(readConfiguration('api', environment).OTEL_TRACES_SAMPLER_ARG).toBe(0.0000001);
  });

  test('is off by default', () => {
    const cluster = generate();
    for (const { name } of processes(cluster)) {
      const names = container(cluster, name).env.map((each: Loaded) => each.name);
      expect(names.filter((key: string) => /^(OTEL|APPLICATION)/.test(key))).toEqual([]);
    }
    expect(egressPorts(cluster, 'worker')).not.toContain(443);
  });
});

describe('a model on a GPU', () => {
  test('gets one GPU a pod, on the machines with GPUs and with the image for them', () => {
    const cluster = generate();
    const { spec } = templateOf(cluster, large);
    const { image, resources } = spec.containers[0];
    expect(image).toBe('registry.example.com/worker-gpu:1.2.3');
    expect(resources.requests['nvidia.com/gpu']).toBe(1);
    expect(resources.limits['nvidia.com/gpu']).toBe(1);
    expect(spec.nodeSelector).toEqual({
      'node.kubernetes.io/instance-type': gpuNodes.gpu.machine,
      pool: 'gpus',
    });
    expect(spec.tolerations).toEqual([
      { key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' },
    ]);
    // There may be no GPU left for one more.
    const { strategy } = cluster.get('Deployment', large).spec;
    expect(strategy.rollingUpdate).toEqual({ maxSurge: 0, maxUnavailable: 1 });
  });

  test('may run on a CPU, if its manifest allows it and there are no GPUs', () => {
    const models = [{ name: 'either' }];
    const workers = 'worker-either-1';
    const gpu = 'nvidia.com/gpu';
    const limitsOf = (cluster: Cluster) => container(cluster, workers).resources.limits;
    expect(limitsOf(generate({ models }))[gpu]).toBe(1);
    const without = generate({ models, nodes: {} });
    expect(limitsOf(without)[gpu]).toBeUndefined();
    expect(container(without, workers).image).toBe('registry.example.com/worker:1.2.3');
  });

  test('leaves the other pods alone', () => {
    const cluster = generate();
    for (const name of ['api', 'redis', small]) {
      const { spec } = templateOf(cluster, name);
      expect(spec.nodeSelector ?? spec.tolerations ?? spec.affinity).toBeUndefined();
      expect(spec.containers[0].resources.limits['nvidia.com/gpu']).toBeUndefined();
    }
    expect(cluster.get('ResourceQuota', 'scoreline').spec.hard['requests.nvidia.com/gpu']).toBe(
      '8',
    );
  });
});

describe('spot machines', () => {
  const spot = { key: 'kubernetes.azure.com/scalesetpriority', value: 'spot' };
  const tolerated = { ...spot, operator: 'Equal' };

  test('are preferred by workers that may use them', () => {
    const { spec } = templateOf(generate(variants['spot machines preferred']), large);
    expect(spec.tolerations).toContainEqual(tolerated);
    const { nodeAffinity } = spec.affinity;
    expect(nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution).toHaveLength(1);
    expect(nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution).toBeUndefined();
  });

  test('can be the only ones, for workers but not for API and Redis', () => {
    const cluster = generate(variants['spot machines only']);
    for (const name of [small, large]) {
      const { nodeAffinity } = templateOf(cluster, name).spec.affinity;
      const { nodeSelectorTerms } = nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution;
      expect(nodeSelectorTerms[0].matchExpressions).toEqual([
        { key: spot.key, operator: 'In', values: [spot.value] },
      ]);
    }
    for (const name of ['api', 'redis']) {
      const { spec } = templateOf(cluster, name);
      expect(spec.affinity).toBeUndefined();
      expect(spec.tolerations).toEqual([{ key: 'batch', operator: 'Exists' }]);
    }
  });
});

describe('scaling', () => {
  test('follows the manifest, key by key unless the values say otherwise', () => {
    const cluster = generate({
      models: [{ name: 'large', scaling: { min: 1, itemsPerWorker: 8 } }],
    });
    const { spec } = cluster.get('ScaledObject', large);
    expect(spec).toMatchObject({ minReplicaCount: 1, maxReplicaCount: 4, cooldownPeriod: 600 });
    expect(spec.triggers[0].metadata.listLength).toBe('8');
  });

  test('asks for all workers at once, and lets them go in halves after three cool-downs', () => {
    const { spec } = generate().get('ScaledObject', large);
    const { scaleUp, scaleDown } = spec.advanced.horizontalPodAutoscalerConfig.behavior;
    expect(scaleUp.stabilizationWindowSeconds).toBe(0);
    expect(scaleUp.policies).toEqual([{ type: 'Pods', value: 4, periodSeconds: 15 }]);
    expect(scaleDown.stabilizationWindowSeconds).toBe(3 * 600);
    expect(scaleDown.policies).toEqual([{ type: 'Percent', value: 50, periodSeconds: 60 }]);
  });

  test('keeps workers warm at the times of the schedule', () => {
    const { spec } = generate(variants['times with warm workers']).get('ScaledObject', small);
    const [, office, nights] = spec.triggers;
    expect(spec.pollingInterval).toBe(5);
    expect(office).toEqual({
      type: 'cron',
      metadata: {
        timezone: 'Europe/Berlin',
        start: '0 8 * * 1,2,3,4,5',
        end: '30 18 * * 1,2,3,4,5',
        desiredReplicas: '2',
      },
    });
    // From Friday to Saturday, and from Saturday to Sunday.
    expect(nights.metadata).toMatchObject({ start: '15 22 * * 5,6', end: '0 6 * * 0,6' });
  });
});

describe('Redis', () => {
  test('in the cluster keeps what it holds, and drops nothing when its memory is full', () => {
    const { args, env, resources } = container(generate(), 'redis');
    const settings = Object.fromEntries(
      (args as string[]).flatMap((name, index) =>
        index % 2 === 0 ? [[name, args[index + 1]]] : [],
      ),
    );
    expect(settings).toMatchObject({
      '--appendonly': 'yes',
      '--maxmemory-policy': 'noeviction',
      '--requirepass': `$(${env[0].name})`,
    });
    expect(Number.parseInt(settings['--maxmemory'], 10)).toBeLessThan(0.7 * 2048);
    expect(resources.limits.memory).toBe('2Gi');
  });

  test('in the cluster has a disk with room for its file and for a new one', () => {
    const diskOf = (redis: object) => {
      const cluster = generate({ redis: { kind: 'in-cluster', ...redis } });
      const [{ spec }] = cluster.get('StatefulSet', 'redis').spec.volumeClaimTemplates;
      return spec.resources.requests.storage;
    };
    expect(diskOf({})).toBe('8Gi');
    expect(diskOf({ memory: '32Gi' })).toBe('64Gi');
    expect(diskOf({ memory: '32Gi', disk: '40Gi' })).toBe('40Gi');
  });

  test('in the cluster can be reached by the API, the workers and KEDA only', () => {
    const { from } = generate(variants['times with warm workers']).get('NetworkPolicy', 'redis')
      .spec.ingress[0];
    const component = 'app.kubernetes.io/component';
    expect(from.map((peer: Loaded) => peer.podSelector.matchLabels[component])).toEqual([
      'api',
      'worker',
      undefined,
    ]);
    expect(from[2]).toEqual({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'my-keda' } },
      podSelector: { matchLabels: { app: 'keda-operator' } },
    });
  });

  test('of Azure is reached with TLS, and nothing of it runs in the cluster', () => {
    const cluster = generate(variants['Redis of Azure and its Key Vault']);
    const host = 'scoreline.westeurope.redis.azure.net:10000';
    expect(environmentOf(cluster, 'api').REDIS_URL).toBe(`rediss://${host}`);
    expect(cluster.of('StatefulSet')).toEqual([]);
    expect(cluster.get('ScaledObject', small).spec.triggers[0].metadata).toMatchObject({
      address: host,
      enableTLS: 'true',
    });
  });

  test('elsewhere is reached at all of its ports', () => {
    const portsOf = (variant: string) =>
      generate(variants[variant])
        .get('NetworkPolicy', 'worker')
        .spec.egress[0].ports.map(({ port }: Loaded) => port);
    expect(portsOf('a Redis elsewhere')).toEqual([6390]);
    expect(portsOf('Redis behind Sentinels')).toEqual([26379, 26380, 6379]);
    expect(portsOf('a cluster of Redis')).toEqual([7000, 7001, 7002]);
    expect(generate(variants['a cluster of Redis']).of('StatefulSet')).toEqual([]);
  });

  test('has its password from the Key Vault, read by the identity of the pods', () => {
    const cluster = generate(variants['Redis in the cluster with a Key Vault']);
    const [{ spec }] = cluster.of('SecretProviderClass');
    expect(spec.parameters).toMatchObject({
      clientID: azure.clientId,
      tenantId: azure.tenantId,
      keyvaultName: azure.keyVault,
    });
    for (const { metadata } of cluster.of('ServiceAccount')) {
      expect(metadata.annotations['azure.workload.identity/client-id']).toBe(azure.clientId);
    }
  });
});

describe('variables that are no settings', () => {
  const cluster = generate(variants['a proxy and private authorities']);
  const roles = ['api', small] as const;

  test('come to API and workers, from the values and from a Secret', () => {
    for (const name of roles) {
      const { envFrom } = container(cluster, name);
      expect(environmentOf(cluster, name)).toMatchObject({ NO_PROXY: '.svc', THRESHOLD: '0.5' });
      expect(envFrom).toEqual([{ secretRef: { name: 'proxy-user' } }]);
    }
  });

  test('name a proxy, which Node then takes and the network lets through', () => {
    for (const name of roles) {
      expect(environmentOf(cluster, name).NODE_USE_ENV_PROXY).toBe('1');
      expect(environmentOf(generate(), name).NODE_USE_ENV_PROXY).toBeUndefined();
    }
    const portsOf = ({ get }: Cluster, name: string) =>
      get('NetworkPolicy', name).spec.egress.flatMap(({ ports }: Loaded) =>
        ports.map(({ port }: Loaded) => port),
      );
    for (const policy of ['api', 'worker']) {
      expect(portsOf(cluster, policy)).toContain(3128);
      expect(portsOf(generate(), policy)).not.toContain(3128);
    }
  });
});

describe('names', () => {
  test('are asked for at the pods of the cluster, at caches on its machines, and at no others', () => {
    const [{ to, ports }] = generate().get('NetworkPolicy', 'names').spec.egress;
    const [{ namespaceSelector, podSelector }, { ipBlock }] = to;
    expect(namespaceSelector.matchLabels['kubernetes.io/metadata.name']).toBe('kube-system');
    expect(podSelector.matchExpressions).toEqual([
      { key: 'k8s-app', operator: 'In', values: ['kube-dns', 'node-local-dns'] },
    ]);
    expect(ipBlock.cidr).toBe('169.254.0.0/16');
    expect(ports.map(({ port }: Loaded) => port)).toEqual([53, 53]);
  });
});

describe('Sentinels', () => {
  test('may have a password in the Secret of Redis, for all processes and KEDA', () => {
    const cluster = generate(variants['Redis behind Sentinels']);
    const secret = { name: 'redis', key: 'sentinel-password' };
    for (const name of ['api', small]) {
      expect(container(cluster, name).env).toContainEqual({
        name: 'REDIS_SENTINEL_PASSWORD',
        valueFrom: { secretKeyRef: { ...secret, optional: true } },
      });
    }
    const { secretTargetRef } = cluster.get('TriggerAuthentication', 'redis').spec;
    expect(secretTargetRef).toContainEqual({ parameter: 'sentinelPassword', ...secret });
  });
});

describe('the entrance', () => {
  test('ends TLS and redirects HTTP to it', () => {
    const cluster = generate();
    const { listeners } = cluster.get('Gateway', 'scoreline').spec;
    expect(listeners.map(({ protocol, port }: Loaded) => [protocol, port])).toEqual([
      ['HTTP', 80],
      ['HTTPS', 443],
    ]);
    expect(listeners[1].tls.certificateRefs).toEqual([{ group: '', kind: 'Secret', name: 'tls' }]);
    const redirect = cluster.get('HTTPRoute', 'api-to-https').spec;
    expect(redirect.parentRefs[0].sectionName).toBe('http');
    expect(redirect.rules[0].filters[0].requestRedirect.scheme).toBe('https');
    expect(cluster.get('HTTPRoute', 'api').spec.parentRefs[0].sectionName).toBe('https');
  });

  test('ends no answer that lasts: events of jobs, streams of lines, and whoever waits for a minute', () => {
    const { rules } = generate().get('HTTPRoute', 'api').spec;
    expect(rules.map(({ timeouts }: Loaded) => timeouts)).toEqual([{ request: '0s' }]);
    const prefix = 'nginx.ingress.kubernetes.io/';
    const { annotations } = generate(variants['an ingress']).get('Ingress', 'api').metadata;
    expect(Number(annotations[`${prefix}proxy-read-timeout`])).toBeGreaterThan(60);
    expect(annotations).toMatchObject({
      [`${prefix}proxy-body-size`]: '0',
      [`${prefix}proxy-request-buffering`]: 'off',
      'traefik.ingress.kubernetes.io/router.entrypoints': 'websecure',
    });
    const own = { ...(variants['an ingress']?.entrance as object) };
    const ingress = generate({
      entrance: { ...own, annotations: { [`${prefix}proxy-body-size`]: '8m' } },
    });
    expect(ingress.get('Ingress', 'api').metadata.annotations[`${prefix}proxy-body-size`]).toBe(
      '8m',
    );
  });

  test('leaves nothing in its lists for the API server to fill in, which Argo CD would take for a change', () => {
    for (const { spec } of generate().of('HTTPRoute')) {
      for (const each of spec.parentRefs) {
        expect(each).toMatchObject({ group: 'gateway.networking.k8s.io', kind: 'Gateway' });
      }
      for (const { matches, backendRefs = [] } of spec.rules) {
        expect(matches).toEqual([{ path: { type: 'PathPrefix', value: '/' } }]);
        for (const each of backendRefs) {
          expect(each).toMatchObject({ group: '', kind: 'Service', weight: 1 });
        }
      }
    }
  });

  test('takes its certificate from the Key Vault, by an account beside the Gateway', () => {
    const cluster = generate(variants['Redis of Azure and its Key Vault']);
    const { metadata, spec } = cluster.get('Gateway', 'scoreline');
    const { options } = spec.listeners[1].tls;
    expect(options['kubernetes.azure.com/tls-cert-keyvault-uri']).toMatch(/^https:/);
    const account = cluster.get(
      'ServiceAccount',
      options['kubernetes.azure.com/tls-cert-service-account'],
    );
    expect(account.metadata.namespace).toBe(metadata.namespace);
  });

  test('reaches gRPC at its port, if the API has one', () => {
    const portsOf = (settings: object) => {
      const { get, templates } = generate({ api: { settings } });
      const api = templates.find(({ name }) => name === 'api');
      return {
        container: api?.spec.containers[0].ports,
        service: get('Service', 'api').spec.ports.map(({ name, port, targetPort }: Loaded) => ({
          ...{ name, port, targetPort },
        })),
        policy: get('NetworkPolicy', 'api').spec.ingress[0].ports.map(({ port }: Loaded) => port),
      };
    };
    const http = {
      container: { name: 'http', containerPort: 8080 },
      service: { name: 'http', port: 80, targetPort: 'http' },
    };
    const metrics = { name: 'metrics', containerPort: 8081 };
    for (const settings of [{}, { GRPC_PORT: '' }]) {
      expect(portsOf(settings)).toEqual({
        ...{ container: [http.container, metrics], service: [http.service] },
        policy: [8080],
      });
    }
    expect(portsOf({ GRPC_PORT: 8001 })).toEqual({
      container: [http.container, metrics, { name: 'grpc', containerPort: 8001 }],
      service: [http.service, { name: 'grpc', port: 8001, targetPort: 'grpc' }],
      policy: [8080, 8001],
    });
  });

  test('is the only one that reaches the API', () => {
    const from = (changes?: Record<string, unknown>) =>
      generate(changes).get('NetworkPolicy', 'api').spec.ingress[0].from[0].namespaceSelector;
    const named = (name: string) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } });
    expect(from()).toEqual(named('scoreline-gateway'));
    expect(from(variants['an ingress'])).toEqual(named('traefik'));
    const proxyNamespace = 'envoy-gateway-system';
    const certificate = { secret: 'tls' };
    expect(from({ entrance: { kind: 'gateway', certificate, proxyNamespace } })).toEqual(
      named(proxyNamespace),
    );
    expect(from(variants['no entrance'])).toEqual({});
  });
});

describe('callers of the API', () => {
  const tokens = generate(variants['keys from a Secret, and tokens']);

  test('need keys unless the values say otherwise', () => {
    expect(environmentOf(generate(), 'api').AUTH).toBe('keys');
    expect(environmentOf(generate({ api: { settings: { AUTH: 'none' } } }), 'api').AUTH).toBe(
      'none',
    );
  });

  test('have keys in Redis, or in a Secret that is mounted as a file', () => {
    expect(environmentOf(generate(), 'api').KEYS_FILE).toBeUndefined();
    const { volumeMounts } = container(tokens, 'api');
    const [{ name, mountPath, readOnly }] = volumeMounts;
    expect(readOnly).toBe(true);
    expect(environmentOf(tokens, 'api').KEYS_FILE).toBe(`${mountPath}/keys.yaml`);
    expect(templateOf(tokens, 'api').spec.volumes).toContainEqual({
      name,
      secret: { secretName: 'api-keys' },
    });
  });

  test('may have tokens, whose issuer the API then reaches, and the workers do not', () => {
    const reachesWeb = (cluster: Cluster, name: string) =>
      JSON.stringify(cluster.get('NetworkPolicy', name).spec.egress).includes('"port":443');
    expect(reachesWeb(generate(), 'api')).toBe(false);
    expect(reachesWeb(tokens, 'api')).toBe(true);
    expect(reachesWeb(tokens, 'worker')).toBe(false);
  });

  test('may have tokens of an issuer at a port of its own', () => {
    const settings = {
      AUTH: 'oidc',
      OIDC_ISSUER: 'https://issuer.example.com:8443/realms/main',
      OIDC_AUDIENCE: 'scoreline',
    };
    const { egress } = generate({ api: { settings } }).get('NetworkPolicy', 'api').spec;
    expect(egress.flatMap(({ ports }: Loaded) => ports.map(({ port }: Loaded) => port))).toEqual([
      6379, 443, 8443,
    ]);
  });
});

describe('webhooks', () => {
  const cluster = generate(variants.webhooks);

  test('have their secrets from a Secret', () => {
    expect(container(cluster, 'api').env).toContainEqual({
      name: 'WEBHOOK_SECRETS',
      valueFrom: { secretKeyRef: { name: 'webhooks', key: 'secrets' } },
    });
  });

  test('go to public addresses, and to the networks that their hosts name', () => {
    const rules = cluster.get('NetworkPolicy', 'api').spec.egress;
    const blocks = ({ to = [] }: Loaded) => to.map(({ ipBlock }: Loaded) => ipBlock?.cidr);
    const ports = (rule: Loaded) => rule.ports.map(({ port }: Loaded) => port);
    const [open, inside] = rules.slice(-2);
    expect([blocks(open), ports(open)]).toEqual([
      ['0.0.0.0/0', '::/0'],
      [443, 8080],
    ]);
    expect(open.to[0].ipBlock.except).toContain('169.254.0.0/16');
    expect([blocks(inside), ports(inside)]).toEqual([['10.0.0.0/16', '10.244.0.0/16'], [8080]]);
    expect(generate().get('NetworkPolicy', 'api').spec.egress).toHaveLength(rules.length - 2);
    expect(cluster.get('NetworkPolicy', 'worker').spec.egress).not.toContainEqual(open);
  });
});

describe('access', () => {
  const { of, get } = generate(variants['Redis of Azure and its Key Vault']);

  test('is given to the groups of the values, and to nobody by default', () => {
    expect(get('RoleBinding', 'scoreline-operator').subjects).toEqual([
      {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'Group',
        name: '00000000-0000-4000-8000-00000000000a',
      },
    ]);
    expect(get('RoleBinding', 'scoreline-viewer').subjects[0].name).toBe('readers');
    expect(generate().of('RoleBinding')).toEqual([]);
  });

  test('does not include Secrets, a shell in a pod, or everything', () => {
    for (const { rules } of of('Role')) {
      const resources = rules.flatMap((rule: Loaded) => rule.resources);
      expect(resources).not.toContain('secrets');
      expect(resources).not.toContain('pods/exec');
      expect(JSON.stringify(rules)).not.toContain('*');
    }
  });

  test('lets viewers change nothing', () => {
    const verbs = get('Role', 'scoreline-viewer').rules.flatMap((rule: Loaded) => rule.verbs);
    expect([...new Set(verbs)].toSorted()).toEqual(['get', 'list', 'watch']);
  });
});

describe('models', () => {
  test('may be downloaded where the values say so, and only by those workers', () => {
    const { of } = generate(variants['models from a volume, with downloads']);
    const web = of('NetworkPolicy').filter(({ spec }) =>
      JSON.stringify(spec.egress ?? []).includes('"port":443'),
    );
    expect(web.map(({ spec }) => spec.podSelector.matchLabels['scoreline/workers'])).toEqual([
      large,
    ]);
    // There, clouds tell the credentials of a machine.
    for (const { to } of web.flatMap(({ spec }) => spec.egress ?? [])) {
      const [, everywhere] = to as { ipBlock?: { cidr: string; except: string[] } }[];
      expect(everywhere?.ipBlock).toEqual({ cidr: '0.0.0.0/0', except: ['169.254.0.0/16'] });
    }
  });

  test('come to API and workers from the same volume', () => {
    const cluster = generate(variants['models from a volume, with downloads']);
    for (const name of ['api', small, large]) {
      const { spec } = templateOf(cluster, name);
      expect(spec.volumes).toContainEqual({
        name: 'models',
        persistentVolumeClaim: { claimName: 'models', readOnly: true },
      });
      expect(spec.imagePullSecrets).toEqual([{ name: 'registry' }]);
    }
  });

  test('get memory by the size of their files, unless the values say otherwise', () => {
    const cluster = generate({ models: [{ name: 'small', memory: '3Gi' }, { name: 'large' }] });
    expect(container(cluster, small).resources.limits.memory).toBe('3Gi');
    expect(container(cluster, large).resources.limits.memory).toBe('1792Mi');
  });
});
