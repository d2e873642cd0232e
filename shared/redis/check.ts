// The check of Redis at a start. It waits for a Redis that is away, for as long as it takes. It
// refuses one that does not suit us, because requests would be lost or fail there: a Redis that is
// too old, read-only or evicts keys, that does not do what REDIS_URL asks for, or whose user may not
// do what we need.

import { setTimeout as delay } from 'node:timers/promises';
import { coerceError, ScorelineError } from '../errors.js';
import type { Logger } from '../process/log.js';
import { unless } from '../process/unless.js';
import { findMissing, type Missing } from './commands.js';
import { findNode, nodeOptions, probeKey, useNode } from './node.js';
import { Outage, type Redis } from './redis.js';
import { findRefusal } from './refusals.js';
import {
  parseRedisUrl,
  type RedisAddress,
  type RedisNode,
  type RedisSettings,
  unusable,
} from './url.js';

/** BullMQ's and our commands (`XADD NOMKSTREAM`, `XTRIM MINID`, `ZMSCORE`) need this version. */
const versionMin = [6, 2] as const;
const againAfterMs = 500;
/** A name may be unknown for a moment, where Redis and we are started together. */
const unknownHostMsMax = 3000;

/**
 * Waits until Redis can be used.
 * @throws ScorelineError `redis_unusable`; the reason of the signal
 */
export async function checkRedis(
  options: RedisSettings & { log: Logger; signal?: AbortSignal | undefined },
): Promise<void> {
  const { log, signal } = options;
  const address = parseRedisUrl(options.url, options);
  const outage = new Outage(log);
  let unknownSinceMs = Number.POSITIVE_INFINITY;
  for (;;) {
    const { failure, node } = await unless(signal, tryOnce(options, address));
    if (failure === undefined) return outage.end('check');
    if (failure instanceof ScorelineError) throw failure;
    const refusal = await unless(signal, findRefusal(failure, address, node));
    if (refusal) throw refusal;
    outage.begin('check', failure);
    if ((failure as NodeJS.ErrnoException).code !== 'ENOTFOUND') {
      unknownSinceMs = Number.POSITIVE_INFINITY;
    } else {
      unknownSinceMs = Math.min(unknownSinceMs, performance.now());
      if (performance.now() - unknownSinceMs > unknownHostMsMax)
        throw unknownHost(failure, node, address);
    }
    await unless(signal, delay(againAfterMs));
  }
}

/**
 * Returns why Redis cannot be used, and the server that was tried. The reason is a ScorelineError if
 * a server answered and does not suit us.
 */
async function tryOnce(
  { prefix, log }: Pick<Parameters<typeof checkRedis>[0], 'prefix' | 'log'>,
  address: RedisAddress,
): Promise<{ failure: Error | undefined; node: RedisNode }> {
  let [node] = address.nodes;
  try {
    node = await findNode(address, probeKey(prefix));
    await useNode(node, nodeOptions(address, node), async (redis) => {
      if (address.db > 0) await redis.select(address.db);
      // First, because an older Redis lacks commands, too.
      const info = await readInfo(redis);
      if (info) checkServer(info, address, log);
      checkRights(await findMissing(redis, prefix), prefix, address);
    });
    return { failure: undefined, node };
  } catch (thrown) {
    return { failure: coerceError(thrown), node };
  }
}

function checkRights(
  { commands, unknown, keys }: Missing,
  prefix: string,
  { kind, username = 'default' }: RedisAddress,
): void {
  const isElsewhere = kind === 'cluster' && keys?.startsWith('MOVED');
  if (keys !== undefined && !isElsewhere) {
    throw unusable(
      `a Redis where the user ${username} may use all keys that begin with ${prefix}:`,
      `the answer "${keys}"`,
      /^(CROSSSLOT|MOVED)/.test(keys)
        ? 'It is a node of a cluster: write redis+cluster:// instead of redis://.'
        : `Allow them: ACL SETUSER ${username} ~${prefix}:*`,
    );
  }
  if (unknown.length > 0) {
    throw unusable(
      'a Redis with the commands that docs/configuration.md lists',
      `one that does not know ${unknown.join(', ')}`,
      'Look for rename-command in its settings, or take another one.',
    );
  }
  if (commands.length > 0) {
    throw unusable(
      'a user that may run the commands that docs/configuration.md lists',
      `the user ${username}, who may not run ${commands.join(', ')}`,
      `Allow them: ACL SETUSER ${username} ${commands.map((name) => `+${name}`).join(' ')}`,
    );
  }
  // The keys have moved since we asked where they are.
  if (isElsewhere) throw new Error(keys);
}

/** Reads what Redis says about itself; undefined if it says nothing to this user. */
async function readInfo(redis: Redis): Promise<Record<string, string> | undefined> {
  try {
    return parseInfo(await redis.info());
  } catch (thrown) {
    if (/NOPERM|unknown command/i.test(coerceError(thrown).message)) return undefined;
    throw thrown;
  }
}

function checkServer(
  info: Readonly<Record<string, string>>,
  { kind }: RedisAddress,
  log: Logger,
): void {
  if (info.loading === '1') throw new Error('Redis is loading its data.');
  if (info.redis_mode === 'sentinel') {
    throw unusable(
      'a Redis',
      'a Sentinel',
      'Write redis+sentinel:// instead of redis://, and /NAME-OF-THE-PRIMARY behind the hosts.',
    );
  }
  const [major = 0, minor = 0] = (info.redis_version ?? '').split('.').map(Number);
  if (major < versionMin[0] || (major === versionMin[0] && minor < versionMin[1])) {
    throw unusable(
      `Redis ${versionMin.join('.')} or later`,
      `Redis ${info.redis_version}`,
      'Upgrade it.',
    );
  }
  if (info.role === 'slave') {
    // A fail-over is under way.
    if (kind !== 'single') throw new Error('The primary of Redis has just become a replica.');
    throw unusable(
      'a Redis that takes writes',
      'a read-only replica',
      'Set REDIS_URL to the primary.',
    );
  }
  const policy = info.maxmemory_policy ?? 'noeviction';
  if (policy !== 'noeviction' && Number(info.maxmemory) > 0) {
    throw unusable(
      'the eviction policy noeviction',
      `${policy}, which drops requests when memory is full`,
      'Set maxmemory-policy noeviction.',
    );
  }
  if (policy !== 'noeviction') {
    log.warn(
      { policy },
      'Redis would drop requests if its memory were limited: set maxmemory-policy noeviction',
    );
  }
  if (info.aof_enabled === '0') {
    log.warn(
      'Redis keeps no append-only file: requests that wait are lost when it restarts. Set appendonly yes',
    );
  }
}

function unknownHost(
  failure: NodeJS.ErrnoException & { hostname?: string },
  node: RedisNode,
  { family }: RedisAddress,
) {
  const { hostname = node.host } = failure;
  return unusable(
    'the name of a host',
    `${hostname}, which ${family ? `has no address of IPv${family}` : 'is unknown'} here`,
    `Check the name${family ? `, and family=${family}` : ''}. The name of a container is known while it runs.`,
  );
}

/** Parses what INFO answers. */
export function parseInfo(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}
