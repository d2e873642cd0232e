// The API: a Deployment behind a Service, scaled on its use of processors. It never loads a model.

import type { IDeployment } from 'kubernetes-models/apps/v1/Deployment';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IService } from 'kubernetes-models/v1/Service';
import { apiEnvironment, apiPort, apiShutdownMs, grpcPortOf, sidePort } from './environment.js';
import { mountKeys } from './keys.js';
import { mountModels } from './model-folder.js';
import { selectorOf } from './names.js';
import { placeOnCpu, spread } from './placement.js';
import type { Plan } from './plan.js';
import { makePodTemplate, nodeUser } from './pod.js';
import { parseMemory, resources } from './quantity.js';
import type { Values } from './values.js';
import { secretVariables } from './variables.js';

export const apiName = 'api';
export const apiServicePort = 80;

const selector = selectorOf('api');
const graceSpareSeconds = 5;
/** Kubernetes starts the pods of Redis and API together, and the API waits for Redis. */
const startSecondsMax = 300;

/** Has no `replicas`, because the autoscaler sets them. */
export function makeApiDeployment(plan: Plan): IDeployment {
  const { values } = plan;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: apiName, namespace: values.namespace, labels: selector },
    spec: {
      revisionHistoryLimit: 3,
      selector: { matchLabels: selector },
      // A new one is ready before an old one ends.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
      template: makePodTemplate({
        values,
        component: 'api',
        labels: selector,
        user: nodeUser,
        isMovable: true,
        graceSeconds: Math.ceil(apiShutdownMs(plan) / 1000) + graceSpareSeconds,
        container: makeContainer(plan),
        mounts: [...mountModels(values), ...mountKeys(values)],
        spec: {
          ...placeOnCpu(values.nodes.cpu),
          topologySpreadConstraints: spread(selector),
        },
      }),
    },
  };
}

export function makeApiService(values: Values): IService {
  const { namespace } = values;
  const grpcPort = grpcPortOf(values);
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: apiName, namespace, labels: selector },
    spec: {
      selector,
      ports: [
        { name: 'http', port: apiServicePort, targetPort: 'http', appProtocol: 'http' },
        // gRPC keeps to one connection, so something that balances requests belongs in front of it.
        ...(grpcPort === undefined
          ? []
          : [
              {
                name: 'grpc',
                port: grpcPort,
                targetPort: 'grpc',
                appProtocol: 'kubernetes.io/h2c',
              },
            ]),
      ],
    },
  };
}

export function makeApiAutoscaler({ namespace, api }: Values): IHorizontalPodAutoscaler {
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: apiName, namespace, labels: selector },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: apiName },
      minReplicas: api.replicas.min,
      maxReplicas: api.replicas.max,
      metrics: [
        {
          type: 'Resource',
          // Half of a processor is left for a burst, until further pods are there.
          resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } },
        },
      ],
      behavior: {
        scaleUp: {
          stabilizationWindowSeconds: 0,
          // Twice as many each time: an API that is too busy refuses requests.
          policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
        },
        scaleDown: {
          // Each pod that ends closes the connections of its clients, so they go late and one by one.
          stabilizationWindowSeconds: 300,
          policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }],
        },
      },
    },
  };
}

export function makeApiBudget({ namespace }: Values): IPodDisruptionBudget {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: apiName, namespace, labels: selector },
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: selector },
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  };
}

function makeContainer(plan: Plan): IContainer {
  const { values } = plan;
  const { api, images } = values;
  const grpcPort = grpcPortOf(values);
  const httpGet = { path: '/v2/health/live', port: 'http' };
  return {
    name: 'api',
    image: images.api,
    env: apiEnvironment(plan),
    ...secretVariables(values),
    ports: [
      { name: 'http', containerPort: apiPort },
      { name: 'metrics', containerPort: sidePort },
      ...(grpcPort === undefined ? [] : [{ name: 'grpc', containerPort: grpcPort }]),
    ],
    resources: resources(api.cpu, parseMemory(api.memory)),
    startupProbe: {
      httpGet,
      periodSeconds: 1,
      timeoutSeconds: 2,
      failureThreshold: startSecondsMax,
    },
    // An API that has once reached Redis is not taken out when Redis is away: all would be, and clients
    // would get a gateway's error instead of an answer that says when to ask again.
    readinessProbe: {
      httpGet,
      periodSeconds: 5,
      timeoutSeconds: 2,
      failureThreshold: 2,
    },
    // Clients may have all connections of the other port, and a restart would break off their requests.
    livenessProbe: {
      httpGet: { path: '/livez', port: 'metrics' },
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 3,
    },
  };
}
