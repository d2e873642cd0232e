import type { INamespace } from 'kubernetes-models/v1/Namespace';
import type { Values } from './values.js';

/** Kubernetes gives each namespace this label, with its name. */
export const namespaceNameLabel = 'kubernetes.io/metadata.name';

/** Refuses pods that run as root, or may do more than the strictest of the Pod Security Standards allows. */
export function makeNamespace({ namespace }: Values): INamespace {
  const levels = ['enforce', 'audit', 'warn'].map((mode) => [
    `pod-security.kubernetes.io/${mode}`,
    'restricted',
  ]);
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: namespace,
      labels: { 'app.kubernetes.io/name': 'scoreline', ...Object.fromEntries(levels) },
    },
  };
}
