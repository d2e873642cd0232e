// What every pod has in common: it may do as little as possible.

import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec';
import { mountAuthorities } from './authorities.js';
import { sidePort } from './environment.js';
import { mountVault } from './key-vault.js';
import type { Mount } from './mounts.js';
import type { Component } from './names.js';
import { mountCertificate } from './redis-place.js';
import type { Values } from './values.js';

export interface PodOptions {
  readonly values: Values;
  readonly component: Component;
  readonly labels: Record<string, string>;
  readonly container: IContainer;
  readonly mounts: readonly Mount[];
  /** What it may write to `/tmp` beside 64 MiB, in MiB. */
  readonly temporaryMi?: number;
  /** The user that owns the processes and the volumes. */
  readonly user: number;
  /** Whether ending the pod costs nothing but time. */
  readonly isMovable: boolean;
  /** How long the pod may take to end. */
  readonly graceSeconds: number;
  /** Placement and the like. */
  readonly spec: Partial<IPodSpec>;
}

/** What scrapers look for that follow annotations, such as Prometheus' chart and Azure's. */
const scraped = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': `${sidePort}`,
  'prometheus.io/path': '/metrics',
};

/** The user `node` of Node's images. */
export const nodeUser = 1000;

export function makePodTemplate(options: PodOptions): IPodTemplateSpec {
  const { values, component, labels, container, user, graceSeconds, spec } = options;
  const { isMovable, temporaryMi = 0 } = options;
  const hasMetrics = component !== 'redis';
  const { pullSecret } = values.images;
  const temporary = { name: 'tmp', emptyDir: { sizeLimit: `${64 + temporaryMi}Mi` } };
  const mounts: readonly Mount[] = [
    ...options.mounts,
    { volume: temporary, mount: { name: temporary.name, mountPath: '/tmp' } },
    ...mountVault(values),
    ...(component === 'redis' ? [] : mountAuthorities(values)),
    ...mountCertificate(values),
  ];
  return {
    metadata: {
      labels: { ...labels, ...(values.azure && { 'azure.workload.identity/use': 'true' }) },
      ...((isMovable || hasMetrics) && {
        annotations: {
          // Otherwise the volume for /tmp keeps the cluster autoscaler from removing an idle machine.
          ...(isMovable && { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'true' }),
          ...(hasMetrics && scraped),
        },
      }),
    },
    spec: {
      serviceAccountName: component,
      // Nothing in a pod talks to Kubernetes.
      automountServiceAccountToken: false,
      // Addresses come from the environment of the values, not of every Service that happens to exist.
      enableServiceLinks: false,
      terminationGracePeriodSeconds: graceSeconds,
      securityContext: {
        runAsNonRoot: true,
        ...(values.podUser === 'own' && { runAsUser: user, runAsGroup: user, fsGroup: user }),
        // Otherwise the owner of every file of a volume is changed at each start.
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
      },
      ...(pullSecret !== undefined && { imagePullSecrets: [{ name: pullSecret }] }),
      ...spec,
      containers: [
        {
          ...container,
          volumeMounts: mounts.map(({ mount }) => mount),
          // `kubectl describe pod` then shows the last lines of the log of a container that failed.
          terminationMessagePolicy: 'FallbackToLogsOnError',
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
      volumes: mounts.flatMap(({ volume }) => volume ?? []),
    },
  };
}
