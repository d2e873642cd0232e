// Keeping results in Redis, and the room that they take.
//
// The results of the whole service, and those of each caller, have a set of places: one for each item whose result
// is or will be kept, by the time until which it counts. A place begins with the claim of a request, as the id of the
// item (api/repeat/results.ts). When its result is kept, the place is filled: it is the id with the bytes of the
// result, and from then on it counts exactly as long as the result is kept. Beside each set is the sum of its bytes.
//
// Whoever keeps a result, keeps it by the script below: workers, and the API when it cancels a job. The first result
// of an item is the one that stays.

import type { Keys } from './keys.js';
import type { Redis } from './redis.js';

/** A result that may be kept. */
export interface Keepable {
  /** The id of its item. */
  readonly id: string;
  /** The caller whose place it fills; undefined if callers have no places of their own. */
  readonly keepFor?: string | undefined;
  readonly keepMs: number;
  /** A packed reply. */
  readonly bytes: Buffer;
}

/** The keys of a set of places and of the sum of its bytes: those of a caller, or of the service. */
export function placeKeys(keys: Keys, caller: string | undefined): [places: string, bytes: string] {
  return caller === undefined
    ? [keys.results, keys.resultsBytes]
    : [keys.resultsOf(caller), keys.resultsBytesOf(caller)];
}

/**
 * Keeps each result unless its item has one already.
 * @param now milliseconds since the epoch
 * @param onlyWith a key without which nothing is kept
 * @returns for each, the result that the item had; null if it had none. Undefined if there is no `onlyWith`
 * @throws Error of ioredis
 */
export async function keepResults(
  { redis, keys }: { redis: Redis; keys: Keys },
  results: readonly Keepable[],
  { now, onlyWith = '' }: { now: number; onlyWith?: string },
): Promise<(Buffer | null)[] | undefined> {
  const names = [
    ...placeKeys(keys, undefined),
    ...results.flatMap(({ id, keepFor }) => [keys.result(id), ...placeKeys(keys, keepFor)]),
    ...(onlyWith === '' ? [] : [onlyWith]),
  ];
  const values = results.flatMap(({ id, bytes, keepMs }) => [id, bytes, keepMs]);
  const answer = await redis.callBuffer(
    ...(['EVAL', keepScript, names.length, ...names, Math.ceil(now), ...values] as const),
  );
  return (answer as (Buffer | null)[] | null) ?? undefined;
}

// KEYS: the places of the service and their bytes; for each item its result, and the places of its caller and their
// bytes; perhaps a key without which nothing is kept.
// ARGV: now; for each item its id, its result, how long it is kept.
const keepScript = `
local count = (#ARGV - 1) / 3
if #KEYS > 2 + 3 * count and redis.call('EXISTS', KEYS[#KEYS]) == 0 then return false end

local function fill(places, bytes, id, size, goneAt)
  if not redis.call('ZSCORE', places, id) then return end
  -- In this order, because an empty set would be gone, with its time to live.
  redis.call('ZADD', places, goneAt, id .. ':' .. size)
  redis.call('ZREM', places, id)
  local sum = tonumber(redis.call('GET', bytes) or 0) + size
  redis.call('SET', bytes, string.format('%.0f', sum), 'PX', math.max(1, redis.call('PTTL', places)))
end

local kept = {}
for at = 0, count - 1 do
  local result, id, reply, ms = KEYS[3 + 3 * at], ARGV[2 + 3 * at], ARGV[3 + 3 * at], ARGV[4 + 3 * at]
  if redis.call('SET', result, reply, 'PX', ms, 'NX') then
    kept[at + 1] = false
    local goneAt = string.format('%.0f', ARGV[1] + ms)
    fill(KEYS[1], KEYS[2], id, #reply, goneAt)
    fill(KEYS[4 + 3 * at], KEYS[5 + 3 * at], id, #reply, goneAt)
  else
    kept[at + 1] = redis.call('GET', result)
  end
end
return kept`;
