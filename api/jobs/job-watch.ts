// The watch over pending jobs, for all who wait for them in this process.
//
// A job is looked at as soon as somebody follows it, and soon again, since many end within milliseconds; then
// ever less often, up to every 0.25 s. Jobs that are due at about the same time are looked at by one command.
// So Redis gets few commands a second, however many clients wait.
//
// A job is watched while it is pending and somebody follows it. While Redis is away, it is looked at again.

import type { JobRecord } from './job-record.js';
import { isPending, type JobState, type JobStates } from './job-states.js';

/** How long to wait before a job is looked at again, at first and later. */
const pauseMsMin = 5;
const pauseMsMax = 250;
/** The most jobs of one look, which blocks Redis for everyone. */
const lookedAtMax = 256;

export interface Follower {
  /** Is called after each look, also when the state is the same. The state of a job that has ended is the last one. */
  onState(state: JobState): void;
  /** Is called when a look fails. The watch goes on. */
  onFault(error: unknown): void;
}

interface Watched {
  readonly record: JobRecord;
  readonly followers: Set<Follower>;
  pauseMs: number;
  /** When to look at it again, by the clock of `performance`. */
  dueAt: number;
}

export class JobWatch {
  readonly #states: Pick<JobStates, 'look' | 'read'>;
  /** By the id of the job in its queue; the one first that was looked at longest ago. */
  readonly #watched = new Map<string, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(states: Pick<JobStates, 'look' | 'read'>) {
    this.#states = states;
  }

  /** How many jobs are watched. */
  get size(): number {
    return this.#watched.size;
  }

  /** Follows a job until it has ended. Returns a function that stops it before that. */
  follow(record: JobRecord, follower: Follower): () => void {
    const watched = this.#watched.get(record.queued) ?? this.#begin(record);
    watched.followers.add(follower);
    watched.dueAt = performance.now();
    this.#lookWhenDue();
    return () => {
      watched.followers.delete(follower);
      if (watched.followers.size === 0) this.#end(watched);
    };
  }

  #begin(record: JobRecord): Watched {
    const watched = { record, followers: new Set<Follower>(), pauseMs: pauseMsMin, dueAt: 0 };
    this.#watched.set(record.queued, watched);
    return watched;
  }

  #end(watched: Watched): void {
    const { queued } = watched.record;
    if (this.#watched.get(queued) === watched) this.#watched.delete(queued);
  }

  #lookWhenDue(): void {
    clearTimeout(this.#timer);
    if (this.#isLooking || this.#watched.size === 0) return;
    let dueAt = Number.POSITIVE_INFINITY;
    for (const watched of this.#watched.values()) dueAt = Math.min(dueAt, watched.dueAt);
    const waitMs = Math.max(0, dueAt - performance.now());
    this.#timer = setTimeout(() => void this.#look(), waitMs);
  }

  async #look(): Promise<void> {
    const due = this.#takeDue();
    this.#isLooking = true;
    try {
      const states = await this.#states.look(due.map(({ record }) => record));
      const telling = due.map(async (watched, at) => {
        const state = states[at];
        if (state) this.#tell(watched, { state });
        else await this.#tellEnd(watched);
      });
      await Promise.all(telling);
    } catch (error) {
      for (const watched of due) fail(watched, error);
    } finally {
      this.#isLooking = false;
      this.#lookWhenDue();
    }
  }

  /** Takes the jobs that are due, and those that soon will be, so they are looked at together from then on. */
  #takeDue(): Watched[] {
    const now = performance.now();
    const due: Watched[] = [];
    for (const watched of this.#watched.values()) {
      if (watched.dueAt - watched.pauseMs / 2 > now) continue;
      watched.dueAt = now + watched.pauseMs;
      watched.pauseMs = Math.min(2 * watched.pauseMs, pauseMsMax);
      if (due.push(watched) === lookedAtMax) break;
    }
    // They go behind the others. So all have their turns, also when looks are too slow for all of them.
    for (const watched of due) {
      this.#watched.delete(watched.record.queued);
      this.#watched.set(watched.record.queued, watched);
    }
    return due;
  }

  /** Reads how a job has ended, and tells its followers. */
  async #tellEnd(watched: Watched): Promise<void> {
    try {
      this.#tell(watched, await this.#states.read(watched.record));
    } catch (error) {
      fail(watched, error);
    }
  }

  #tell(watched: Watched, state: JobState): void {
    if (!isPending(state)) this.#end(watched);
    for (const follower of [...watched.followers]) follower.onState(state);
  }
}

function fail({ followers }: Watched, error: unknown): void {
  for (const follower of [...followers]) follower.onFault(error);
}
