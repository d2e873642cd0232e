// Who may do what with Kubernetes. Pods: nothing, so their accounts carry no tokens. People: viewers see
// everything but Secrets; operators also restart, scale and pause.

import type { IPolicyRule } from 'kubernetes-models/rbac.authorization.k8s.io/v1/PolicyRule';
import type { IRole } from 'kubernetes-models/rbac.authorization.k8s.io/v1/Role';
import type { IRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding';
import type { IServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import type { Component } from './names.js';
import type { Values } from './values.js';

const read = ['get', 'list', 'watch'];

const viewerRules: IPolicyRule[] = [
  {
    apiGroups: [''],
    resources: [
      'configmaps',
      'events',
      'limitranges',
      'persistentvolumeclaims',
      'pods',
      'pods/log',
      'pods/status',
      'resourcequotas',
      'serviceaccounts',
      'services',
    ],
    verbs: read,
  },
  {
    apiGroups: ['apps'],
    resources: ['controllerrevisions', 'deployments', 'replicasets', 'statefulsets'],
    verbs: read,
  },
  { apiGroups: ['autoscaling'], resources: ['horizontalpodautoscalers'], verbs: read },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: read },
  { apiGroups: ['gateway.networking.k8s.io'], resources: ['httproutes'], verbs: read },
  {
    apiGroups: ['keda.sh'],
    resources: ['scaledobjects', 'triggerauthentications'],
    verbs: read,
  },
  { apiGroups: ['metrics.k8s.io'], resources: ['pods'], verbs: ['get', 'list'] },
  { apiGroups: ['networking.k8s.io'], resources: ['ingresses', 'networkpolicies'], verbs: read },
  { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: read },
];

const operatorRules: IPolicyRule[] = [
  ...viewerRules,
  // `kubectl rollout restart` and `undo`. Whoever may patch a Deployment can run any image in it, with the
  // password of Redis; the standard of the namespace holds for that image as well.
  { apiGroups: ['apps'], resources: ['deployments', 'statefulsets'], verbs: ['patch', 'update'] },
  {
    apiGroups: ['apps'],
    resources: ['deployments/scale', 'statefulsets/scale'],
    verbs: ['get', 'patch', 'update'],
  },
  { apiGroups: [''], resources: ['pods'], verbs: ['delete'] },
  { apiGroups: [''], resources: ['pods/eviction', 'pods/portforward'], verbs: ['create'] },
  // KEDA pauses by an annotation.
  { apiGroups: ['keda.sh'], resources: ['scaledobjects'], verbs: ['patch', 'update'] },
];

export function makeServiceAccounts(values: Values): IServiceAccount[] {
  const components: Component[] = [
    'api',
    'worker',
    ...(values.redis.kind === 'in-cluster' ? (['redis'] as const) : []),
  ];
  return components.map((name) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name,
      namespace: values.namespace,
      ...(values.azure && {
        annotations: { 'azure.workload.identity/client-id': values.azure.clientId },
      }),
    },
    automountServiceAccountToken: false,
  }));
}

export function makeRoles(values: Values): (IRole | IRoleBinding)[] {
  const { access, namespace } = values;
  return [
    ...makeRole(namespace, 'viewer', viewerRules, access.viewers),
    ...makeRole(namespace, 'operator', operatorRules, access.operators),
  ];
}

/** A role, and its binding to groups if there are any. With Entra ID, a group's name is its object id. */
function makeRole(
  namespace: string,
  name: string,
  rules: IPolicyRule[],
  groups: readonly string[],
): (IRole | IRoleBinding)[] {
  const metadata = { name: `scoreline-${name}`, namespace };
  const apiGroup = 'rbac.authorization.k8s.io';
  const role: IRole = { apiVersion: `${apiGroup}/v1`, kind: 'Role', metadata, rules };
  if (groups.length === 0) return [role];
  return [
    role,
    {
      apiVersion: `${apiGroup}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup, kind: 'Role', name: metadata.name },
      subjects: groups.map((group) => ({ apiGroup, kind: 'Group', name: group })),
    },
  ];
}
