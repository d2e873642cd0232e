// Where Redis is, for the API, the workers and KEDA. The password is never in a manifest: everything
// refers to one Secret, which an operator creates or the Key Vault fills.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import {
  defaultPrefix,
  describeNode,
  parseRedisUrl,
  type RedisAddress,
} from '../shared/redis-url.js';
import type { Values } from './values.js';

export const redisSecret = { name: 'redis', key: 'password' };
export const redisServiceName = 'redis';
export const redisPort = 6379;
/** Azure Managed Redis listens with TLS only, and on this port only. */
const azurePort = 10_000;

export interface RedisPlace extends Pick<RedisAddress, 'kind' | 'primary' | 'db' | 'isTls'> {
  /** The URL, without a password. */
  readonly url: string;
  /** The servers of the URL: `host:port`. */
  readonly servers: readonly string[];
  /** The ports that API and workers connect to. */
  readonly ports: readonly number[];
  /** The prefix of every key. KEDA reads one of these keys, so it must know it, too. */
  readonly prefix: string;
}

export function redisPlace(values: Values): RedisPlace {
  const url = urlOf(values);
  const { nodes, ...address } = parseRedisUrl(url);
  const further = values.redis.kind === 'external' ? values.redis.ports : [];
  return {
    ...address,
    url,
    servers: nodes.map(describeNode),
    ports: [...new Set([...nodes.map(({ port }) => port), ...further])],
    prefix: defaultPrefix(url),
  };
}

function urlOf({ redis, namespace }: Values): string {
  if (redis.kind === 'external') return redis.url;
  if (redis.kind === 'azure') return `rediss://${redis.host}:${azurePort}`;
  // The full name, because KEDA looks it up from another namespace.
  return `redis://${redisServiceName}.${namespace}.svc.cluster.local:${redisPort}`;
}

/** The environment of a process that uses Redis. */
export function redisEnvironment(values: Values): IEnvVar[] {
  const { url, prefix } = redisPlace(values);
  return [
    { name: 'QUEUE_PREFIX', value: prefix },
    { name: 'REDIS_URL', value: url },
    { name: 'REDIS_PASSWORD', valueFrom: { secretKeyRef: { ...redisSecret } } },
  ];
}
