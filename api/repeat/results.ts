// Results: replies kept in Redis for repeats. The API makes room for them and reads them. Workers write
// them (worker/queue/results.ts).
//
// The first request with a key *claims* it. The claim stores the request's fingerprint, and takes a place for each
// of its items (shared/redis/kept-results.ts), which counts until the latest time at which its result can expire. When the
// result is kept earlier, the place counts until that expires. So the number of places limits the results, and the bytes in
// them limit what results may take. A caller has a share of both.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import { keepResults, placeKeys } from '../../shared/redis/kept-results.js';
import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import { packReplies, type Reply, unpackReplies } from '../../shared/wire/reply.js';
import { shareOf } from '../access/caller.js';
import { orUnavailable } from '../queue/queue.js';
import type { Identity } from './identity.js';
import type { ReadLarge } from './large-results.js';

/** The kept replies to a request with a key. */
export interface KeptReplies {
  /** In the order of the request's items; undefined for an item without a reply. */
  readonly replies: readonly (Reply | undefined)[];
  /** Whether this request has just claimed the key. */
  readonly isNew: boolean;
}

export type Results = ReturnType<typeof makeResults>;

/** The most results that are kept, and their most bytes. */
export interface ResultLimits {
  readonly resultsMax: number;
  readonly bytesMax: number;
}

export function makeResults(options: {
  redis: Redis;
  keys: Keys;
  keepMs: number;
  limits: ResultLimits;
  /** Those of one caller. */
  callerLimits: ResultLimits;
  readLarge: ReadLarge;
}) {
  const { redis, keys, keepMs, limits, callerLimits, readLarge } = options;

  const runScript = async (identity: Identity, mode: 'claim' | 'look', resultsAt: number) => {
    const now = nowMs();
    const goneAt = Math.ceil(Math.max(resultsAt, now + keepMs));
    const share = shareOf(identity.caller);
    const names = [
      keys.fingerprint(identity.scope),
      ...placeKeys(keys, undefined),
      // Without a share, the places of the service once more.
      ...placeKeys(keys, share),
      ...identity.ids.map((id) => keys.result(id)),
    ];
    const own = share === undefined ? limits : callerLimits;
    const values = [
      ...[mode, identity.fingerprint, Math.floor(now), goneAt],
      ...[limits, own].flatMap(({ resultsMax, bytesMax }) => [resultsMax, bytesMax]),
    ];
    const command = ['EVAL', script, names.length, ...names, ...values, ...identity.ids] as const;
    const answer = await orUnavailable(redis.callBuffer(...command));
    const [outcome, ...details] = answer as [Buffer, ...unknown[]];
    return [String(outcome) as Outcome, ...details] as const;
  };

  const readKept = async (
    identity: Identity,
    mode: 'claim' | 'look',
    resultsAt: number,
  ): Promise<KeptReplies> => {
    const [outcome, detail, ...more] = await runScript(identity, mode, resultsAt);
    // There may be room once all that has expired is removed.
    if (outcome === 'clean') return readKept(identity, mode, resultsAt);
    if (outcome === 'reused') throw keyReused();
    if (outcome === 'full') {
      const [isOfCaller, isOfBytes, nextMs] = [detail, ...more].map((value) =>
        Number(String(value)),
      );
      throw full(isOfCaller ? callerLimits : limits, {
        isOfCaller: isOfCaller === 1,
        isOfBytes: isOfBytes === 1,
        nextMs: nextMs ?? 0,
      });
    }
    const kept = detail as (Buffer | null)[];
    const isLarge = Number(more[0]) === 1;
    const whole = isLarge ? await orUnavailable(readWhole(identity, kept)) : kept;
    return { replies: whole.map(readKeptReply), isNew: outcome === 'new' };
  };

  /** Reads the results of which the script only tells that they are there. */
  const readWhole = async ({ ids }: Identity, kept: readonly unknown[]) => {
    const read = (await readLarge(ids.filter((_, at) => kept[at] !== null))).values();
    return kept.map((each) => (each === null ? null : (read.next().value ?? null)));
  };

  return {
    /** How long results are kept. */
    keepMs,
    /**
     * Claims a key for a request, unless all its results are there. Takes one round trip.
     * @param deadlineAt milliseconds since the epoch
     * @param ms how long its results are kept; as long as those of all repeats if undefined
     * @throws ScorelineError `idempotency_key_reused`, `overloaded`, `queue_unavailable`
     */
    claim: (identity: Identity, deadlineAt: number, ms = keepMs) =>
      readKept(identity, 'claim', deadlineAt + ms),
    /**
     * Reads the replies without claiming the key.
     * @throws ScorelineError `idempotency_key_reused`, `queue_unavailable`
     */
    look: (identity: Identity) => readKept(identity, 'look', 0),
    /**
     * Has these replies, which are kept already, kept for at least so long from now on.
     * @throws ScorelineError `queue_unavailable`
     */
    async lengthen(
      { caller, ids }: Identity,
      replies: KeptReplies['replies'],
      ms: number,
    ): Promise<void> {
      const kept = replies.flatMap((reply, at) => {
        const [id, keepFor] = [ids[at] as string, shareOf(caller)];
        return reply ? [{ id, keepFor, keepMs: ms, bytes: packReplies([reply]) }] : [];
      });
      if (kept.length === 0) return;
      await orUnavailable(keepResults({ redis, keys }, kept, { now: nowMs() }));
    },
    /** Undoes the claim of a request that was refused. */
    release({ caller, scope, ids }: Identity): void {
      const [places] = placeKeys(keys, shareOf(caller));
      // Not awaited, because a claim that stays behind expires by itself.
      redis
        .pipeline()
        .unlink(keys.fingerprint(scope))
        .zrem(keys.results, ...ids)
        .zrem(places, ...ids)
        .exec()
        .catch(() => {});
    },
  };
}

