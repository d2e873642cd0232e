// The server that serves us: of a single Redis itself, behind Sentinels the primary, of a cluster the
// node that has our keys.
//
// All our keys lie in one slot of a cluster, because QUEUE_PREFIX has a hash tag. So one node has them
// all, and a connection to it does what a connection to a single Redis does: scripts, transactions,
// blocking reads, the clock, the time limits. A client for whole clusters, such as that of ioredis,
// spreads commands over nodes, and does not say when the one that counts is away.
//
// Each time that a connection is made, a server of the URL is asked where to connect to. After a
// fail-over the connection is lost, or redis.ts ends it because of an error, and the way leads to the
// new primary. If that cannot be found, the connection fails like one to a Redis that is away.

import { createConnection, isIP, Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls';
import { AbstractConnector, type RedisOptions as AnyOptions, Redis } from 'ioredis';
import { coerceError, ScorelineError } from '../errors.js';
import {
  describeNode,
  parseRedisUrl,
  type RedisAddress,
  type RedisNode,
  type RedisSettings,
  unusable,
} from './url.js';

export type RedisOptions = Omit<AnyOptions, 'replyMapping'>;

const timeoutMs = 2000;

/** Returns a key that lies where all keys with this prefix lie. */
export function probeKey(prefix: string): string {
  return `${prefix}:probe`;
}

/** Returns the options of ioredis with which a connection goes to the server that serves us. */
export function connectionTo(address: RedisAddress, key: string): RedisOptions {
  const { kind, nodes, db, family, certificate } = address;
  return {
    ...(kind === 'single' ? nodes[0] : { Connector: makeConnector(address, key) }),
    db,
    family,
    ...loginOf(address),
    // As it is: ioredis looks at it again for each connection.
    ...(address.isTls && { tls: certificate ?? {} }),
    // Saves two commands, which the user would need rights for.
    disableClientInfo: true,
  };
}

/**
 * Asks the servers of the URL, one after the other, for the server that has the key.
 * @param first the index of the one to ask first
 * @throws ScorelineError `redis_unusable`, or the error of a server, if none knows it
 */
export async function findNode(address: RedisAddress, key: string, first = 0): Promise<RedisNode> {
  const { kind, nodes } = address;
  if (kind === 'single') return nodes[0];
  const errors: Error[] = [];
  for (const index of nodes.keys()) {
    const node = nodes[(first + index) % nodes.length] as RedisNode;
    try {
      return await (kind === 'sentinel' ? askSentinel(address, node) : askNode(address, node, key));
    } catch (thrown) {
      errors.push(coerceError(thrown));
    }
  }
  throw errors.toSorted((one, other) => weightOf(other) - weightOf(one))[0];
}

/** Returns how much an error says: more if a server answered, less if a name is unknown. */
function weightOf(error: NodeJS.ErrnoException): number {
  if (error instanceof ScorelineError) return 3;
  if (error.name === 'ReplyError') return 2;
  return error.code === 'ENOTFOUND' ? 0 : 1;
}

/**
 * Connects to a server once, and disconnects after use. Nothing is tried again.
 * @throws what ended the connection, or what `use` throws
 */
export async function useNode<T>(
  node: RedisNode,
  options: RedisOptions,
  use: (redis: Redis) => Promise<T>,
): Promise<T> {
  const redis = new Redis({
    ...options,
    ...node,
    connectionName: 'scoreline-check',
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    lazyConnect: true,
    enableReadyCheck: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  // The promise of `connect` says only that the connection is closed; the event says why.
  let reason: Error | undefined;
  redis.on('error', (error: Error) => {
    reason ??= error;
  });
  try {
    await redis.connect();
    if (reason) throw reason;
    return await use(redis);
  } catch (thrown) {
    throw thrown instanceof ScorelineError ? thrown : (reason ?? thrown);
  } finally {
    redis.disconnect();
  }
}

/**
 * Connects once to the Redis of the configuration, and disconnects after use.
 * @throws what ended the connection, or what `use` throws
 */
export async function useRedis<T>(
  settings: RedisSettings,
  use: (redis: Redis) => Promise<T>,
): Promise<T> {
  const address = parseRedisUrl(settings.url, settings);
  const node = await findNode(address, probeKey(settings.prefix));
  return await useNode(node, nodeOptions(address, node), async (redis) => {
    if (address.db > 0) await redis.select(address.db);
    return await use(redis);
  });
}

/** Returns the options with which `useNode` connects to a Redis of this address. */
export function nodeOptions(address: RedisAddress, node: RedisNode): RedisOptions {
  const { family, isTls } = address;
  return { family, ...loginOf(address), ...(isTls && { tls: tlsOptions(address, node) }) };
}

function loginOf({ username, password }: RedisAddress): RedisOptions {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  };
}

/**
 * Returns the options with which `connect` in node:tls goes to a server. The certificate of one that was found by its
 * number has the name that the URL has.
 */
export function tlsOptions({ nodes, certificate }: RedisAddress, { host }: RedisNode): TlsOptions {
  const named = nodes.find((node) => isIP(node.host) === 0);
  return { ...certificate, ...(named && isIP(host) !== 0 && { servername: named.host }) };
}

/** Asks a Sentinel for the primary. */
async function askSentinel(address: RedisAddress, sentinel: RedisNode): Promise<RedisNode> {
  const { primary, family, isTls, sentinelPassword, certificate } = address;
  const options = {
    family,
    ...(sentinelPassword !== undefined && { password: sentinelPassword }),
    ...(isTls && { tls: certificate ?? {} }),
  };
  try {
    return await useNode(sentinel, options, async (redis) => {
      const found = await redis.call('SENTINEL', 'get-master-addr-by-name', primary);
      if (Array.isArray(found)) return { host: String(found[0]), port: Number(found[1]) };
      throw unusable(
        'the name of a primary that the Sentinels know',
        `"${primary}"`,
        `Write one of theirs behind the hosts: ${(await namesOf(redis)).join(', ')}.`,
      );
    });
  } catch (thrown) {
    throw explainSentinel(coerceError(thrown), sentinel);
  }
}

/** Returns the names of the primaries that a Sentinel knows. */
async function namesOf(sentinel: Redis): Promise<string[]> {
  const primaries = (await sentinel.call('SENTINEL', 'masters')) as unknown[];
  return primaries.map((primary) => {
    const fields = Array.isArray(primary) ? primary : Object.entries(primary as object).flat();
    return String(fields[fields.indexOf('name') + 1]);
  });
}

function explainSentinel(error: Error, sentinel: RedisNode): Error {
  if (/NOAUTH|WRONGPASS|invalid password/.test(error.message)) {
    return unusable(
      'a password that the Sentinels accept',
      'none, or one that they refuse',
      'Set REDIS_SENTINEL_PASSWORD. The password in REDIS_URL is that of Redis.',
      error,
    );
  }
  if (/unknown command/i.test(error.message)) {
    return unusable(
      `a Sentinel at ${describeNode(sentinel)}`,
      'a Redis',
      'Write redis:// instead of redis+sentinel://, or the ports of the Sentinels.',
      error,
    );
  }
  return error;
}

/** Asks a node of a cluster for the one that has the key. It is itself, or it says which. */
async function askNode(address: RedisAddress, node: RedisNode, key: string): Promise<RedisNode> {
  try {
    await useNode(node, nodeOptions(address, node), (redis) => redis.exists(key));
    return node;
  } catch (thrown) {
    const [, host = '', port] = /^MOVED \d+ (.*):(\d+)$/.exec(coerceError(thrown).message) ?? [];
    if (port !== undefined) {
      // Without a name, it is another port of the same host.
      return { host: host === '' || host === '?' ? node.host : host, port: Number(port) };
    }
    // If the slot is on its way to another node, this is still the node to write to. If the user lacks
    // the right to ask, any node will do: the check (check.ts) finds that there.
    if (/^(ASK|NOPERM)\b/.test(coerceError(thrown).message)) return node;
    throw thrown;
  }
}

function makeConnector(address: RedisAddress, key: string): RedisOptions['Connector'] {
  let first = 0;

  return class extends AbstractConnector {
    constructor() {
      super(timeoutMs);
    }

    /** A replica may have been the primary a moment ago, so look again. */
    override check(info: { role?: string }): boolean {
      return info.role !== 'slave';
    }

    override async connect(): Promise<Socket> {
      this.connecting = true;
      try {
        // The next time another one is asked first, since this one may be behind.
        const node = await findNode(address, key, first++);
        if (!this.connecting) throw new Error('Connection is closed.');
        const target = { ...node, family: address.family };
        const socket = address.isTls
          ? connectTls({ ...target, ...tlsOptions(address, node) })
          : createConnection(target);
        socket.once('error', (error) => {
          this.firstError = error;
        });
        this.stream = socket;
        return socket;
      } catch (thrown) {
        // ioredis gives up for good if this rejects. It tries again after a socket that is closed.
        this.firstError = coerceError(thrown);
        return new Socket().destroy();
      }
    }
  };
}
