// The states of jobs, as Redis has them at one moment. Any API instance can tell them, and they survive
// every process.
//
// - *queued*: its job is in the queue.
// - *running*: a worker holds its job.
// - *succeeded*, *failed*, *cancelled*: each of its items has a result. The first one kept is the result of an
//   item, whoever keeps it, and cancelling keeps an error. So of a cancellation and a run that end at the same
//   time, exactly one counts.
// - *expired*: neither. Its deadline passed before a worker took it, or its results are no longer kept.
//
// A worker keeps results before its job leaves the queue, so between the two a job never looks expired. A state of
// the last four stays.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { Keys } from '../../shared/keys.js';
import type { Redis } from '../../shared/redis.js';
import { packReplies, type Reply } from '../../shared/reply.js';
import { orUnavailable, type Queue } from '../queue/queue.js';
import { errorOfReply, type ScoredReply } from '../queue/waiters.js';
import { readKeptReply } from '../repeat/results.js';
import type { JobRecord } from './job-record.js';

/** How long after its deadline a job that is still in the queue counts as queued: clocks differ. */
const lateMsMax = 1000;

export type JobState =
  | { readonly state: 'queued' | 'running' | 'expired' }
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

export interface JobStates {
  /** @throws ScorelineError `queue_unavailable` */
  read(records: readonly JobRecord[]): Promise<readonly JobState[]>;
  /**
   * Cancels a job unless it has ended.
   * @throws ScorelineError `queue_unavailable`
   */
  cancel(record: JobRecord): Promise<void>;
}

export function makeJobStates(options: {
  redis: Redis;
  keys: Keys;
  queue: Pick<Queue, 'keysOf' | 'uncount'>;
}): JobStates {
  const { redis, keys, queue } = options;

  /** Reads all at once: the results of the items, and where in the queue the job is. */
  const readAll = async (records: readonly JobRecord[]) => {
    const commands = redis.multi();
    for (const { items, queue: name, queued } of records) {
      const { job, active } = queue.keysOf(name, queued);
      commands.mgetBuffer(...items.map((id) => keys.result(id)));
      commands.hmget(job, 'timestamp', 'processedOn');
      commands.lpos(active, queued);
    }
    const outcomes = (await commands.exec()) ?? [];
    return outcomes.map(([error, value]) => {
      if (error) throw error;
      return value;
    });
  };

  return {
    async read(records) {
      if (records.length === 0) return [];
      const values = await orUnavailable(readAll(records));
      return records.map(({ deadlineAt }, index) => {
        const [kept, times, place] = values.slice(3 * index, 3 * index + 3);
        const replies = (kept as (Buffer | null)[]).map(readKeptReply);
        const whole = replies.filter((reply) => reply !== undefined);
        if (whole.length === replies.length) return endOf(whole);
        const [addedAt, takenAt] = times as (string | null)[];
        const lateAt = deadlineAt + lateMsMax;
        // A worker takes a late job only to drop it.
        if (place !== null) return { state: Number(takenAt) > lateAt ? 'expired' : 'running' };
        return { state: addedAt !== null && nowMs() < lateAt ? 'queued' : 'expired' };
      });
    },
    async cancel({ items, queue: name, queued, keepMs }) {
      const packed = items.map((id) => packReplies([{ id, error: cancelled }]));
      const names = [queue.keysOf(name, queued).job, ...items.map((id) => keys.result(id))];
      const hasCancelled = await orUnavailable(
        redis.eval(cancelScript, names.length, ...names, keepMs, ...packed),
      );
      if (hasCancelled !== 1) return;
      queue.uncount(name, items);
      redis.unlink(keys.payload(queued)).catch(() => {});
    },
  };
}

export function isPending({ state }: JobState): boolean {
  return state === 'queued' || state === 'running';
}

const cancelled = { code: 'job_cancelled', detail: 'The caller cancelled this job.' } as const;

function endOf(replies: readonly Reply[]): JobState {
  const errors = replies.flatMap((reply) => ('error' in reply ? [reply] : []));
  const [first] = errors;
  if (!first) return { state: 'succeeded', replies: replies as readonly ScoredReply[] };
  const cancellation = errors.find(({ error }) => error.code === cancelled.code);
  if (cancellation) return { state: 'cancelled', error: errorOfReply(cancellation) };
  return { state: 'failed', error: errorOfReply(first) };
}

// KEYS: the job in its queue, the result of each item.
// ARGV: how long results are kept, the result of each item.
const cancelScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local hasCancelled = 0
for at = 2, #KEYS do
  if redis.call('SET', KEYS[at], ARGV[at], 'PX', ARGV[1], 'NX') then hasCancelled = 1 end
end
return hasCancelled`;
