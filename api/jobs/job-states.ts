// The states of jobs, as Redis has them at one moment. Any API instance can tell them, and they survive
// every process.
//
// - *queued*: its job is in the queue.
// - *running*: a worker holds its job, or held it when it was killed, and it is not long after the deadline.
// - *succeeded*, *failed*, *cancelled*: each of its items has a result. The first one kept is the result of an
//   item, whoever keeps it, and cancelling keeps an error. So of a cancellation and a run that end at the same
//   time, exactly one counts.
// - *expired*: neither. Its deadline passed before a worker took it, or its results are no longer kept.
//
// A worker keeps results before its job leaves the queue, so between the two a job never looks expired. No worker
// keeps a result of a job that has expired (shared/redis/kept-results.ts). A state of the last four stays.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import { keepResults, lateMsMax, lostMsMax } from '../../shared/redis/kept-results.js';
import type { Keys } from '../../shared/redis/keys.js';
import { type Redis, repliesOf } from '../../shared/redis/redis.js';
import {
  headBytes,
  packReplies,
  type Reply,
  type ScoredReply,
  surelyHasOutputs,
} from '../../shared/wire/reply.js';
import { shareOf } from '../access/caller.js';
import { orUnavailable, type Queue } from '../queue/queue.js';
import { errorOfReply } from '../queue/waiters.js';
import type { ReadLarge } from '../repeat/large-results.js';
import { readKeptReply } from '../repeat/results.js';
import type { JobRecord } from './job-record.js';

/** No result that is an error has as many bytes. One with more is read by itself. */
const errorBytesMax = 8192;

/** The state of a job that lacks a result. */
export type ResultlessState = 'queued' | 'running' | 'expired';

export type JobState =
  | { readonly state: ResultlessState }
  | { readonly state: 'succeeded'; readonly replies: readonly ScoredReply[] }
  | { readonly state: 'failed' | 'cancelled'; readonly error: ScorelineError };

export const stateNames = [
  'queued',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'expired',
] as const satisfies readonly JobState['state'][];

export type JobStates = ReturnType<typeof makeJobStates>;

export function makeJobStates(options: {
  redis: Redis;
  keys: Keys;
  queue: Pick<Queue, 'keysOf' | 'uncount'>;
  readLarge: ReadLarge;
}) {
  const { redis, keys, queue, readLarge } = options;

  /**
   * Reads where in the queue each job is, and then the results of its items, up to their byte `last`. A worker keeps
   * results before its job leaves the queue, so in this order no transaction is needed, which a full Redis refuses.
   */
  const readAll = async (records: readonly JobRecord[], last: number): Promise<Found[]> => {
    const commands = redis.pipeline();
    for (const { items, queue: name, priority, queued } of records) {
      const { job, active } = queue.keysOf(name, queued, priority);
      commands.hmget(job, 'timestamp', 'processedOn');
      commands.lpos(active, queued);
      commands.exists(lockOf(job));
      for (const id of items) commands.getrangeBuffer(keys.result(id), 0, last);
    }
    const values = await repliesOf(commands);
    return records.map(({ items }) => {
      const found = values.splice(0, 3) as [(string | null)[], number | null, 0 | 1];
      const [[addedAt = null, takenAt = null], active, locks] = found;
      const kept = values.splice(0, items.length) as Buffer[];
      return { kept, place: [addedAt, takenAt, active, locks] };
    });
  };

  /** Reads the results that were only read in part. One that has expired since then is empty. */
  const readWhole = async ({ items }: JobRecord, { kept }: Found): Promise<readonly Buffer[]> => {
    const places = [...kept.keys()].filter((at) => kept[at]?.length === errorBytesMax);
    const read = await readLarge(places.map((at) => items[at] as string));
    const whole = new Map(places.map((place, at) => [place, read[at] ?? Buffer.alloc(0)]));
    return kept.map((bytes, at) => whole.get(at) ?? bytes);
  };

  return {
    /** @throws ScorelineError `queue_unavailable` */
    async read(record: JobRecord): Promise<JobState> {
      const [found] = (await orUnavailable(readAll([record], errorBytesMax - 1))) as [Found];
      const kept = await orUnavailable(readWhole(record, found));
      const replies = kept.map(readKeptReply).filter((reply) => reply !== undefined);
      if (replies.length < kept.length) return { state: stateWithout(record, found.place) };
      return failureOf(replies) ?? { state: 'succeeded', replies: replies as ScoredReply[] };
    },
    /**
     * Tells the states of jobs that are pending or have expired, in one command; undefined for a job that has all
     * its results, of which `read` tells more.
     * @throws ScorelineError `queue_unavailable`
     */
    async look(records: readonly JobRecord[]): Promise<(ResultlessState | undefined)[]> {
      const names: string[] = [];
      const values: (string | number)[] = [];
      for (const { items, queue: name, priority, queued } of records) {
        const { job, active } = queue.keysOf(name, queued, priority);
        names.push(...items.map((id) => keys.result(id)), job, active, lockOf(job));
        values.push(items.length, queued);
      }
      const answer = redis.eval(lookScript, names.length, ...names, ...values);
      const found = (await orUnavailable(answer)) as (PlaceInQueue | null)[];
      return records.map((record, at) => {
        const place = found[at];
        return place ? stateWithout(record, place) : undefined;
      });
    },
    /**
     * Tells only the names of the states, for which it need not read whole results.
     * @throws ScorelineError `queue_unavailable`
     */
    async list(records: readonly JobRecord[]): Promise<JobState['state'][]> {
      if (records.length === 0) return [];
      const heads = await orUnavailable(readAll(records, headBytes - 1));
      const isUnsure = heads.map(({ kept }) =>
        kept.some((bytes) => bytes.length > 0 && !surelyHasOutputs(bytes)),
      );
      const unsure = records.filter((_, at) => isUnsure[at]);
      const read = unsure.length > 0 ? readAll(unsure, errorBytesMax - 1) : Promise.resolve([]);
      const errors = (await orUnavailable(read)).values();
      return records.map((record, at) => {
        const found = (isUnsure[at] ? errors.next().value : heads[at]) as Found;
        if (found.kept.some(({ length }) => length === 0)) return stateWithout(record, found.place);
        const replies = found.kept
          .filter((bytes) => bytes.length < errorBytesMax && !surelyHasOutputs(bytes))
          .map(readKeptReply);
        if (replies.includes(undefined)) return stateWithout(record, found.place);
        return failureOf(replies as Reply[])?.state ?? 'succeeded';
      });
    },
    /**
     * Cancels a job unless it has ended.
     * @throws ScorelineError `queue_unavailable`
     */
    async cancel(record: JobRecord): Promise<void> {
      const { caller, items, queue: name, priority, queued, keepMs } = record;
      const results = items.map((id) => {
        const bytes = packReplies([{ id, error: cancelled }]);
        return { id, bytes, keepMs, keepFor: shareOf(caller) };
      });
      const onlyWith = queue.keysOf(name, queued, priority).job;
      const earlier = await orUnavailable(
        keepResults({ redis, keys }, results, { now: nowMs(), onlyWith }),
      );
      if (!earlier?.includes(null)) return;
      queue.uncount(name, items);
      redis.unlink(keys.payload(queued)).catch(() => {});
    },
  };
}

