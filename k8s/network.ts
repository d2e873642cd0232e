// Who may talk to whom. Everything is denied first. Then: the entrance reaches the API; API, workers and
// KEDA reach Redis; all find names; workers that download reach the web; with OIDC, the API reaches the issuer;
// with webhooks, their receivers; with a proxy, API and workers reach it; with Azure, API and workers reach its services; with telemetry, its receivers;
// scrapers reach the metrics.
//
// Probes come from the machine of a pod, which network policies do not concern.

import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import type { INetworkPolicyEgressRule } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyEgressRule';
import type { INetworkPolicyIngressRule } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyIngressRule';
import { entrancePeer } from './entrance.js';
import { apiPort, grpcPortOf, sidePort } from './environment.js';
import { type Component, selectorOf, workerSelector } from './names.js';
import { namespaceNameLabel } from './namespace.js';
import type { Plan } from './plan.js';
import { portOf, tcp } from './ports.js';
import { redisPlace, redisPort } from './redis-place.js';
import { telemetryPorts } from './telemetry.js';
import type { Values } from './values.js';
import { toProxy } from './variables.js';
import { toWebhooks } from './webhooks.js';

export function makeNetworkPolicies({ values, models }: Plan): INetworkPolicy[] {
  const downloading = models.filter(({ mayDownload }) => mayDownload);
  return [
    denyAll(values),
    allowNames(values),
    componentPolicy(values, 'api', {
      ingress: [
        { from: [entrancePeer(values)], ports: apiPorts(values).map(tcp) },
        ...fromMonitoring(values),
      ],
      egress: [
        toRedis(values),
        ...toIssuer(values),
        ...toAzure(values),
        ...toWebhooks(values),
        ...toTelemetry(values, 'api'),
        ...toProxy(values),
      ],
    }),
    componentPolicy(values, 'worker', {
      ingress: fromMonitoring(values),
      egress: [
        toRedis(values),
        ...toAzure(values),
        ...toTelemetry(values, 'worker'),
        ...toProxy(values),
      ],
    }),
    ...(values.redis.kind === 'in-cluster' ? [allowToRedis(values)] : []),
    ...downloading.map(({ name }) => allowDownloads(values, name)),
  ];
}

function apiPorts(values: Values): number[] {
  const grpcPort = grpcPortOf(values);
  return grpcPort === undefined ? [apiPort] : [apiPort, grpcPort];
}

function denyAll(values: Values): INetworkPolicy {
  return policy(values, 'deny-all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
}

function allowNames(values: Values): INetworkPolicy {
  return policy(values, 'names', {
    podSelector: {},
    policyTypes: ['Egress'],
    egress: [
      {
        to: [
          {
            ...inNamespace('kube-system'),
            podSelector: {
              matchExpressions: [
                { key: 'k8s-app', operator: 'In', values: ['kube-dns', 'node-local-dns'] },
              ],
            },
          },
          // Caches of names on the machines have link-local addresses; where Cilium leads to them, they are pods as above.
          { ipBlock: { cidr: '169.254.0.0/16' } },
        ],
        ports: [
          { protocol: 'UDP', port: 53 },
          { protocol: 'TCP', port: 53 },
        ],
      },
    ],
  });
}

function componentPolicy(
  values: Values,
  component: Component,
  rules: { ingress?: INetworkPolicyIngressRule[]; egress?: INetworkPolicyEgressRule[] },
): INetworkPolicy {
  return policy(values, component, {
    podSelector: { matchLabels: selectorOf(component) },
    policyTypes: [
      ...(rules.ingress ? (['Ingress'] as const) : []),
      ...(rules.egress ? (['Egress'] as const) : []),
    ],
    ...rules,
  });
}

function policy(
  { namespace }: Values,
  name: string,
  spec: NonNullable<INetworkPolicy['spec']>,
): INetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace },
    spec,
  };
}

function allowToRedis(values: Values): INetworkPolicy {
  const own = (component: Component) => ({ podSelector: { matchLabels: selectorOf(component) } });
  const keda = values.keda.namespaces.map((namespace) => ({
    ...inNamespace(namespace),
    podSelector: { matchLabels: { app: 'keda-operator' } },
  }));
  return componentPolicy(values, 'redis', {
    ingress: [{ from: [own('api'), own('worker'), ...keda], ports: [tcp(redisPort)] }],
  });
}

/** Anywhere, but for the addresses of the machine, where clouds tell its credentials. */
function allowDownloads(values: Values, workers: string): INetworkPolicy {
  return policy(values, `${workers}-downloads`, {
    podSelector: { matchLabels: workerSelector(workers) },
    policyTypes: ['Egress'],
    egress: [
      {
        to: [
          { namespaceSelector: {} },
          { ipBlock: { cidr: '0.0.0.0/0', except: ['169.254.0.0/16'] } },
          { ipBlock: { cidr: '::/0', except: ['fe80::/10', 'fd00:ec2::254/128'] } },
        ],
        ports: [tcp(443), tcp(80)],
      },
    ],
  });
}

/** The metrics have a port of their own, so scrapers cannot reach the service, nor clients the metrics. */
function fromMonitoring({ monitoring }: Values): INetworkPolicyIngressRule[] {
  if (monitoring.namespaces.length === 0) return [];
  return [{ from: monitoring.namespaces.map(inNamespace), ports: [tcp(sidePort)] }];
}

/** Redis elsewhere may have changing addresses, so the ports alone say where it is. */
function toRedis(values: Values): INetworkPolicyEgressRule {
  const { ports: single, portRange } = redisPlace(values);
  const range = portRange && { ...tcp(portRange.first), endPort: portRange.last };
  const ports = [...single.map(tcp), ...(range ? [range] : [])];
  if (values.redis.kind !== 'in-cluster') return { ports };
  return { to: [{ podSelector: { matchLabels: selectorOf('redis') } }], ports };
}

/** The keys of an OIDC issuer may come from anywhere, and from another host than the issuer's own. */
function toIssuer({ api }: Values): INetworkPolicyEgressRule[] {
  const { AUTH, OIDC_ISSUER } = api.settings;
  if (!AUTH?.includes('oidc') || !OIDC_ISSUER) return [];
  return [{ ports: [...new Set([443, portOf(OIDC_ISSUER)])].map(tcp) }];
}

/** A collector, or Azure Monitor, which has changing addresses. */
function toTelemetry(values: Values, sender: 'api' | 'worker'): INetworkPolicyEgressRule[] {
  const ports = telemetryPorts(values, sender);
  return ports.length === 0 ? [] : [{ ports: ports.map(tcp) }];
}

/** The services of Azure have changing addresses too. */
function toAzure({ azure }: Values): INetworkPolicyEgressRule[] {
  return azure ? [{ ports: [tcp(443)] }] : [];
}

function inNamespace(name: string) {
  return { namespaceSelector: { matchLabels: { [namespaceNameLabel]: name } } };
}
