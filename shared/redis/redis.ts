// Connections to Redis: to a single one, to the primary that Sentinels watch, or to the node of a
// cluster that has our keys (node.ts). All three behave alike.
//
// A producer fails fast: a request that cannot be queued is refused at once, not kept. A consumer
// waits for Redis for as long as it takes, and sends unanswered commands again. Both drop a silent
// connection, because a cut network does not close it.

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { coerceError } from '../errors.js';
import { type Logger, makeSeldom } from '../process/log.js';
import { connectionTo, probeKey, type RedisOptions } from './node.js';
import { explainHandshake } from './tls.js';
import { parseRedisUrl, type RedisCredentials } from './url.js';

export type { Redis };

const reconnectEveryMs = 1000;
const againAfterMs = 200;
/**
 * When a connection was last made again because of an error, by its options: BullMQ copies
 * connections, and each copy has to be made again.
 */
const reconnectedAt = new WeakMap<object, number>();

export interface ConnectionOptions extends RedisCredentials {
  readonly url: string;
  readonly prefix?: string;
  readonly name: string;
  readonly log: Logger;
  /** Shared by the connections of a process, so the log says once that Redis is away. */
  readonly outage?: Outage;
  /** Whether to connect only when told to by `startConnecting`. */
  readonly isLazy?: boolean;
}

/**
 * Larger values take a connection of their own. On a network of 100 Mbit/s, this many bytes take 0.4 s, and would delay
 * commands that others wait for, such as those that keep the lock of a job.
 */
export const largeBytes = 4 * 1024 * 1024;

const failingFast = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
};

const patient = { maxRetriesPerRequest: null };

/** Redis is silent as long as a large value is on its way to it. */
const largeSocketTimeoutMs = 12_000;

/**
 * Connects for commands that a request waits for. They fail if Redis takes more than 2.5 s. A shorter pause is common,
 * such as a fork, a slow disk, or a machine that starts workers. It must only delay the requests, not refuse them.
 */
export function connectProducer(options: ConnectionOptions): Redis {
  return connect(options, {
    ...failingFast,
    commandTimeout: 2500,
    socketTimeout: 3000,
  });
}

/** Connects for inputs and answers that are large, so that they hold up no other command. */
export function connectForLarge(options: ConnectionOptions): Redis {
  return connect(options, {
    ...failingFast,
    commandTimeout: 10_000,
    socketTimeout: largeSocketTimeoutMs,
  });
}

/** Connects for work that must get through. Its commands wait until Redis is back. */
export function connectConsumer(options: ConnectionOptions): Redis {
  return connect(options, {
    ...patient,
    // The waits for a job and for replies block for a second each. While one of these connections is silently lost,
    // nothing is answered, although all processes are ready.
    socketTimeout: 4000,
  });
}

/** Connects for large replies that must get through. */
export function connectConsumerForLarge(options: ConnectionOptions): Redis {
  return connect(options, { ...patient, socketTimeout: largeSocketTimeoutMs });
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
  while (redis.status !== 'ready') {
    // It also rejects when an attempt to connect fails. The next one may succeed.
    await once(redis, 'ready', { signal }).catch(() => signal?.throwIfAborted());
  }
}

/**
 * Does something without which a process cannot start, as soon as Redis takes it. A Redis that is full or away does not.
 * @throws the reason of the signal
 */
