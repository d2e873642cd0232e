// What AKS needs in the cluster beside the service itself. These objects are in `kube-system`, where AKS looks
// for them.

import type { IDaemonSet } from 'kubernetes-models/apps/v1/DaemonSet';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { KubernetesObject } from '../objects.js';
import { placeWorker } from '../placement.js';
import type { Plan } from '../plan.js';
import type { Nodes, Values } from '../values.js';
import { hasPreference, spotSuffix } from './pools.js';

const systemNamespace = 'kube-system';
const pluginName = 'nvidia-device-plugin';
const pluginImage = 'nvcr.io/nvidia/k8s-device-plugin:v0.18.0';
const pluginFolder = '/var/lib/kubelet/device-plugins';

/** Returns nothing if Azure makes no cluster from these values. */
export function makeAksObjects({ values }: Plan): KubernetesObject[] {
  if (!values.aks) return [];
  const { gpu } = values.nodes;
  return [
    makeScrapeSettings(values),
    ...(hasPreference(values) ? [makePriorities()] : []),
    ...(gpu ? [makeDevicePlugin(gpu)] : []),
  ];
}

/** Azure's Prometheus follows the annotations of pods only in namespaces that are named here. */
function makeScrapeSettings({ namespace }: Values): IConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'ama-metrics-settings-configmap', namespace: systemNamespace },
    data: {
      'schema-version': 'v1',
      'config-version': 'scoreline',
      'pod-annotation-based-scraping': `podannotationnamespaceregex = "^${namespace}$"`,
    },
  };
}

/** The cluster autoscaler ignores what pods prefer. It goes by these priorities of the pools' names. */
function makePriorities(): IConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'cluster-autoscaler-priority-expander', namespace: systemNamespace },
    data: { priorities: `50:\n  - .*${spotSuffix}-.*\n10:\n  - .*\n` },
  };
}

/** Without it a machine has GPUs, but Kubernetes does not know. AKS installs the driver, and not this. */
function makeDevicePlugin(gpu: Nodes): IDaemonSet {
  const labels = { 'app.kubernetes.io/name': pluginName };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: pluginName, namespace: systemNamespace, labels },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          priorityClassName: 'system-node-critical',
          automountServiceAccountToken: false,
          ...placeWorker(gpu, true),
          containers: [
            {
              name: pluginName,
              image: pluginImage,
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
              },
              resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '256Mi' } },
              volumeMounts: [{ name: 'device-plugins', mountPath: pluginFolder }],
            },
          ],
          volumes: [{ name: 'device-plugins', hostPath: { path: pluginFolder } }],
        },
      },
    },
  };
}
