// The jobs of callers: finding, waiting, following, listing, cancelling. Someone else's job does not exist.

import { ScorelineError } from '../../shared/errors.js';
import { jobQueueOf } from '../../shared/wire/priority.js';
import type { JobRecord } from './job-record.js';
import { isPending, type JobState, type JobStates } from './job-states.js';
import type { Cursor, JobStore } from './job-store.js';
import type { Follower, JobWatch } from './job-watch.js';
import type { Standing, WaitingLines } from './waiting-lines.js';

/** The most jobs that one request for a list looks at, so a filter costs no more than that. */
const lookedAtMax = 1000;
const readAtOnce = 100;

export interface Job {
  readonly record: JobRecord;
  readonly state: JobState;
}

export interface JobFilter {
  readonly model?: string | undefined;
  readonly state?: JobState['state'] | undefined;
}

/** A job with the name of its state. */
export interface ListedJob {
  readonly record: JobRecord;
  readonly state: JobState['state'];
}

export interface JobPage {
  readonly jobs: readonly ListedJob[];
  /** Where the next page begins; undefined if there is none. */
  readonly next: Cursor | undefined;
}

/** Says whether nobody waits any more. */
type HasLeft = () => boolean;

/**
 * Says whether the model of a job is here. Results are written with its labels, so without it they end. It is awaited
 * while other instances may know it already.
 */
export type WhereModel = (record: JobRecord) => 'here' | 'awaited' | 'gone';

interface Parts {
  readonly store: JobStore;
  readonly states: JobStates;
  readonly watch: Pick<JobWatch, 'follow'>;
  readonly lines: Pick<WaitingLines, 'of'>;
  readonly onCancelled?: (record: JobRecord) => void;
}

export class Jobs {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @throws ScorelineError `job_not_found`, `queue_unavailable` */
  async find(caller: string, id: string): Promise<JobRecord> {
    const record = await this.#parts.store.find(caller, id);
    if (record) return record;
    throw new ScorelineError(
      'job_not_found',
      'Expected the id of a job of this caller, as in the Location of the answer that made it; there is none. Jobs are forgotten some time after their results.',
    );
  }

  /**
   * Reads the state of a job, and waits while it is pending. Redis may be away meanwhile.
   * @throws ScorelineError `queue_unavailable`
   */
  async read(record: JobRecord, waitMs = 0, hasLeft: HasLeft = () => false): Promise<JobState> {
    const ended = waitMs > 0 ? await this.#waitForEnd(record, waitMs, hasLeft) : undefined;
    return ended ?? this.#parts.states.read(record);
  }

  /** Follows a job until it has ended. Returns a function that stops it before that. */
  follow(record: JobRecord, follower: Follower): () => void {
    return this.#parts.watch.follow(record, follower);
  }

  /** Returns the place of a queued job in the line of its model and priority; undefined if it is not known. */
  standingOf({ queue, priority, queued }: JobRecord): Promise<Standing | undefined> {
    return this.#parts.lines.of(jobQueueOf(queue, priority), queued);
  }

  /** Returns how a job has ended; undefined if the time is over before, or nobody waits any more. */
  #waitForEnd(record: JobRecord, waitMs: number, hasLeft: HasLeft): Promise<JobState | undefined> {
    return new Promise((resolve) => {
      const settle = (state?: JobState) => {
        clearTimeout(timer);
        stopFollowing();
        resolve(state);
      };
      const stopFollowing = this.#parts.watch.follow(record, {
        onState: (state) => {
          if (!isPending(state)) settle(state);
          else if (hasLeft()) settle();
        },
        // The watch looks again.
        onFault: () => {
          if (hasLeft()) settle();
        },
      });
      const timer = setTimeout(settle, waitMs);
    });
  }

  /**
   * Lists a caller's jobs, the last one first. With a filter, a page may be short although more follow.
   * @throws ScorelineError `queue_unavailable`
   */
  async list(
    caller: string,
    { count, after, filter }: { count: number; after?: Cursor | undefined; filter: JobFilter },
    whereModel: WhereModel,
  ): Promise<JobPage> {
    const jobs: ListedJob[] = [];
    let last = after;
    for (let lookedAt = 0; lookedAt < lookedAtMax; lookedAt += readAtOnce) {
      const { records, next } = await this.#parts.store.list(caller, readAtOnce, last);
      const states = await this.#parts.states.list(records);
      for (const [at, record] of records.entries()) {
        const job = {
          record,
          state: shownState(record, states[at] as JobState['state'], whereModel),
        };
        if (!isWanted(job, filter)) continue;
        if (jobs.length === count) return { jobs, next: cursorOf(jobs.at(-1)) };
        jobs.push(job);
      }
      if (!next) return { jobs, next };
      last = next;
    }
    return { jobs, next: last };
  }

  /**
   * Cancels a job that has not ended. A job that is cancelled already stays so.
   * @throws ScorelineError `job_finished`, `queue_unavailable`
   */
  async cancel(record: JobRecord, whereModel: WhereModel): Promise<JobState> {
    const before = await this.read(record);
    if (isPending(before)) {
      await this.#parts.states.cancel(record);
      this.#parts.onCancelled?.(record);
    }
    const state = await this.read(record);
    if (state.state === 'cancelled') return state;
    const ended =
      whereModel(record) === 'awaited' ? state.state : shownState(record, state.state, whereModel);
    throw new ScorelineError(
      'job_finished',
      `Expected a job that is queued or running; this one has ${ended}. GET its address for the result.`,
    );
  }
}

/**
 * A job whose result cannot be written any more has expired, wherever its state is told. One whose result cannot be
 * written yet is still running for whoever asks this instance.
 */
export function shownState(
  record: JobRecord,
  state: JobState['state'],
  whereModel: WhereModel,
): JobState['state'] {
  if (state !== 'succeeded') return state;
  const where = whereModel(record);
  return where === 'here' ? state : where === 'awaited' ? 'running' : 'expired';
}

function cursorOf(job: ListedJob | undefined): Cursor | undefined {
  return job && { submittedAt: job.record.submittedAt, id: job.record.id };
}

function isWanted({ record, state }: ListedJob, filter: JobFilter): boolean {
  return (
    (filter.model === undefined || filter.model === record.model) &&
    (filter.state === undefined || filter.state === state)
  );
}
