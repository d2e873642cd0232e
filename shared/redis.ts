// Connections to Redis.
//
// A producer fails fast: a request that cannot be queued is refused at once rather than kept. A
// consumer waits for Redis for as long as it takes, and what it was sending is sent again.

import { Redis, type RedisOptions } from 'ioredis';
import type { Logger } from './log.js';

export type { Redis };

export interface ConnectionOptions {
  readonly url: string;
  readonly name: string;
  readonly log: Logger;
}

/** For commands on the way of a request: they fail at once when Redis is away. */
export function connectProducer(options: ConnectionOptions): Redis {
  return connect(options, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: 5000,
  });
}

/** For work that must get through: commands wait until Redis is back. */
export function connectConsumer(options: ConnectionOptions): Redis {
  return connect(options, { maxRetriesPerRequest: null });
}

/** Resolves when the connection is ready for commands, however long that takes. */
export async function waitUntilReady(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve) => redis.once('ready', resolve));
}

function connect(options: ConnectionOptions, behaviour: Omit<RedisOptions, 'replyMapping'>): Redis {
  const redis = new Redis(options.url, {
    connectionName: `scoreline-${options.name}`,
    connectTimeout: 2000,
    retryStrategy: (times: number) => Math.min(25 * 2 ** Math.min(times, 5), 500),
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
