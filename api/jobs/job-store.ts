// The records of jobs in Redis, and for each caller the list of its jobs.
//
// A record outlives the results of its job, so for a while the job can be told to have expired. How many records a
// caller has is bounded.

import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Keys } from '../../shared/redis/keys.js';
import { type Redis, scoredMembersOf } from '../../shared/redis/redis.js';
import { orUnavailable } from '../queue/queue.js';
import { addWebhookScript, type PendingWebhooks } from '../webhooks/pending-webhooks.js';
import { type JobRecord, readRecord } from './job-record.js';

/** How long a record outlives the last time at which a result of its job can expire. */
const spareMs = 600_000;

/** Where a page of a caller's jobs begins: after this job, in the order of the list. */
export interface Cursor {
  /** Milliseconds since the epoch. */
  readonly submittedAt: number;
  readonly id: string;
}

export type JobStore = ReturnType<typeof makeJobStore>;

export function makeJobStore(options: {
  redis: Redis;
  keys: Keys;
  /** The most jobs of one caller. */
  jobsMax: number;
  webhooks: Pick<PendingWebhooks, 'partsOf'>;
}) {
  const { redis, keys, jobsMax, webhooks } = options;

  /**
   * Returns a job of whichever caller.
   * @throws ScorelineError `queue_unavailable`
   */
  const read = async (id: string) => readRecord(await orUnavailable(redis.get(keys.job(id))));

  const readCursors = async (caller: string, count: number, after?: Cursor) => {
    // Two jobs may have been submitted at the same time, so the range begins at the last one's time.
    const from = after?.submittedAt ?? '+inf';
    const range = [from, '-inf', 'WITHSCORES', 'LIMIT', 0, count + 1] as const;
    const found = await redis.zrevrangebyscore(keys.jobs(caller), ...range);
    const cursors = scoredMembersOf(found).map(
      ([id, submittedAt]): Cursor => ({ id, submittedAt }),
    );
    // Redis has ids of the same time in descending order here.
    const isAfter = ({ id, submittedAt }: Cursor) =>
      !after || submittedAt < after.submittedAt || id < after.id;
    return { cursors: cursors.filter(isAfter).slice(0, count), isEnd: cursors.length <= count };
  };

  return {
    /**
     * Adds a job, and its webhook if it has one, unless there is a job with this id already.
     * @param replaced the job with this id that has expired, if there is one
     * @returns the job that is there now
     * @throws ScorelineError `queue_unavailable`
     */
    async add(record: JobRecord, replaced?: JobRecord): Promise<JobRecord> {
      const { id, caller, submittedAt } = record;
      const now = Math.floor(nowMs());
      const goneAt = forgottenAt(record);
      const pending = webhooks.partsOf(record);
      const names = [keys.job(id), keys.jobs(caller), keys.jobsEnd(caller), ...pending.names];
      const values = [JSON.stringify(record), id, submittedAt, now, goneAt];
      const run = async (replacing: string) =>
        (await orUnavailable(
          redis.eval(addScript, names.length, ...names, ...values, replacing, ...pending.values),
        )) as string | null;
      const found = await run(replaced?.queued ?? '');
      if (found === null) return record;
      const job = readRecord(found);
      // One that this build cannot read counts as missing.
      if (!job) await run(anyRecord);
      return job ?? record;
    },
    /**
     * Takes one of the places that the caller of a job has for jobs, until its deadline. Adding the job keeps the place
     * until the job is forgotten.
     * @throws ScorelineError `overloaded`, `queue_unavailable`
     */
    async takePlace(record: JobRecord): Promise<void> {
      const { id, caller, deadlineAt } = record;
      const now = Math.floor(nowMs());
      const values = [id, now, Math.ceil(deadlineAt), jobsMax];
      const nextAt = await orUnavailable(
        redis.eval(takePlaceScript, 1, keys.jobsEnd(caller), ...values),
      );
      if (nextAt !== null) throw full(jobsMax, Number(nextAt) - now);
    },
    /** Gives the place of a job back that was not added. If Redis is away, it stays taken until the deadline of the job. */
    giveBackPlace({ id, caller }: JobRecord): void {
      redis.eval(giveBackScript, 2, keys.jobsEnd(caller), keys.job(id), id).catch(() => {});
    },
    read,
    /**
     * Returns undefined if the caller has no such job.
     * @throws ScorelineError `queue_unavailable`
     */
    async find(caller: string, id: string): Promise<JobRecord | undefined> {
      const record = await read(id);
      return record?.caller === caller ? record : undefined;
    },
    /**
     * Lists a caller's jobs, the last one first.
     * @returns `next` is the last job that was looked at; undefined at the end of the list
     * @throws ScorelineError `queue_unavailable`
     */
    async list(caller: string, count: number, after?: Cursor) {
      const { cursors, isEnd } = await orUnavailable(readCursors(caller, count, after));
      const names = cursors.map(({ id }) => keys.job(id));
      const texts = names.length === 0 ? [] : await orUnavailable(redis.mget(names));
      // Some may be forgotten already.
      const records = texts.map(readRecord).filter((record) => record?.caller === caller);
      return { records: records as JobRecord[], next: isEnd ? undefined : cursors.at(-1) };
    },
  };
}

