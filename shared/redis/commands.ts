// The commands that API and workers run in Redis, their own and those of BullMQ and its scripts, and
// the check that the user of REDIS_URL may run them. test/failures/redis-users.test.ts compares the
// list with what really runs.

import type { Redis } from 'ioredis';

/** One call of each command, with enough arguments for Redis to look at its rights. */
const calls = [
  'info server',
  'time',
  'eval return 0',
  'evalsha 0000000000000000000000000000000000000000 0',
  'bzpopmin KEY 1',
  'decrby KEY 1',
  'del KEY',
  'exists KEY',
  'get KEY',
  'getrange KEY 0 1',
  'hdel KEY field',
  'hexists KEY field',
  'hget KEY field',
  'hgetall KEY',
  'hincrby KEY field 1',
  'hlen KEY',
  'hmget KEY field',
  'hmset KEY field value',
  'hset KEY field value',
  'hstrlen KEY field',
  'incr KEY',
  'incrby KEY 1',
  'lindex KEY 0',
  'llen KEY',
  'lpos KEY element',
  'lpush KEY element',
  'lrange KEY 0 0',
  'lrem KEY 0 element',
  'ltrim KEY 0 0',
  'mget KEY',
  'persist KEY',
  'pexpire KEY 1',
  'pttl KEY',
  'rpoplpush KEY OTHER',
  'rpush KEY element',
  'sadd KEY member',
  'scard KEY',
  'set KEY value',
  'smembers KEY',
  'srem KEY member',
  'strlen KEY',
  'unlink KEY',
  'xadd KEY * field value',
  'xread STREAMS KEY 0',
  'xtrim KEY MAXLEN 1',
  'zadd KEY 0 member',
  'zcard KEY',
  'zcount KEY 0 0',
  'zmscore KEY member',
  'zpopmin KEY',
  'zrange KEY 0 0',
  'zrangebyscore KEY 0 0',
  'zrem KEY member',
  'zremrangebyrank KEY 0 0',
  'zremrangebyscore KEY 0 0',
  'zrevrange KEY 0 0',
  'zrevrangebyscore KEY 0 0',
  'zscore KEY member',
].map((line) => line.split(' '));

/** The names of all the commands, as ACL rules want them. */
export const neededCommands: readonly string[] = [
  'multi',
  'exec',
  ...calls.map(([name]) => name as string),
];

/** Returns the rules of Redis for a user that may do what we need, and nothing else. */
export function aclRules(prefix: string): string[] {
  const names = [...neededCommands, 'client|setname'];
  return [`~${prefix}:*`, ...names.map((name) => `+${name}`)];
}

/** What we need and a user may not do, or a Redis does not know. */
export interface Missing {
  readonly commands: readonly string[];
  readonly unknown: readonly string[];
  /** Redis' own words for why our keys cannot be used; undefined if they can. */
  readonly keys: string | undefined;
}

/**
 * Finds out what the connection's user may not do, and what Redis does not know, and changes nothing: Redis looks at the rights of
 * a command when it is queued in a transaction. The transaction stays open, so the caller has to
 * close the connection, which must not come back on its own.
 * @throws Error of ioredis when Redis cannot tell at the moment
 */
export async function findMissing(redis: Redis, prefix: string): Promise<Missing> {
  const commands: string[] = [];
  const unknown: string[] = [];
  let keys: string | undefined;
  const attempt = async (name: string, ...parameters: string[]) => {
    try {
      await redis.call(name, ...parameters);
    } catch (thrown) {
      const { message } = thrown as Error;
      if (isAboutKeys(message)) keys = message;
      else if (/NOPERM/.test(message)) commands.push(name);
      else if (/unknown command/i.test(message)) unknown.push(name);
      else if (isMomentary(thrown as Error)) throw thrown;
    }
  };

  await attempt('multi');
  if (commands.length + unknown.length > 0) return { commands, unknown, keys };
  await attempt('exec');
  await attempt('multi');
  const words = new Map([
    ['KEY', `${prefix}:probe`],
    ['OTHER', `${prefix}:other`],
  ]);
  await Promise.all(
    calls.map(([name = '', ...rest]) =>
      attempt(name, ...rest.map((word) => words.get(word) ?? word)),
    ),
  );
  return { commands, unknown, keys };
}

function isAboutKeys(message: string): boolean {
  return /^(MOVED|CROSSSLOT)|NOPERM.*\bkeys?\b/.test(message);
}

/** Whether Redis cannot tell now. Any other error is about the command and not about rights. */
function isMomentary({ name, message }: Error): boolean {
  return name !== 'ReplyError' || /^(LOADING|BUSY|CLUSTERDOWN|MASTERDOWN|TRYAGAIN)/.test(message);
}
