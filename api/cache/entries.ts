// The entries of the response cache in Redis: for each model, a hash of answers, a sorted set of their ages, and
// the sum of their bytes.
//
// A write makes room first: it drops what is too old, and then the oldest entries until there are no more than
// allowed. An entry that is too old but not dropped yet counts as missing. Without writes, the three keys expire as
// a whole. So the cache is bounded in number, bytes and time. It drops the oldest and not the least used entries,
// because then a hit writes nothing.

import { nowMs } from '../../shared/clock.js';
import { coerceError } from '../../shared/errors.js';
import type { Manifest } from '../../shared/manifest/manifest.js';
import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import type { Model } from '../../shared/registry/models.js';
import { packReplies, type ScoredReply, unpackReplies } from '../../shared/wire/reply.js';
import { queueUnavailable } from '../queue/queue.js';

/** One answer may have this share of the bytes of all, so a single one does not drop the others. */
const entryShareMax = 0.01;
/** The time of scoring stands before the packed replies, as a float. */
const headBytes = 8;

export type CacheLimits = NonNullable<Manifest['cache']>;

/** A cached answer: the replies to all inputs of a request. */
export interface CacheEntry {
  readonly replies: readonly ScoredReply[];
  /** When it was scored, in milliseconds since the epoch. */
  readonly scoredAt: number;
}

export interface CacheEntries {
  /**
   * Resolves to undefined if there is no entry, or Redis refuses to tell.
   * @throws ScorelineError `queue_unavailable`
   */
  read(model: Model, limits: CacheLimits, digest: string): Promise<CacheEntry | undefined>;
  /** Keeps an answer that has just been scored, without being waited for. */
  write(model: Model, limits: CacheLimits, digest: string, replies: readonly ScoredReply[]): void;
}

export function makeCacheEntries({ redis, keys }: { redis: Redis; keys: Keys }): CacheEntries {
  return {
    async read({ queue }, { keepMs }, digest) {
      const bytes = await redis.hgetBuffer(keys.cache(queue), digest).catch((thrown) => {
        if (coerceError(thrown).name === 'ReplyError') return null;
        // Redis is away. To add a job would take as long again to fail.
        throw queueUnavailable(thrown);
      });
      const entry = bytes && readEntry(bytes);
      return entry && nowMs() - entry.scoredAt < keepMs ? entry : undefined;
    },
    write({ queue }, { keepMs, entriesMax, bytesMax }, digest, replies) {
      const now = Math.floor(nowMs());
      const head = Buffer.alloc(headBytes);
      head.writeDoubleBE(now);
      const bytes = Buffer.concat([head, packReplies(replies)]);
      if (bytes.length > bytesMax * entryShareMax) return;
      const names = [keys.cache(queue), keys.cacheAges(queue), keys.cacheBytes(queue)];
      redis
        .eval(script, names.length, ...names, digest, bytes, now, keepMs, entriesMax, bytesMax)
        .catch(() => {});
    },
  };
}

/** An entry that this build cannot read counts as missing. */
function readEntry(bytes: Buffer): CacheEntry | undefined {
  try {
    const replies = unpackReplies(bytes.subarray(headBytes));
    if (!replies.every((reply) => 'outputs' in reply)) return undefined;
    return { replies, scoredAt: bytes.readDoubleBE() };
  } catch {
    return undefined;
  }
}

// It drops at most 1000 entries a write, since Redis serves nobody else meanwhile. Each write adds one.
// KEYS: the answers, their ages, their bytes.
// ARGV: the digest, the answer, now, how long answers are kept, the most answers, the most bytes.
const script = `
local before = redis.call('HSTRLEN', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
local bytes = redis.call('INCRBY', KEYS[3], #ARGV[2] - before)
local gone = ARGV[3] - ARGV[4]
for _ = 1, 1000 do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  local isFull = redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[5]) or bytes > tonumber(ARGV[6])
  if not oldest[1] or not (isFull or tonumber(oldest[2]) <= gone) then break end
  bytes = redis.call('DECRBY', KEYS[3], redis.call('HSTRLEN', KEYS[1], oldest[1]))
  redis.call('HDEL', KEYS[1], oldest[1])
  redis.call('ZREM', KEYS[2], oldest[1])
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end`;
