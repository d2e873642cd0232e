// What Redis has spent, by its own accounting: two readings and their difference.

import type { Redis } from '../shared/redis/redis.js';

export interface RedisAccount {
  /** Processor time of all its threads, in microseconds. */
  readonly processorUs: number;
  /** The part that scripts took, with the commands in them, in microseconds. */
  readonly scriptsUs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Calls of all commands, those in scripts included. */
  readonly commands: number;
  /** How many jobs were added. BullMQ counts them. */
  readonly jobs: number;
}

/** Reads what Redis has spent since it started. */
export async function readRedisAccount(redis: Redis): Promise<RedisAccount> {
  const information = await Promise.all(
    ['cpu', 'stats', 'commandstats'].map((section) => redis.info(section)),
  );
  const text = information.join('\n');
  const numberOf = (name: string) =>
    Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(text)?.[1] ?? 0);
  const command = (name: string, what: 'calls' | 'usec') =>
    Number(new RegExp(`^cmdstat_${name}:.*?${what}=(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return {
    processorUs: 1e6 * (numberOf('used_cpu_user') + numberOf('used_cpu_sys')),
    scriptsUs: command('evalsha', 'usec') + command('eval', 'usec'),
    bytesIn: numberOf('total_net_input_bytes'),
    bytesOut: numberOf('total_net_output_bytes'),
    commands: numberOf('total_commands_processed'),
    jobs: command('incr', 'calls'),
  };
}

export function subtract(after: RedisAccount, before: RedisAccount): RedisAccount {
  const names = Object.keys(after) as (keyof RedisAccount)[];
  return Object.fromEntries(
    names.map((name) => [name, after[name] - before[name]]),
  ) as unknown as RedisAccount;
}
