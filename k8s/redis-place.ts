// Where Redis is, for the API, the workers and KEDA. The password is never in a manifest: everything
// refers to one Secret, which an operator creates or the Key Vault fills.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import {
  defaultPrefix,
  describeNode,
  hasHashTag,
  parseRedisUrl,
  type RedisAddress,
} from '../shared/redis/url.js';
import { type Mount, mountReadOnly, secretVolume } from './mounts.js';
import type { Values } from './values.js';

export const redisSecret = { name: 'redis', key: 'password' };
/** The password of the Sentinels, in the same Secret, if they have one. */
export const sentinelKey = 'sentinel-password';
/** The certificate of a private authority, in a Secret that the values name. */
export const caKey = 'ca.crt';
/** As Kubernetes has them in a Secret for TLS. */
export const tlsKeys = { certificate: 'tls.crt', key: 'tls.key' };
const certificateFolder = '/run/redis-certificate';
export const redisServiceName = 'redis';
export const redisPort = 6379;
/** Azure Managed Redis listens with TLS only, and on this port only. */
const azurePort = 10_000;
/** With its policy OSSCluster, clients connect to the shards themselves, on these ports. */
const azureShardPorts = { first: 8500, last: 8599 };

export interface RedisPlace
  extends Pick<RedisAddress, 'kind' | 'primary' | 'username' | 'db' | 'isTls'> {
  /** The URL, without a password. */
  readonly url: string;
  /** The servers of the URL: `host:port`. */
  readonly servers: readonly string[];
  /** Their names or addresses. */
  readonly hosts: readonly string[];
  /** The ports that API and workers connect to. */
  readonly ports: readonly number[];
  /** Further ports, from the first to the last one. */
  readonly portRange: { readonly first: number; readonly last: number } | undefined;
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
    hosts: nodes.map(({ host }) => host),
    ports: [...new Set([...nodes.map(({ port }) => port), ...further])],
    portRange: isOssCluster(values) ? azureShardPorts : undefined,
    prefix: prefixOf(values, url),
  };
}

/** Returns what was expected of the prefix; undefined if all keys that begin with it lie in one slot. */
export function findPrefixFault(values: Values): string | undefined {
  const { kind, prefix } = redisPlace(values);
  const isSharded = kind === 'cluster' || isManagedCluster(values);
  if (!isSharded || hasHashTag(prefix)) return undefined;
  return 'expected a hash tag in it, such as {scoreline}, because a cluster keeps only such keys together';
}

function prefixOf(values: Values, url: string): string {
  const { redis } = values;
  const given = redis.kind === 'in-cluster' ? undefined : redis.prefix;
  // EnterpriseCluster has one address, but its keys lie in many slots.
  return given ?? (isManagedCluster(values) ? '{scoreline}' : defaultPrefix(url));
}

function isManagedCluster({ redis }: Values): boolean {
  return redis.kind === 'azure' && redis.clusteringPolicy !== 'NoCluster';
}

function isOssCluster({ redis }: Values): boolean {
  return redis.kind === 'azure' && redis.clusteringPolicy === 'OSSCluster';
}

function urlOf(values: Values): string {
  const { redis, namespace } = values;
  if (redis.kind === 'external') return withUser(redis.url, redis.user);
  if (redis.kind === 'azure') {
    return `rediss${isOssCluster(values) ? '+cluster' : ''}://${redis.host}:${azurePort}`;
  }
  // With the namespace, because KEDA looks it up from another one. The domain of a cluster need not be cluster.local.
  return `redis://${redisServiceName}.${namespace}.svc:${redisPort}`;
}

function withUser(url: string, user: string | undefined): string {
  return user === undefined ? url : url.replace('://', () => `://${encodeURIComponent(user)}@`);
}

/** The Secret with the certificate of the authority of Redis, if it is a private one. */
export function caSecretOf({ redis }: Values): string | undefined {
  return redis.kind === 'external' ? redis.caSecret : undefined;
}

/** The Secret with the certificate by which Redis knows us, if it asks for one. */
export function certificateSecretOf({ redis }: Values): string | undefined {
  return redis.kind === 'external' ? redis.certificateSecret : undefined;
}

export function mountCertificate(values: Values): Mount[] {
  const source = secretVolume(certificateSecretOf(values));
  return mountReadOnly('redis-certificate', certificateFolder, source);
}

/** The environment of a process that uses Redis. */
export function redisEnvironment(values: Values): IEnvVar[] {
  const { url, prefix, kind } = redisPlace(values);
  const { name } = redisSecret;
  return [
    { name: 'QUEUE_PREFIX', value: prefix },
    { name: 'REDIS_URL', value: url },
    { name: 'REDIS_PASSWORD', valueFrom: { secretKeyRef: { ...redisSecret } } },
    ...(kind === 'sentinel'
      ? [
          {
            name: 'REDIS_SENTINEL_PASSWORD',
            valueFrom: { secretKeyRef: { name, key: sentinelKey, optional: true } },
          },
        ]
      : []),
    ...(certificateSecretOf(values) === undefined
      ? []
      : [
          { name: 'REDIS_CERT_FILE', value: `${certificateFolder}/${tlsKeys.certificate}` },
          { name: 'REDIS_KEY_FILE', value: `${certificateFolder}/${tlsKeys.key}` },
        ]),
  ];
}