/**
 * Returns undefined for no bytes. A reply that this build cannot read counts as missing, too, so its item is scored again.
 */
export function readKeptReply(bytes: Buffer | null): Reply | undefined {
  if (!bytes?.length) return undefined;
  try {
    return unpackReplies(bytes)[0];
  } catch {
    return undefined;
  }
}

/** From how many bytes on the results of a request are read by themselves. */
const largeBytesMin = 1_000_000;

type Outcome = 'reused' | 'clean' | 'full' | 'seen' | 'new' | 'again';

// One script, because checking and claiming must be atomic, and take one round trip. It removes at most
// 1024 expired places of the service and of the caller a call, more than it adds: removing 100,000 took 63 ms
// (measured), and would block every other client.
// KEYS: the fingerprint, the places of the service and their bytes, those of the caller, the result of each item.
// ARGV: claim or look, the fingerprint, now, when the results expire, the most results and bytes of the service,
// those of the caller, the item ids.
// It returns the results themselves, or, if they are large, whether they are there.
const script = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[2] then return {'reused'} end

local replies, bytes, missing = {}, 0, 0
for at = 6, #KEYS do
  local length = redis.call('STRLEN', KEYS[at])
  replies[at - 5] = length > 0 and length
  bytes = bytes + length
  if length == 0 then missing = missing + 1 end
end
local isLarge = bytes > ${largeBytesMin} and 1 or 0
if isLarge == 0 then replies = redis.call('MGET', unpack(KEYS, 6)) end
if missing == 0 or ARGV[1] == 'look' then return {'seen', replies, isLarge} end

local now, after = ARGV[3], '(' .. ARGV[3]
local function bytesOf(key) return tonumber(redis.call('GET', key) or 0) end
local function clean(places, bytes)
  local gone = redis.call('ZRANGEBYSCORE', places, '-inf', now, 'LIMIT', 0, 1024)
  if #gone == 0 then return false end
  redis.call('ZREM', places, unpack(gone))
  local freed = 0
  for _, place in ipairs(gone) do freed = freed + (tonumber(string.match(place, ':(%d+)$')) or 0) end
  local left = bytesOf(bytes) - freed
  if left > 0 then redis.call('SET', bytes, string.format('%.0f', left), 'KEEPTTL')
  else redis.call('DEL', bytes) end
  return #gone == 1024
end

local last = KEYS[2] == KEYS[4] and 0 or 1
for caller = 0, last do
  local places, bytes = KEYS[2 + 2 * caller], KEYS[3 + 2 * caller]
  local placesMax, bytesMax = tonumber(ARGV[5 + 2 * caller]), tonumber(ARGV[6 + 2 * caller])
  local isMore = clean(places, bytes)
  local isOver = redis.call('ZCOUNT', places, after, '+inf') + #replies > placesMax
  local isHeavy = bytesOf(bytes) >= bytesMax
  if not held and (isOver or isHeavy) then
    if isMore and not isOver then return {'clean'} end
    local soonest = redis.call('ZRANGEBYSCORE', places, after, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    local ms = (tonumber(soonest[2]) or 0) - tonumber(now)
    return {'full', caller, isOver and 0 or 1, string.format('%.0f', ms)}
  end
end

local ms = ARGV[4] - now
redis.call('SET', KEYS[1], ARGV[2], 'PX', math.max(ms, redis.call('PTTL', KEYS[1])))
for caller = 0, last do
  local places, bytes = KEYS[2 + 2 * caller], KEYS[3 + 2 * caller]
  for at = 1, #replies do
    if not replies[at] then redis.call('ZADD', places, 'GT', ARGV[4], ARGV[8 + at]) end
  end
  redis.call('PEXPIRE', places, math.max(ms, redis.call('PTTL', places)))
  redis.call('PEXPIRE', bytes, redis.call('PTTL', places))
end
return {held and 'again' or 'new', replies, isLarge}
`;

/** The refusal of a key that stands for another request. */
export function keyReused(): ScorelineError {
  return new ScorelineError(
    'idempotency_key_reused',
    'Expected the request that first used this Idempotency-Key: the same input, the same "top", outputs, id and address, and the same Webhook-Url; got another one. Use a new key for each new request.',
  );
}

function full(
  { resultsMax, bytesMax }: ResultLimits,
  { isOfCaller, isOfBytes, nextMs }: { isOfCaller: boolean; isOfBytes: boolean; nextMs: number },
): ScorelineError {
  const what = `kept results${isOfCaller ? ' of one caller' : ''}`;
  const expected = isOfBytes ? `${bytesMax} bytes of ${what}` : `${resultsMax} ${what}`;
  return new ScorelineError(
    'overloaded',
    `Expected at most ${expected}; there is no room for more. Ask again after the time in Retry-After, or without an Idempotency-Key and for an answer at once.`,
    {
      retryAfterSeconds: Math.ceil(nextMs / 1000),
      reason: isOfCaller ? 'caller_results_full' : 'results_full',
    },
  );
}
