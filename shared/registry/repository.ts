// The orders of operators about the models of a service, in Redis: which ones are unloaded, and when to look at the folder
// at once. API and workers read them with each look at the folder, so all of them follow without a restart.

import { randomUUID } from 'node:crypto';
import type { Keys } from '../redis/keys.js';
import { type Redis, repliesOf } from '../redis/redis.js';

export interface Orders {
  /** The names of the models that are unloaded. */
  readonly unloaded: ReadonlySet<string>;
  /** Changes with each order. Never one that was there before, even if Redis has lost its data. */
  readonly revision: string;
}

/** The orders of a service before anybody has given one. */
export const noOrders: Orders = { unloaded: new Set(), revision: '' };

/** Reads the orders. Rejects with an error of Redis. */
export async function readOrders(redis: Redis, keys: Keys): Promise<Orders> {
  const [unloaded, revision] = await Promise.all([
    redis.smembers(keys.unloaded),
    redis.get(keys.modelsRevision),
  ]);
  return { unloaded: new Set(unloaded), revision: revision ?? '' };
}

/** Takes a model out, or has it looked for. Rejects with an error of Redis. */
export async function order(
  { redis, keys }: { redis: Redis; keys: Keys },
  what: 'load' | 'unload',
  name: string,
): Promise<void> {
  const commands = redis.multi();
  if (what === 'load') commands.srem(keys.unloaded, name);
  else commands.sadd(keys.unloaded, name);
  await repliesOf(commands.set(keys.modelsRevision, randomUUID()));
}

/** Why a worker could not load a model. */
export interface LoadFault {
  readonly code: string;
  readonly message: string;
  /** The orders that the worker had seen. */
  readonly revision: string;
}

/** How long a worker's report outlives it. */
const faultTimeToLiveMs = 15_000;

/** Says why a worker cannot load the model of a queue. It has to be said again before it expires. */
export async function reportFault(
  { redis, keys }: { redis: Redis; keys: Keys },
  queue: string,
  { workerId, ...fault }: LoadFault & { workerId: string },
): Promise<void> {
  const key = keys.faults(queue);
  await redis
    .multi()
    .hset(key, workerId, JSON.stringify(fault))
    .pexpire(key, faultTimeToLiveMs)
    .exec();
}

/** Takes the report back. */
export async function clearFault(
  { redis, keys }: { redis: Redis; keys: Keys },
  queue: string,
  workerId: string,
): Promise<void> {
  await redis.hdel(keys.faults(queue), workerId);
}

/** Returns what a worker said about why it cannot load the model of a queue; undefined if none did. */
export async function readFault(
  redis: Redis,
  keys: Keys,
  queue: string,
): Promise<LoadFault | undefined> {
  const [text] = Object.values(await redis.hgetall(keys.faults(queue)));
  return text === undefined ? undefined : (JSON.parse(text) as LoadFault);
}
