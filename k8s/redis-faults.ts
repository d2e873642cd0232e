// Finds faults in the place or the size of Redis with which pods would wait for it in vain, or KEDA would not find it.

import { isTlsUrl } from '../shared/redis/url.js';
import { parseMemory } from './quantity.js';
import { diskMi } from './redis.js';
import { findPrefixFault, redisPlace } from './redis-place.js';
import type { Refuse } from './refuse.js';
import type { Values } from './values.js';

/** An empty Redis takes some, and the rest must be enough for the keys of queues and for connections. */
const memoryMiMin = 64;

export function checkRedis(values: Values, refuse: Refuse): void {
  const prefixFault = findPrefixFault(values);
  if (prefixFault !== undefined) refuse(['redis', 'prefix'], prefixFault);
  checkSize(values, refuse);
  checkAzureHost(values, refuse);
  checkFullNames(values, refuse);
  checkTls(values, refuse);
  checkShards(values, refuse);
}

function checkSize({ redis }: Values, refuse: Refuse): void {
  if (redis.kind !== 'in-cluster') return;
  const memoryMi = parseMemory(redis.memory);
  if (memoryMi < memoryMiMin) {
    refuse(['redis', 'memory'], `expected at least ${memoryMiMin}Mi, of which 0.6 are for data`);
  }
  const disk = diskMi(redis);
  if (disk !== undefined && disk < memoryMi) {
    refuse(
      ['redis', 'disk'],
      `expected at least the memory, ${redis.memory}, better twice as much, because its file holds what the memory does, twice while it is rewritten`,
    );
  }
}

function checkAzureHost({ redis }: Values, refuse: Refuse): void {
  if (redis.kind !== 'azure' || !redis.host.endsWith('.redis.cache.windows.net')) return;
  refuse(
    ['redis', 'host'],
    `expected the host of an Azure Managed Redis, NAME.REGION.redis.azure.net; this is an Azure Cache for Redis, which is { kind: external, url: "rediss://${redis.host}:6380", ports: [] }`,
  );
}

function checkFullNames(values: Values, refuse: Refuse): void {
  if (values.redis.kind !== 'external') return;
  const { hosts } = redisPlace(values);
  const short = hosts.find((host) => !/[.:]/.test(host));
  if (short === undefined) return;
  refuse(
    ['redis', 'url'],
    `expected full names, such as ${short}.NAMESPACE.svc.cluster.local, because KEDA looks ${short} up from its own namespace`,
  );
}

function checkTls({ redis }: Values, refuse: Refuse): void {
  if (redis.kind !== 'external' || isTlsUrl(redis.url)) return;
  for (const key of ['caSecret', 'certificateSecret'] as const) {
    if (redis[key] === undefined) continue;
    refuse(
      ['redis', key],
      'expected none, because redis.url asks for no TLS: write rediss instead of redis there',
    );
  }
}

/** Our processes check the certificate of a shard by the name of the host that they know. KEDA does not. */
function checkShards({ redis, keda }: Values, refuse: Refuse): void {
  if (redis.kind !== 'azure' || redis.clusteringPolicy !== 'OSSCluster') return;
  if (!keda.checkCertificates) return;
  refuse(
    ['redis', 'clusteringPolicy'],
    'expected NoCluster or EnterpriseCluster, because KEDA reaches the shards of OSSCluster by their numbers, which are not in their certificates; or keda: { checkCertificates: false }, with which KEDA gives the password to whoever answers',
  );
}
