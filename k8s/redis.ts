// Redis in the cluster: one pod with an append-only file on a disk of its own. It is the only part that
// holds anything. While it restarts, requests in flight wait and new ones get 503; nothing is lost.

import type { IStatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPersistentVolumeClaim } from 'kubernetes-models/v1/PersistentVolumeClaim';
import type { IService } from 'kubernetes-models/v1/Service';
import { selectorOf } from './names.js';
import type { KubernetesObject } from './objects.js';
import { placeOnCpu } from './placement.js';
import { makePodTemplate } from './pod.js';
import { formatMemory, parseMemory, resources } from './quantity.js';
import { redisPort, redisSecret, redisServiceName } from './redis-place.js';
import type { Values } from './values.js';

type InCluster = Extract<Values['redis'], { kind: 'in-cluster' }>;

const selector = selectorOf('redis');
/** The user `redis` of the official images. */
const redisUser = 999;
/** While Redis rewrites its file, and for connections, it takes more than its data. */
const dataShare = 0.6;

/** In MiB. */
const diskMiMin = 8 * 1024;
/** The file may grow to twice the data, and a new one is written beside it. */
const diskPerMemory = 2;

/** Returns the size of the disk in MiB; undefined if there is none. */
export function diskMi({ disk, memory }: Pick<InCluster, 'disk' | 'memory'>): number | undefined {
  if (disk === 'none') return undefined;
  if (disk !== undefined) return parseMemory(disk);
  return Math.max(diskMiMin, diskPerMemory * parseMemory(memory));
}

/** Returns nothing if Redis is elsewhere. */
export function makeRedis(values: Values): KubernetesObject[] {
  const { redis } = values;
  if (redis.kind !== 'in-cluster') return [];
  return [makeService(values), makeStatefulSet(values, redis), makeBudget(values)];
}

function makeService({ namespace }: Values): IService {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: redisServiceName, namespace, labels: selector },
    spec: { selector, ports: [{ name: 'redis', port: redisPort, targetPort: 'redis' }] },
  };
}

function makeStatefulSet(values: Values, redis: InCluster): IStatefulSet {
  const sizeMi = diskMi(redis);
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: redisServiceName, namespace: values.namespace, labels: selector },
    spec: {
      serviceName: redisServiceName,
      replicas: 1,
      selector: { matchLabels: selector },
      template: makePodTemplate({
        values,
        component: 'redis',
        labels: selector,
        user: redisUser,
        isMovable: false,
        graceSeconds: 60,
        container: makeContainer(values, redis),
        mounts: [
          {
            ...(sizeMi === undefined && { volume: { name: 'data', emptyDir: {} } }),
            mount: { name: 'data', mountPath: '/data' },
          },
        ],
        spec: placeOnCpu(values.nodes.cpu),
      }),
      ...(sizeMi !== undefined && { volumeClaimTemplates: [makeClaim(redis, sizeMi)] }),
    },
  };
}

function makeClaim({ storageClass }: InCluster, sizeMi: number): IPersistentVolumeClaim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      ...(storageClass !== undefined && { storageClassName: storageClass }),
      resources: { requests: { storage: formatMemory(sizeMi) } },
    },
  };
}

function makeContainer({ images }: Values, redis: InCluster): IContainer {
  const memoryMi = parseMemory(redis.memory);
  const settings = {
    dir: '/data',
    port: `${redisPort}`,
    // A restart loses at most the last second.
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    // When memory is full, new requests are refused. Nothing that waits may be dropped for them.
    'maxmemory-policy': 'noeviction',
    maxmemory: `${Math.floor(memoryMi * dataShare)}mb`,
    requirepass: '$(REDISCLI_AUTH)',
  };
  const ping = { exec: { command: ['sh', '-c', 'test "$(redis-cli ping)" = PONG'] } };
  return {
    name: 'redis',
    image: images.redis,
    command: ['redis-server'],
    args: Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value]),
    // redis-cli takes the password from this variable too.
    env: [{ name: 'REDISCLI_AUTH', valueFrom: { secretKeyRef: { ...redisSecret } } }],
    ports: [{ name: 'redis', containerPort: redisPort }],
    resources: resources(redis.cpu, memoryMi),
    // Reading a large file takes a while. Redis answers, but not with PONG, until it has.
    startupProbe: { ...ping, periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 600 },
    readinessProbe: { ...ping, periodSeconds: 5, timeoutSeconds: 2 },
    // Any reply will do, so only a Redis that hangs is started again.
    livenessProbe: {
      exec: { command: ['redis-cli', 'ping'] },
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 6,
    },
  };
}

/** With one pod, a budget of none would keep its machine from ever being drained. */
function makeBudget({ namespace }: Values): IPodDisruptionBudget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: redisServiceName, namespace, labels: selector },
    spec: { maxUnavailable: 1, selector: { matchLabels: selector } },
  };
}
