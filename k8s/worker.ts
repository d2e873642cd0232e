// The workers of one model: a Deployment and its disruption budget. They serve nobody over the network;
// they take jobs from Redis. KEDA decides how many there are (scaling.ts).

import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IContainer } from 'kubernetes-models/v1/Container';
import { describedBytes } from '../shared/manifest/manifest.js';
import { optimizedFactor } from '../shared/registry/files.js';
import type { Model } from '../shared/registry/models.js';
import { sidePort, workerEnvironment, workerShutdownMs } from './environment.js';
import { mountModels } from './model-folder.js';
import type { Mount } from './mounts.js';
import { modelLabels, workerSelector } from './names.js';
import { placeWorker, spread } from './placement.js';
import type { Plan, PlannedModel } from './plan.js';
import { makePodTemplate, nodeUser } from './pod.js';
import { resources } from './quantity.js';
import type { Values } from './values.js';
import { secretVariables } from './variables.js';

/** Where the images keep downloads. */
const cacheFolder = '/var/cache/scoreline';
/** What a process may take beyond SHUTDOWN_MS before the kubelet kills it. */
const graceSpareSeconds = 5;
/** A machine with a GPU may have to be started, and a model be downloaded, loaded and warmed up. */
const startSecondsMin = 1800;

/**
 * Has no `replicas`. KEDA sets them, and applying a number again would start or stop workers each time.
 */
export function makeWorkerDeployment(plan: Plan, planned: PlannedModel): IDeployment {
  const { values } = plan;
  const { name, model, isOnGpu } = planned;
  const selector = workerSelector(name);
  const labels = { ...selector, ...modelLabels(model) };
  const nodes = isOnGpu ? values.nodes.gpu : undefined;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: values.namespace, labels },
    spec: {
      revisionHistoryLimit: 3,
      progressDeadlineSeconds: startSecondsMax(model),
      selector: { matchLabels: selector },
      strategy: { type: 'RollingUpdate', rollingUpdate: rolling(isOnGpu) },
      template: makePodTemplate({
        values,
        component: 'worker',
        labels,
        user: nodeUser,
        isMovable: true,
        // Longer than the longest run of the model, so what a worker holds is answered before it ends.
        graceSeconds: Math.ceil(workerShutdownMs(planned) / 1000) + graceSpareSeconds,
        container: makeContainer(plan, planned),
        mounts: [...mountModels(values), mountCache(values, planned)],
        // Copies of a model share weights that are written there while they are loaded.
        temporaryMi:
          model.manifest.device.instances > 1 ? optimizedFactor * fileMebibytes(planned) : 0,
        spec: {
          ...placeWorker(nodes ?? values.nodes.cpu, isOnGpu),
          topologySpreadConstraints: spread(selector),
        },
      }),
    },
  };
}

/** A drained machine gives its workers up one by one. What they hold is answered or handed back. */
export function makeWorkerBudget(plan: Plan, { name, model }: PlannedModel): IPodDisruptionBudget {
  const selector = workerSelector(name);
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: {
      name,
      namespace: plan.values.namespace,
      labels: { ...selector, ...modelLabels(model) },
    },
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: selector },
      // A worker that does not become ready must not keep a machine from being drained.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  };
}

/** Longer than what the manifest allows, after which the worker says itself what is wrong. */
function startSecondsMax({ manifest: { loadMsMax, runMsMax } }: Model): number {
  const allowed = Math.ceil((loadMsMax + 2 * runMsMax) / 1000);
  return Math.max(startSecondsMin, allowed + startSecondsMin / 2);
}

/** A GPU is seldom free for one more worker, so a GPU's worker leaves before its successor comes. */
function rolling(isOnGpu: boolean) {
  return isOnGpu ? { maxSurge: 0, maxUnavailable: 1 } : { maxSurge: 1, maxUnavailable: 0 };
}

/**
 * There is no preStop hook. Nobody sends requests to a worker, so nobody must learn first that it ends:
 * SIGTERM itself is what makes it take no more jobs.
 */
function makeContainer(plan: Plan, planned: PlannedModel): IContainer {
  const { images } = plan.values;
  const { isOnGpu, cpu, memoryMi } = planned;
  const ofModel = resources(cpu, memoryMi);
  const gpu = isOnGpu ? { 'nvidia.com/gpu': 1 } : {};
  return {
    name: 'worker',
    image: imageOf(planned, images),
    env: workerEnvironment(plan, planned),
    ...secretVariables(plan.values),
    ports: [{ name: 'probes', containerPort: sidePort }],
    resources: {
      requests: { ...ofModel.requests, ...gpu },
      limits: { ...ofModel.limits, ...gpu },
    },
    startupProbe: {
      httpGet: { path: '/startupz', port: 'probes' },
      periodSeconds: 1,
      timeoutSeconds: 2,
      failureThreshold: startSecondsMax(planned.model),
    },
    readinessProbe: {
      httpGet: { path: '/readyz', port: 'probes' },
      periodSeconds: 5,
      timeoutSeconds: 2,
    },
    // Says whether the process is stuck. A worker that cannot reach Redis is not: a restart would not help.
    livenessProbe: {
      httpGet: { path: '/livez', port: 'probes' },
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 3,
    },
  };
}

function mountCache({ downloadCache }: Values, planned: PlannedModel): Mount {
  const name = 'model-cache';
  // Room for the files and for what an interrupted download left.
  const sizeLimit = `${2 * fileMebibytes(planned) + 64}Mi`;
  const source = downloadCache
    ? { persistentVolumeClaim: { claimName: downloadCache.claim } }
    : { emptyDir: { sizeLimit } };
  return { volume: { name, ...source }, mount: { name, mountPath: cacheFolder } };
}

function fileMebibytes({ model }: PlannedModel): number {
  return Math.ceil(describedBytes(model.manifest.source) / 1024 ** 2);
}

/** read-plan.ts has refused a model whose image is not there. */
function imageOf({ model, isOnGpu }: PlannedModel, images: Values['images']): string {
  if (model.manifest.engine === 'python') return images.workerPython ?? images.worker;
  return (isOnGpu ? images.workerGpu : undefined) ?? images.worker;
}
