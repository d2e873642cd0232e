// Results: replies kept in Redis for repeats. The API makes room for them and reads them. Workers write
// them (worker/queue/results.ts).
//
// The first request with a key *claims* it. The claim stores the request's fingerprint, and adds its
// items to the set of results, each with its latest time of expiry. Both last as long as a result can
// still come and be kept. So the size of the set limits everything that keys cost.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Keys } from '../../shared/keys.js';
import type { Redis } from '../../shared/redis.js';
import { type Reply, unpackReplies } from '../../shared/reply.js';
import { queueUnavailable } from '../queue/queue.js';
import type { Identity } from './identity.js';

/** The kept replies to a request with a key. */
export interface KeptReplies {
  /** In the order of the request's items; undefined for an item without a reply. */
  readonly replies: readonly (Reply | undefined)[];
  /** Whether this request has just claimed the key. */
  readonly isNew: boolean;
}

export interface Results {
  /** How long results are kept. */
  readonly keepMs: number;
  /**
   * Claims a key for a request, unless all its results are there. Takes one round trip.
   * @param deadlineAt milliseconds since the epoch
   * @param keepMs how long its results are kept; as long as those of all repeats if undefined
   * @throws ScorelineError `idempotency_key_reused`, `overloaded`, `queue_unavailable`
   */
  claim(identity: Identity, deadlineAt: number, keepMs?: number): Promise<KeptReplies>;
  /**
   * Reads the replies without claiming the key.
   * @throws ScorelineError `idempotency_key_reused`, `queue_unavailable`
   */
  look(identity: Identity): Promise<KeptReplies>;
  /** Undoes the claim of a request that was refused. */
  release(identity: Identity): void;
}

export function makeResults(options: {
  redis: Redis;
  keys: Keys;
  keepMs: number;
  resultsMax: number;
}): Results {
  const { redis, keys, keepMs, resultsMax } = options;

  const runScript = async (identity: Identity, mode: 'claim' | 'look', resultsAt: number) => {
    const now = nowMs();
    const goneAt = Math.ceil(Math.max(resultsAt, now + keepMs));
    const names = [
      keys.fingerprint(identity.scope),
      keys.results,
      ...identity.ids.map((id) => keys.result(id)),
    ];
    const values = [mode, identity.fingerprint, Math.floor(now), goneAt, resultsMax];
    try {
      const answer = await redis.callBuffer(
        'EVAL',
        script,
        names.length,
        ...names,
        ...values,
        ...identity.ids,
      );
      const [outcome, detail] = answer as [Buffer, unknown];
      return [String(outcome) as Outcome, detail] as const;
    } catch (cause) {
      throw queueUnavailable(cause);
    }
  };

  const readKept = async (identity: Identity, mode: 'claim' | 'look', resultsAt: number) => {
    const [outcome, detail] = await runScript(identity, mode, resultsAt);
    if (outcome === 'reused') throw reused();
    if (outcome === 'full') throw full(resultsMax, Number(String(detail)));
    const kept = detail as (Buffer | null)[];
    const replies = kept.map(readKeptReply);
    return { replies, isNew: outcome === 'new' };
  };

  return {
    keepMs,
    claim: (identity, deadlineAt, ms = keepMs) => readKept(identity, 'claim', deadlineAt + ms),
    look: (identity) => readKept(identity, 'look', 0),
    release({ scope, ids }) {
      // Not awaited, because a claim that stays behind expires by itself.
      redis
        .multi()
        .unlink(keys.fingerprint(scope))
        .zrem(keys.results, ...ids)
        .exec()
        .catch(() => {});
    },
  };
}

/** A reply that this build cannot read counts as missing, so its item is scored again. */
export function readKeptReply(bytes: Buffer | null): Reply | undefined {
  if (bytes === null) return undefined;
  try {
    return unpackReplies(bytes)[0];
  } catch {
    return undefined;
  }
}

type Outcome = 'reused' | 'full' | 'seen' | 'new' | 'again';

// One script, because checking and claiming must be atomic, and take one round trip. It removes at most
// 1024 expired entries a call, more than it adds: removing 100,000 took 63 ms (measured), and would block
// every other client.
// KEYS: the fingerprint, the sorted set of results, the result of each item.
// ARGV: claim or look, the fingerprint, now, when the results expire, the most results, the item ids.
const script = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[2] then return {'reused', ''} end

local replies = redis.call('MGET', unpack(KEYS, 3))
local missing = 0
for _, reply in ipairs(replies) do if not reply then missing = missing + 1 end end
if missing == 0 or ARGV[1] == 'look' then return {'seen', replies} end

local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3], 'LIMIT', 0, 1024)
if #gone > 0 then redis.call('ZREM', KEYS[2], unpack(gone)) end
local after = '(' .. ARGV[3]
if not held and redis.call('ZCOUNT', KEYS[2], after, '+inf') + #replies > tonumber(ARGV[5]) then
  local soonest = redis.call('ZRANGEBYSCORE', KEYS[2], after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return {'full', tostring((tonumber(soonest[2]) or 0) - tonumber(ARGV[3]))}
end

local ms = ARGV[4] - ARGV[3]
redis.call('SET', KEYS[1], ARGV[2], 'PX', math.max(ms, redis.call('PTTL', KEYS[1])))
for at = 6, #ARGV do redis.call('ZADD', KEYS[2], 'GT', ARGV[4], ARGV[at]) end
redis.call('PEXPIRE', KEYS[2], math.max(ms, redis.call('PTTL', KEYS[2])))
return {held and 'again' or 'new', replies}
`;

function reused(): ScorelineError {
  return new ScorelineError(
    'idempotency_key_reused',
    'Expected the request that first used this Idempotency-Key: the same input and the same "top"; got another one. Use a new key for each new request.',
  );
}

function full(resultsMax: number, nextMs: number): ScorelineError {
  return new ScorelineError(
    'overloaded',
    `Expected at most ${resultsMax} kept results; there is no room for more. Ask again after the time in Retry-After, or without an Idempotency-Key and for an answer at once.`,
    { retryAfterSeconds: Math.ceil(nextMs / 1000), reason: 'results_full' },
  );
}
