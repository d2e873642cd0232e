// Connections to Redis.
//
// A producer fails fast: a request that cannot be queued is refused at once, not kept. A consumer
// waits for Redis for as long as it takes, and sends unanswered commands again. Both drop a silent
// connection, because a cut network does not close it.

import { Redis, type RedisOptions } from 'ioredis';
import { coerceError, ScorelineError } from './errors.js';
import { type Logger, makeSeldom } from './log.js';

export type { Redis };

/** BullMQ's and our commands (`XADD NOMKSTREAM`, `XTRIM MINID`, `ZMSCORE`) need this version. */
const versionMin = [6, 2];
const reconnectEveryMs = 1000;

export interface ConnectionOptions {
  readonly url: string;
  /** Used if the URL has none. */
  readonly password?: string | undefined;
  readonly name: string;
  readonly log: Logger;
}

type Behaviour = Omit<RedisOptions, 'replyMapping'>;

/** Connects for commands that a request waits for. They fail if Redis takes more than 0.8 s. */
export function connectProducer(options: ConnectionOptions): Redis {
  return connect(options, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: 800,
    socketTimeout: 3000,
  });
}

/** Connects for work that must get through. Its commands wait until Redis is back. */
export function connectConsumer(options: ConnectionOptions): Redis {
  return connect(options, {
    maxRetriesPerRequest: null,
    // Longer than the longest blocking command, which is BullMQ's wait for a job.
    socketTimeout: 12_000,
  });
}

/**
 * Waits until the connection is ready for commands, however long that takes.
 * @throws ScorelineError `redis_unusable` if Redis answers but is not fit for use
 */
export async function waitUntilReady(redis: Redis, log: Logger): Promise<void> {
  if (redis.status !== 'ready') {
    await new Promise<void>((resolve, reject) => {
      redis.once('ready', () => resolve());
      redis.on('error', (error: Error) => {
        if (isRefusal(error)) reject(refused(error));
      });
    });
  }
  await checkServer(redis, log);
}

/** Returns, for the log, why Redis refused a command and what the operator can do about it. */
export function explain(thrown: unknown): { reason: string; advice: string } {
  const reason = coerceError(thrown).message;
  const [, advice] = advices.find(([pattern]) => pattern.test(reason)) ?? [];
  return { reason, advice: advice ?? 'Check REDIS_URL, the network, and that Redis runs.' };
}

const advices: ReadonlyArray<readonly [RegExp, string]> = [
  [/\bOOM\b/, 'The memory of Redis is full: raise its maxmemory, or lower QUEUE_ITEMS_MAX.'],
  [/\bREADONLY\b/, 'Redis is a read-only replica: promote it, or set REDIS_URL to the primary.'],
  [/\bMISCONF\b/, 'Redis cannot write to its disk: make room there.'],
];

/** We wait for an unreachable Redis, but refuse to start on a misconfigured one. */
async function checkServer(redis: Redis, log: Logger): Promise<void> {
  const info = parseInfo(String(await redis.info()));
  const [major = 0, minor = 0] = (info.redis_version ?? '').split('.').map(Number);
  if (
    major < (versionMin[0] as number) ||
    (major === versionMin[0] && minor < (versionMin[1] as number))
  ) {
    throw unusable(
      `Redis ${versionMin.join('.')} or later`,
      `Redis ${info.redis_version}. Upgrade it.`,
    );
  }
  if (info.role === 'slave') {
    throw unusable(
      'a Redis that takes writes',
      'a read-only replica. Set REDIS_URL to the primary.',
    );
  }
  const policy = info.maxmemory_policy ?? 'noeviction';
  if (policy !== 'noeviction' && Number(info.maxmemory) > 0) {
    throw unusable(
      'the eviction policy noeviction',
      `${policy}, which drops requests when memory is full. Set maxmemory-policy noeviction.`,
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

function connect(options: ConnectionOptions, behaviour: Behaviour): Redis {
  const warn = makeSeldom((fields, message) => options.log.error(fields, message));
  let reconnectedAt = Number.NEGATIVE_INFINITY;
  const redis = new Redis(options.url, {
    connectionName: `scoreline-${options.name}`,
    ...(options.password !== undefined && { password: options.password }),
    connectTimeout: 2000,
    retryStrategy: (times: number) => Math.min(25 * 2 ** Math.min(times, 5), 500),
    reconnectOnError: (error: Error) => {
      if (!error.message.startsWith('READONLY')) return false;
      warn({ connection: options.name, ...explain(error) }, 'Redis takes no writes');
      // After a failover the old primary is a replica. Connect again, since the address may lead to
      // the new primary by now, and send the command again. If the address still leads to the
      // replica, this happens at most once a second.
      const at = performance.now();
      if (at - reconnectedAt < reconnectEveryMs) return false;
      reconnectedAt = at;
      return 2;
    },
    ...behaviour,
  });
  let away = false;
  redis.on('error', (error: Error) => {
    if (!away) {
      options.log.error(
        { connection: options.name, reason: error.message },
        'Redis cannot be used; trying again until it can. Check REDIS_URL and that Redis runs',
      );
    }
    away = true;
  });
  redis.on('ready', () => {
    if (away) options.log.info({ connection: options.name }, 'Redis is back');
    away = false;
  });
  return redis;
}

function isRefusal(error: Error): boolean {
  return /WRONGPASS|NOAUTH|NOPERM|invalid password|invalid username-password/i.test(error.message);
}

function refused(cause: Error): ScorelineError {
  return new ScorelineError(
    'redis_unusable',
    'REDIS_URL: expected a user and password that Redis accepts; it refused these. Check both, and REDIS_PASSWORD.',
    { cause },
  );
}

function unusable(expected: string, got: string): ScorelineError {
  return new ScorelineError('redis_unusable', `REDIS_URL: expected ${expected}; got ${got}`);
}

function parseInfo(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}
