// Where Redis is, for the API, the workers and KEDA. The password is never in a manifest: everything
// refers to one Secret, which an operator creates or the Key Vault fills.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import type { Values } from './values.js';

export const redisSecret = { name: 'redis', key: 'password' };
export const redisServiceName = 'redis';
export const redisPort = 6379;
/** Azure Managed Redis listens with TLS only, and on this port only. */
const azurePort = 10_000;

export interface RedisPlace {
  readonly host: string;
  readonly port: number;
  readonly isEncrypted: boolean;
}

export function redisPlace({ redis, namespace }: Values): RedisPlace {
  if (redis.kind === 'azure') return { host: redis.host, port: azurePort, isEncrypted: true };
  // The full name, because KEDA looks it up from another namespace.
  const host = `${redisServiceName}.${namespace}.svc.cluster.local`;
  return { host, port: redisPort, isEncrypted: false };
}

/** The environment of a process that uses Redis. */
export function redisEnvironment(values: Values): IEnvVar[] {
  const { host, port, isEncrypted } = redisPlace(values);
  return [
    { name: 'REDIS_URL', value: `${isEncrypted ? 'rediss' : 'redis'}://${host}:${port}` },
    { name: 'REDIS_PASSWORD', valueFrom: { secretKeyRef: { ...redisSecret } } },
  ];
}
