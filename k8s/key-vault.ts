// The password of Redis in an Azure Key Vault. The CSI driver of the Key Vault mounts it into the pods that
// use it, and keeps the Secret `redis` as a copy, which KEDA and the environments of the pods refer to.
// The copy exists while a pod has the volume; the API always runs.

import { type Mount, mountReadOnly } from './mounts.js';
import { redisSecret } from './redis-place.js';
import type { Values } from './values.js';

/** The name of the secret in the Key Vault. */
export const vaultSecret = 'redis-password';
const className = 'redis-password';

/** The part of a SecretProviderClass that is used here; no package has its type. */
export interface ISecretProviderClass {
  apiVersion: 'secrets-store.csi.x-k8s.io/v1';
  kind: 'SecretProviderClass';
  metadata: { name: string; namespace: string };
  spec: {
    provider: 'azure';
    parameters: Record<string, string>;
    secretObjects: {
      secretName: string;
      type: string;
      data: { objectName: string; key: string }[];
    }[];
  };
}

export function makeSecretProviderClass(values: Values): ISecretProviderClass | undefined {
  const { azure, namespace } = values;
  if (!azure) return undefined;
  return {
    apiVersion: 'secrets-store.csi.x-k8s.io/v1',
    kind: 'SecretProviderClass',
    metadata: { name: className, namespace },
    spec: {
      provider: 'azure',
      parameters: {
        usePodIdentity: 'false',
        clientID: azure.clientId,
        tenantId: azure.tenantId,
        keyvaultName: azure.keyVault,
        objects: `array:\n  - |\n    objectName: ${vaultSecret}\n    objectType: secret\n`,
      },
      secretObjects: [
        {
          secretName: redisSecret.name,
          type: 'Opaque',
          data: [{ objectName: vaultSecret, key: redisSecret.key }],
        },
      ],
    },
  };
}

/** What a pod needs for the Secret to exist: nothing without a Key Vault. */
export function mountVault({ azure }: Values): Mount[] {
  const csi = {
    driver: 'secrets-store.csi.k8s.io',
    readOnly: true,
    volumeAttributes: { secretProviderClass: className },
  };
  return mountReadOnly('key-vault', '/run/key-vault', azure && { csi });
}