export async function untilTaken<T>(
  act: () => Promise<T>,
  options: { log: Logger; signal: AbortSignal | undefined; message: string },
): Promise<T> {
  const { log, signal, message } = options;
  const warn = makeSeldom(log);
  for (;;) {
    try {
      return await act();
    } catch (thrown) {
      warn(explain(thrown), message);
      await delay(againAfterMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

/**
 * Sends a transaction or a pipeline, and resolves to the replies of its commands, in order. If Redis refused any of
 * them, it rejects with the first error.
 */
export async function repliesOf(commands: ReturnType<Redis['multi']>): Promise<unknown[]> {
  const results = (await commands.exec()) ?? [];
  return results.map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}

/** Returns the members of a sorted set with their scores, which a reply to WITHSCORES has in turn. */
export function scoredMembersOf(reply: readonly string[]): [member: string, score: number][] {
  return Array.from({ length: reply.length / 2 }, (_, at) => [
    reply[2 * at] as string,
    Number(reply[2 * at + 1]),
  ]);
}

/** The times when Redis is away, as the connections of one process see them. */
export class Outage {
  readonly #log: Logger;
  readonly #away = new Set<string>();
  /** What operators were told to do since it began. */
  readonly #advised = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  begin(connection: string, error: Error): void {
    this.#away.add(connection);
    // A Redis that was stopped may come back with another password.
    const { reason, advice } = explain(error);
    if (this.#advised.has(advice)) return;
    this.#advised.add(advice);
    const fields = { connection, reason, advice };
    this.#log.error(fields, 'Redis cannot be used; trying again until it can');
  }

  end(connection: string): void {
    if (this.#away.delete(connection) && this.#away.size === 0) {
      this.#advised.clear();
      this.#log.info({ connection }, 'Redis is back');
    }
  }
}

/** Returns, for the log, why Redis refused a command and what the operator can do about it. */
export function explain(thrown: unknown): { reason: string; advice: string } {
  const error: Error & { previousErrors?: readonly Error[] } = coerceError(thrown);
  // A transaction is aborted because of one of its commands. Its own error may not say why.
  const { message: reason } = error.previousErrors?.[0] ?? error;
  const [, , ofHandshake] = explainHandshake(error, '') ?? [];
  const [, advice = ofHandshake] = advices.find(([pattern]) => pattern.test(reason)) ?? [];
  return { reason, advice: advice ?? 'Check REDIS_URL, the network, and that Redis runs.' };
}

/** Returns, for the log, what `explain` says if Redis is the reason; otherwise the error with its stack. */
export function explainOrShow(
  thrown: unknown,
): { reason: string; advice: string } | { err: Error } {
  const error = coerceError(thrown);
  const isOfRedis = error.name === 'ReplyError' || error.message === 'Command timed out';
  return isOfRedis ? explain(error) : { err: error };
}

const advices: ReadonlyArray<readonly [RegExp, string]> = [
  [/\bOOM\b/, 'The memory of Redis is full: raise its maxmemory, or lower QUEUE_ITEMS_MAX.'],
  [/\bREADONLY\b/, 'Redis is a read-only replica: promote it, or set REDIS_URL to the primary.'],
  [
    /\bNOREPLICAS\b/,
    'Too few replicas follow the primary: look at them, or lower its min-replicas-to-write.',
  ],
  [
    /^MOVED\b/,
    'Another node of the cluster has our keys. If this lasts, write redis+cluster:// in REDIS_URL.',
  ],
  [/^(ASK|TRYAGAIN)\b/, 'The cluster moves our keys to another node: wait until it has.'],
  [
    /^CLUSTERDOWN\b/,
    'The cluster does not serve our keys: look at CLUSTER INFO and CLUSTER NODES.',
  ],
  [/\bMISCONF\b/, 'Redis cannot write to its disk: make room there.'],
  [
    /\bNOPERM\b|can't run this command|can't access at least one of the keys/,
    'The rights of the user in REDIS_URL have changed: docs/configuration.md says which it needs.',
  ],
  [
    /renew lock|lock mismatch|missing lock/i,
    'This process stood still, or was cut off from Redis, for longer than a second, so another worker may have its jobs. If this lasts, give it more processor time, and look at the network.',
  ],
  [
    /\b(WRONGPASS|NOAUTH)\b/,
    'Redis has another password now: correct REDIS_PASSWORD, or REDIS_URL if it holds it.',
  ],
];

/**
 * Sends the commands of one turn of the event loop in one write. Each write costs both sides a system call and Redis
 * a turn, which is more than most commands cost.
 */
class CorkedRedis extends Redis {
  #corked: Redis['stream'] | undefined;

  override duplicate(override?: Parameters<Redis['duplicate']>[0]): Redis {
    return new CorkedRedis({ ...this.options, ...override } as RedisOptions);
  }

  override sendCommand(...parameters: Parameters<Redis['sendCommand']>): unknown {
    this.#cork();
    return super.sendCommand(...parameters);
  }

  #cork(): void {
    const { stream } = this;
    if (!stream || stream === this.#corked) return;
    this.#corked = stream;
    stream.cork();
    setImmediate(() => {
      stream.uncork();
      if (this.#corked === stream) this.#corked = undefined;
    });
  }
}

function connect(options: ConnectionOptions, behaviour: RedisOptions): Redis {
  const { name, log, outage = new Outage(log), isLazy = false } = options;
  const warn = makeSeldom(log, 'error');
  const redis = new CorkedRedis({
    ...connectionTo(parseRedisUrl(options.url, options), probeKey(options.prefix ?? '')),
    connectionName: `scoreline-${name}`,
    connectTimeout: 2000,
    lazyConnect: isLazy,
    retryStrategy: (times: number) => Math.min(25 * 2 ** Math.min(times, 5), 500),
    reconnectOnError(error: Error) {
      if (!/^(READONLY|MOVED|CLUSTERDOWN)\b|: -READONLY\b/.test(error.message)) return false;
      warn({ connection: name, ...explain(error) }, 'Redis takes no writes');
      // After a fail-over the old primary is a replica, or another node has our keys. Connect again,
      // since the address may lead to the new primary by now, and send the command again. If the
      // address still leads to the replica, this happens at most once a second.
      const at = performance.now();
      if (at - (reconnectedAt.get(this) ?? Number.NEGATIVE_INFINITY) < reconnectEveryMs)
        return false;
      reconnectedAt.set(this, at);
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
