// Connections to Redis.
//
// A producer fails fast: a request that cannot be queued is refused at once, not kept. A consumer
// waits for Redis for as long as it takes, and sends unanswered commands again. Both drop a silent
// connection, because a cut network does not close it.

import { once } from 'node:events';
import { Redis, type RedisOptions } from 'ioredis';
import { coerceError } from './errors.js';
import { type Logger, makeSeldom } from './log.js';
import { parseRedisUrl } from './redis-url.js';

export type { Redis };

const reconnectEveryMs = 1000;

export interface ConnectionOptions {
  readonly url: string;
  /** Used if the URL has none. */
  readonly password?: string | undefined;
  readonly name: string;
  readonly log: Logger;
  /** Shared by the connections of a process, so the log says once that Redis is away. */
  readonly outage?: Outage;
  /** Whether to connect only when told to by `startConnecting`. */
  readonly isLazy?: boolean;
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

/** Connects once, when `connect` is called. Nothing is tried again. */
export function connectOnce(options: Pick<ConnectionOptions, 'url' | 'password' | 'name'>): Redis {
  return new Redis({
    ...addressOptions(options),
    connectionName: `scoreline-${options.name}`,
    connectTimeout: 2000,
    commandTimeout: 2000,
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
}

/** Starts to connect a lazy connection. Its duplicates, such as BullMQ's, connect by themselves. */
export function startConnecting(redis: Redis): void {
  redis.options.lazyConnect = false;
  redis.connect().catch(() => {});
}

/**
 * Waits until the connection is ready for commands, however long that takes.
 * @throws the reason of the signal
 */
export async function waitUntilReady(redis: Redis, signal?: AbortSignal): Promise<void> {
  if (redis.status === 'ready') return;
  await once(redis, 'ready', { signal }).catch((error) => {
    throw signal?.reason ?? error;
  });
}

/** The times when Redis is away, as the connections of one process see them. */
export class Outage {
  readonly #log: Logger;
  readonly #away = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  begin(connection: string, error: Error): void {
    if (this.#away.size === 0) {
      this.#log.error(
        { connection, reason: error.message },
        'Redis cannot be used; trying again until it can. Check REDIS_URL and that Redis runs',
      );
    }
    this.#away.add(connection);
  }

  end(connection: string): void {
    if (this.#away.delete(connection) && this.#away.size === 0) {
      this.#log.info({ connection }, 'Redis is back');
    }
  }
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
  [
    /\bNOPERM\b|can't run this command|can't access at least one of the keys/,
    'The rights of the user in REDIS_URL have changed: docs/configuration.md says which it needs.',
  ],
  [/\b(WRONGPASS|NOAUTH)\b/, 'Redis has another password now: correct REDIS_URL.'],
];

function connect(options: ConnectionOptions, behaviour: Behaviour): Redis {
  const { name, log, outage = new Outage(log), isLazy = false } = options;
  const warn = makeSeldom(log, 'error');
  let reconnectedAt = Number.NEGATIVE_INFINITY;
  const redis = new Redis({
    ...addressOptions(options),
    connectionName: `scoreline-${name}`,
    connectTimeout: 2000,
    lazyConnect: isLazy,
    retryStrategy: (times: number) => Math.min(25 * 2 ** Math.min(times, 5), 500),
    reconnectOnError: (error: Error) => {
      if (!error.message.startsWith('READONLY')) return false;
      warn({ connection: name, ...explain(error) }, 'Redis takes no writes');
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
  redis.on('error', (error: Error) => {
    outage.begin(name, error);
    // ioredis would go on with database 0.
    if (isWrongDatabase(error)) redis.disconnect(true);
  });
  redis.on('ready', () => outage.end(name));
  return redis;
}

/** Whether Redis refused to select the database of the URL. */
export function isWrongDatabase({ message }: Error): boolean {
  return /DB index is out of range|invalid DB index|SELECT is not allowed|'select' command/i.test(
    message,
  );
}

function addressOptions(given: Pick<ConnectionOptions, 'url' | 'password'>): Behaviour {
  const { isTls, username, password, ...address } = parseRedisUrl(given.url, given.password);
  return {
    ...address,
    // Saves two commands, which the user would need rights for.
    disableClientInfo: true,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(isTls && { tls: {} }),
  };
}
