// The check of Redis at a start. It waits for a Redis that is away, for as long as it takes. It
// refuses one that does not suit us, because requests would be lost or fail there: a Redis that is
// too old, read-only or evicts keys, that does not do what REDIS_URL asks for, or whose user may not
// do what we need.

import { setTimeout as delay } from 'node:timers/promises';
import { coerceError, ScorelineError } from './errors.js';
import type { Logger } from './log.js';
import { connectOnce, Outage, type Redis } from './redis.js';
import { findMissing, type Missing } from './redis-commands.js';
import { findRefusal } from './redis-refusals.js';
import { parseRedisUrl, type RedisAddress, unusable } from './redis-url.js';

/** BullMQ's and our commands (`XADD NOMKSTREAM`, `XTRIM MINID`, `ZMSCORE`) need this version. */
const versionMin = [6, 2] as const;
const againAfterMs = 500;
/** A name may be unknown for a moment, where Redis and we are started together. */
const unknownHostMsMax = 3000;

/**
 * Waits until Redis can be used.
 * @throws ScorelineError `redis_unusable`; the reason of the signal
 */
export async function checkRedis(options: {
  url: string;
  /** Used if the URL has none. */
  password?: string | undefined;
  /** What our keys begin with. */
  prefix: string;
  log: Logger;
  signal?: AbortSignal | undefined;
}): Promise<void> {
  const { url, password, log, signal } = options;
  const address = parseRedisUrl(url, password);
  const outage = new Outage(log);
  const ended = whenAborted(signal);
  let unknownSinceMs = Number.POSITIVE_INFINITY;
  for (;;) {
    const failure = await Promise.race([tryOnce(options, address), ended]);
    if (failure === undefined) return outage.end('check');
    if (failure instanceof ScorelineError) throw failure;
    const refusal = await Promise.race([findRefusal(failure, address), ended]);
    if (refusal) throw refusal;
    outage.begin('check', failure);
    if ((failure as NodeJS.ErrnoException).code !== 'ENOTFOUND') {
      unknownSinceMs = Number.POSITIVE_INFINITY;
    } else {
      unknownSinceMs = Math.min(unknownSinceMs, performance.now());
      if (performance.now() - unknownSinceMs > unknownHostMsMax) throw unknownHost(address);
    }
    await Promise.race([delay(againAfterMs), ended]);
  }
}

/** Rejects with the reason of the signal when it is aborted. */
function whenAborted(signal: AbortSignal | undefined): Promise<never> {
  const aborted = new Promise<never>((_resolve, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  return aborted;
}

/** Returns why Redis cannot be used; a ScorelineError if it answered and does not suit us. */
async function tryOnce(
  { url, password, prefix, log }: Parameters<typeof checkRedis>[0],
  address: RedisAddress,
): Promise<Error | undefined> {
  const redis = connectOnce({ url, password, name: 'check' });
  // The promise of `connect` says only that the connection is closed; the event says why.
  let reason: Error | undefined;
  redis.on('error', (error: Error) => {
    reason ??= error;
  });
  try {
    await redis.connect();
    if (reason) return reason;
    if (address.db > 0) await redis.select(address.db);
    // First, because an older Redis lacks commands, too.
    const info = await readInfo(redis);
    if (info) checkServer(info, log);
    checkRights(await findMissing(redis, prefix), prefix, address);
    return undefined;
  } catch (thrown) {
    return thrown instanceof ScorelineError ? thrown : (reason ?? coerceError(thrown));
  } finally {
    redis.disconnect();
  }
}

function checkRights(
  { commands, keys }: Missing,
  prefix: string,
  { username = 'default' }: RedisAddress,
): void {
  if (keys !== undefined) {
    throw unusable(
      `a Redis where the user ${username} may use all keys that begin with ${prefix}:`,
      `the answer "${keys}"`,
      /^CROSSSLOT/.test(keys)
        ? `It is a cluster. Set QUEUE_PREFIX to a hash tag: {${prefix}}`
        : /^MOVED/.test(keys)
          ? 'It is a part of a cluster. Set REDIS_URL to the part that it names.'
          : `Allow them: ACL SETUSER ${username} ~${prefix}:*`,
    );
  }
  if (commands.length > 0) {
    throw unusable(
      'a user that may run the commands that docs/configuration.md lists',
      `the user ${username}, who may not run ${commands.join(', ')}`,
      `Allow them: ACL SETUSER ${username} ${commands.map((name) => `+${name}`).join(' ')}`,
    );
  }
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

function checkServer(info: Readonly<Record<string, string>>, log: Logger): void {
  if (info.loading === '1') throw new Error('Redis is loading its data.');
  const [major = 0, minor = 0] = (info.redis_version ?? '').split('.').map(Number);
  if (major < versionMin[0] || (major === versionMin[0] && minor < versionMin[1])) {
    throw unusable(
      `Redis ${versionMin.join('.')} or later`,
      `Redis ${info.redis_version}`,
      'Upgrade it.',
    );
  }
  if (info.role === 'slave') {
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

function unknownHost({ host }: RedisAddress): ScorelineError {
  return unusable('the name of a host', `${host}, which is unknown here`, 'Check the name.');
}

function parseInfo(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}