export function isPending({ state }: Pick<JobState, 'state'>): boolean {
  return state === 'queued' || state === 'running';
}

const cancelled = { code: 'job_cancelled', detail: 'The caller cancelled this job.' } as const;

/** What Redis has of a job. */
interface Found {
  /** The results of its items; empty without one. */
  readonly kept: readonly Buffer[];
  readonly place: PlaceInQueue;
}

/** Where in the queue a job is. All are null if it is not there. */
type PlaceInQueue = readonly [
  addedAt: string | null,
  /** When a worker last took it. */
  takenAt: string | null,
  /** Its place among the jobs that workers hold. */
  active: number | null,
  /** A worker that lives renews the lock of its job. */
  locks: 0 | 1,
];

/** Returns the key of the lock of a job, by the key of the job. */
function lockOf(job: string): string {
  return `${job}:lock`;
}

/** The state of a job that lacks a result. */
function stateWithout(
  { deadlineAt }: JobRecord,
  [addedAt, takenAt, active, locks]: PlaceInQueue,
): ResultlessState {
  const lateAt = deadlineAt + lateMsMax;
  // A worker takes a late job only to drop it.
  // One that was killed leaves it where it is. There may be no other worker to take it.
  const isLost = locks === 0 && nowMs() > deadlineAt + lostMsMax;
  if (active !== null) return isLost || Number(takenAt) > lateAt ? 'expired' : 'running';
  return addedAt !== null && nowMs() < lateAt ? 'queued' : 'expired';
}

/** Returns undefined if none of the results is an error. */
function failureOf(replies: readonly Reply[]) {
  const errors = replies.flatMap((reply) => ('error' in reply ? [reply] : []));
  const [first] = errors;
  if (!first) return undefined;
  const cancellation = errors.find(({ error }) => error.code === cancelled.code);
  if (cancellation) return { state: 'cancelled', error: errorOfReply(cancellation) } as const;
  return { state: 'failed', error: errorOfReply(first) } as const;
}

// KEYS: for each job, the result of each item, the job in its queue, the jobs that workers hold, the lock of the job.
// ARGV: for each job, how many items it has, and its id in the queue.
// A null in Lua is false, which ends no list.
const lookScript = `
local places = {}
local key = 0
for at = 1, #ARGV, 2 do
  local items = tonumber(ARGV[at])
  if redis.call('EXISTS', unpack(KEYS, key + 1, key + items)) == items then
    places[#places + 1] = false
  else
    local times = redis.call('HMGET', KEYS[key + items + 1], 'timestamp', 'processedOn')
    times[3] = redis.call('LPOS', KEYS[key + items + 2], ARGV[at + 1])
    times[4] = redis.call('EXISTS', KEYS[key + items + 3])
    places[#places + 1] = times
  end
  key = key + items + 3
end
return places`;
