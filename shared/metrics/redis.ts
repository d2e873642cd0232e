// What a process says about its connections to Redis.

import type { Redis } from '../redis/redis.js';
import type { Instruments } from './instruments.js';

type Connection = Pick<Redis, 'status' | 'on'>;

/** Adds the metrics of connections. A connection that was never ready counts as away. */
export function observeRedis(instruments: Instruments, connections: readonly Connection[]): void {
  instruments.readOne('redisUp', () =>
    connections.every(({ status }) => status === 'ready') ? 1 : 0,
  );
  for (const redis of connections) {
    let hasBeenReady = redis.status === 'ready';
    redis.on('ready', () => {
      if (hasBeenReady) instruments.add('redisReconnects', {});
      hasBeenReady = true;
    });
  }
}

/** Returns a function to call with the time of each round trip. */
export function timeRedis(instruments: Instruments): (ms: number) => void {
  return (ms) => instruments.observe('redisSeconds', {}, ms / 1000);
}
