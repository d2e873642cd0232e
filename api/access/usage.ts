// What callers use of their limits, over all API instances: for each caller a hash in Redis with its
// token bucket, and with each instance's requests in flight.
//
// An instance says how many it has, not how many more: a message that is lost or comes twice changes
// nothing that the next one does not put right. What an instance said last counts for ten seconds, so the
// requests of one that died are forgotten. Redis keeps the time, so the instances' clocks do not matter.

import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import type { CallerLimits } from './caller.js';

/** An instance that has requests of a limited number in flight says so at least this often. */
export const sayEveryMs = 3000;
/** For so long counts what an instance said last. */
export const forgottenAfterMs = 10_000;

interface Wish {
  readonly limits: CallerLimits;
  /** Requests that wait for permission. */
  readonly wanted: number;
  /** Requests that were let in without permission. */
  readonly spent: number;
  /** Requests in flight at this instance. */
  readonly inFlight: number;
}

export interface Grant {
  /** How many of the wanted requests may go on. */
  readonly granted: number;
  /** Which limit stopped the others. */
  readonly limitedBy: 'rate' | 'concurrency' | undefined;
  /** What is left in the caller's token bucket, with fractions. Below 0 if too many were let in. */
  readonly tokens: number;
  /** How long until the next request may come, by the rate. */
  readonly waitMs: number;
  /** Requests in flight at other instances. */
  readonly elsewhere: number;
  /** Instances that this caller has requests at, with this one. */
  readonly instances: number;
}

/** Takes what is wanted from the caller's limits, as far as there is enough. One round trip. */
export type TakeUsage = (caller: string, wish: Wish) => Promise<Grant>;

export function makeTakeUsage(options: { redis: Redis; keys: Keys; instance: string }): TakeUsage {
  const { redis, keys, instance } = options;
  return async (caller, { limits, wanted, spent, inFlight }) => {
    const { perSecond = 0, concurrent = 0 } = limits;
    const burst = burstOf(limits);
    const values = [wanted, spent, inFlight, perSecond, burst, concurrent, forgottenAfterMs];
    const answer = await redis.eval(script, 1, keys.usage(caller), instance, ...values);
    const [granted = 0, by, tokens = 0, waitMs = 0, elsewhere = 0, instances = 1] = (
      answer as unknown[]
    ).map(Number);
    const limitedBy = by === 0 ? undefined : by === 1 ? 'rate' : 'concurrency';
    return { granted, limitedBy, tokens, waitMs, elsewhere, instances };
  };
}

/** The size of the caller's token bucket. */
export function burstOf({ perSecond = 0, burst }: CallerLimits): number {
  return burst ?? Math.max(1, Math.floor(perSecond));
}

// Fields of the hash: `tokens` and `at` are the bucket and when it was looked at; `in:<instance>` is the
// instance's number of requests in flight and when it said so.
// ARGV: the instance, wanted, spent, in flight here, per second (0: no limit), burst, concurrent (0: no limit),
// after how many ms an instance is forgotten.
const script = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, wanted, spent, here = 'in:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local rate, burst, concurrent = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local forgottenAfter = tonumber(ARGV[8])

local tokens, at, elsewhere, instances = burst, now, 0, 1
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  if name == 'tokens' then tokens = tonumber(value)
  elseif name == 'at' then at = tonumber(value)
  elseif name ~= me then
    local count, said = string.match(value, '^(%d+) (%d+)$')
    -- The clock of a Redis that takes over may be behind.
    if not said or math.abs(now - said) > forgottenAfter then redis.call('HDEL', KEYS[1], name)
    else elsewhere, instances = elsewhere + tonumber(count), instances + 1 end
  end
end

local granted, limitedBy, waitMs = wanted, 0, 0
if concurrent > 0 and granted > concurrent - elsewhere - here then
  granted, limitedBy = math.max(0, concurrent - elsewhere - here), 2
end
if rate > 0 then
  tokens = math.min(burst, tokens + math.max(0, now - at) * rate / 1000) - spent
  if granted > math.floor(tokens) then granted, limitedBy = math.max(0, math.floor(tokens)), 1 end
  tokens = tokens - granted
  waitMs = math.max(0, math.ceil((1 - tokens) * 1000 / rate))
end

redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now, me, (here + granted) .. ' ' .. now)
redis.call('PEXPIRE', KEYS[1], math.max(2 * forgottenAfter, rate > 0 and math.ceil((burst - tokens) * 1000 / rate) or 0))
return {granted, limitedBy, tostring(tokens), waitMs, elsewhere, instances}
`;
