// Keeping results in Redis, and the room that they take.
//
// The results of the whole service, and those of each caller, have a set of places: one for each item whose result
// is or will be kept, by the time until which it counts. A place begins with the claim of a request, as the id of the
// item (api/repeat/results.ts). When its result is kept, the place is filled: it is the id with the bytes of the
// result, and from then on it counts exactly as long as the result is kept. Beside each set is the sum of its bytes.
//
// Workers keep results by the scripts below, and so does the API when it cancels a job. The first result of an item
// stays.
//
// A job expires at its deadline unless a worker holds it then. A worker that has hung may have lost its job to another
// one, which has dropped it. A result that it still sends is not kept, since callers may have been told that the job has
// expired. The same holds for a worker that was cut off until long after the deadline, while no other one took its job.

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

/** How long after its deadline a job that is still in the queue counts as queued: clocks differ. */
export const lateMsMax = 1000;
/** How long after its deadline a job whose worker has lost it, such as by being killed, counts as held. */
export const lostMsMax = 10_000;

/** Where a job is in its queue. */
export interface JobPlace {
  readonly id: string;
  /** The key of the job. */
  readonly job: string;
  /** The key of the list of the jobs that workers hold. */
  readonly active: string;
}

/** A result of an item of a caller's job. */
export interface JobResult extends Keepable {
  readonly place: JobPlace;
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number;
}

/** The keys of a set of places and of the sum of its bytes: those of a caller, or of the service. */
export function placeKeys(keys: Keys, caller: string | undefined): [places: string, bytes: string] {
  return caller === undefined
    ? [keys.results, keys.resultsBytes]
    : [keys.resultsOf(caller), keys.resultsBytesOf(caller)];
}

/**
 * Keeps each result unless its item has one already. That one is then kept for at least as long.
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

/**
 * Keeps each result of a job's item, as `keepResults`, unless the job has expired.
 * @param now milliseconds since the epoch
 */
export async function keepJobResults(
  { redis, keys }: { redis: Redis; keys: Keys },
  results: readonly JobResult[],
  now: number,
): Promise<(Buffer | null)[]> {
  const names = [
    ...placeKeys(keys, undefined),
    ...results.flatMap(({ id, keepFor, place }) => [
      ...[keys.result(id), ...placeKeys(keys, keepFor), place.job, place.active],
    ]),
  ];
  const values = results.flatMap(({ id, bytes, keepMs, place, deadlineAt }) => [
    ...[id, bytes, keepMs, place.id, Math.floor(deadlineAt)],
  ]);
  const answer = await redis.callBuffer(
    ...(['EVAL', keepJobScript, names.length, ...names, Math.ceil(now), ...values] as const),
  );
  return answer as (Buffer | null)[];
}

// The results of an item, the places of its caller and their bytes are the keys after the one `at`.
const keepFunctions = `
local function fill(places, bytes, id, size, goneAt)
  if not redis.call('ZSCORE', places, id) then return end
  -- In this order, because an empty set would be gone, with its time to live.
  redis.call('ZADD', places, goneAt, id .. ':' .. size)
  redis.call('ZREM', places, id)
  local sum = tonumber(redis.call('GET', bytes) or 0) + size
  redis.call('SET', bytes, string.format('%.0f', sum), 'PX', math.max(1, redis.call('PTTL', places)))
end

local function move(places, bytes, place, goneAt, ms)
  if not redis.call('ZSCORE', places, place) then return end
  redis.call('ZADD', places, goneAt, place)
  redis.call('PEXPIRE', places, math.max(tonumber(ms), redis.call('PTTL', places)))
  redis.call('PEXPIRE', bytes, redis.call('PTTL', places))
end

local function keep(at, id, reply, ms)
  local result, places, bytes = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  local goneAt = string.format('%.0f', ARGV[1] + ms)
  if redis.call('SET', result, reply, 'PX', ms, 'NX') then
    fill(KEYS[1], KEYS[2], id, #reply, goneAt)
    fill(places, bytes, id, #reply, goneAt)
    return false
  end
  local earlier = redis.call('GET', result)
  if redis.call('PTTL', result) < tonumber(ms) then
    redis.call('PEXPIRE', result, ms)
    move(KEYS[1], KEYS[2], id .. ':' .. #earlier, goneAt, ms)
    move(places, bytes, id .. ':' .. #earlier, goneAt, ms)
  end
  return earlier
end
local kept = {}`;

// KEYS: the places of the service and their bytes; for each item its result, and the places of its caller and their
// bytes; perhaps a key without which nothing is kept.
// ARGV: now; for each item its id, its result, how long it is kept.
const keepScript = `${keepFunctions}
local count = (#ARGV - 1) / 3
if #KEYS > 2 + 3 * count and redis.call('EXISTS', KEYS[#KEYS]) == 0 then return false end
for at = 0, count - 1 do
  kept[at + 1] = keep(2 + 3 * at, ARGV[2 + 3 * at], ARGV[3 + 3 * at], ARGV[4 + 3 * at])
end
return kept`;

// Redis tells the time, because a command that was sent in time may run only when Redis is back.
// KEYS: as above; for each item its job and the jobs that workers hold, too.
// ARGV: as above; for each item the id of its job in the queue and its deadline, too.
const keepJobScript = `${keepFunctions}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function hasExpired(at)
  local deadlineAt = tonumber(ARGV[at + 4])
  if now < deadlineAt then return false end
  if not redis.call('LPOS', KEYS[at + 5], ARGV[at + 3]) then return true end
  local takenAt = tonumber(redis.call('HGET', KEYS[at + 4], 'processedOn')) or 0
  if takenAt > deadlineAt + ${lateMsMax} then return true end
  return now > deadlineAt + ${lostMsMax} and redis.call('EXISTS', KEYS[at + 4] .. ':lock') == 0
end

for at = 0, (#ARGV - 1) / 5 - 1 do
  local first = 2 + 5 * at
  kept[at + 1] = not hasExpired(first) and keep(first, ARGV[first], ARGV[first + 1], ARGV[first + 2])
end
return kept`;