/** Milliseconds since the epoch. */
function forgottenAt({ deadlineAt, keepMs }: JobRecord): number {
  return Math.ceil(deadlineAt + keepMs + spareMs);
}

function full(jobsMax: number, nextMs: number): ScorelineError {
  return new ScorelineError(
    'overloaded',
    `Expected at most ${jobsMax} jobs of one caller, with those that have ended until they are forgotten; there are as many. Ask again after the time in Retry-After, or for an answer at once.`,
    { retryAfterSeconds: Math.ceil(nextMs / 1000), reason: 'caller_jobs_full' },
  );
}

// KEYS: the caller's jobs by their end. ARGV: the id of a job, now, its deadline, the most jobs.
// Returns when the first place is free if there is none. Another instance may have added the job.
const takePlaceScript = `
local goneAt = redis.call('ZSCORE', KEYS[1], ARGV[1])
local hasPlace = goneAt and tonumber(goneAt) >= tonumber(ARGV[2])
if not hasPlace and redis.call('ZCOUNT', KEYS[1], ARGV[2], '+inf') >= tonumber(ARGV[4]) then
  return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
end
redis.call('ZADD', KEYS[1], 'GT', ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.max(ARGV[3] - ARGV[2], redis.call('PTTL', KEYS[1])))
return nil
`;

// KEYS: the caller's jobs by their end, the record of the job. ARGV: its id. Another instance may have added the job.
const giveBackScript = `
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
return nil
`;

/** Has the script replace whatever is there. */
const anyRecord = 'any';

// KEYS: the record, the caller's jobs by submission, the same by their end, and those of its webhook if it has one.
// ARGV: the record, the id, when it was submitted, now, when it is forgotten, where in the queue the job was that it
// replaces, and those of its webhook. A job whose results are gone is replaced anyway. It removes at most 1024 forgotten
// jobs a call, more than it adds.
const addScript = `
local found = redis.call('GET', KEYS[1])
if found and ARGV[6] ~= '${anyRecord}' then
  local job = cjson.decode(found)
  local goneAt = (tonumber(job.deadlineAt) or 0) + (tonumber(job.keepMs) or 0)
  if job.queued ~= ARGV[6] and goneAt > tonumber(ARGV[4]) then return found end
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[4], 'LIMIT', 0, 1024)
if #gone > 0 then
  redis.call('ZREM', KEYS[2], unpack(gone))
  redis.call('ZREM', KEYS[3], unpack(gone))
end
local ms = ARGV[5] - ARGV[4]
redis.call('SET', KEYS[1], ARGV[1], 'PX', ms)
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[2])
for at = 2, 3 do redis.call('PEXPIRE', KEYS[at], math.max(ms, redis.call('PTTL', KEYS[at]))) end
if #KEYS > 3 then
  local job, webhook, jobs, turns, count, dead = ARGV[2], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
  local fields, ms, at = cjson.decode(ARGV[7]), ARGV[8], ARGV[9]
  ${addWebhookScript}
end`;
