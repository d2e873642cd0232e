// The deferral of a call: its client takes the answer later, as a job, if it does not come at once.
//
// The deadline of a deferred call is that of its job, and may be hours away. The call itself still ends at
// the deadline of its model: by then its body is read and its job is queued, or it fails.

import type { JobForm, JobRecord } from '../jobs/job-record.js';
import type { JobState } from '../jobs/job-states.js';

export interface DeferralOptions {
  /** How long the client waits for the answer before it takes a job, in milliseconds; 0 for not at all. */
  readonly waitMs: number;
  /** When the job is no longer wanted, in milliseconds since the epoch. */
  readonly jobDeadlineAt: number;
  /** What the answer says was applied of the request's preferences. */
  readonly applied: string;
  /** The address that is told when the job has ended. */
  readonly webhook?: string | undefined;
}

export class Deferral {
  readonly waitMs: number;
  readonly applied: string;
  readonly webhook: string | undefined;
  #form: JobForm | undefined;
  #jobDeadlineAt: number;

  constructor({ waitMs, jobDeadlineAt, applied, webhook }: DeferralOptions) {
    this.waitMs = waitMs;
    this.applied = applied;
    this.webhook = webhook;
    this.#jobDeadlineAt = jobDeadlineAt;
  }

  /** When the job is no longer wanted, in milliseconds since the epoch. */
  get jobDeadlineAt(): number {
    return this.#jobDeadlineAt;
  }

  /** How the answer is written. Each route says it before it has the call scored. */
  get form(): JobForm {
    if (this.#form) return this.#form;
    throw new Error('A route says how its answer is written. This is a bug.');
  }

  writeAs(form: JobForm): void {
    this.#form = form;
  }

  /** Moves the deadline to an earlier time. A later time changes nothing. */
  limitJobDeadline(deadlineAt: number): void {
    this.#jobDeadlineAt = Math.min(this.#jobDeadlineAt, deadlineAt);
  }
}

/** Ends the way of a deferred call whose answer is not there yet: its client is told about the job instead. */
export class Deferred extends Error {
  readonly job: JobRecord;
  readonly state: JobState['state'];

  constructor(job: JobRecord, state: JobState['state']) {
    super(`The answer is that of the job ${job.id}.`);
    this.name = 'Deferred';
    this.job = job;
    this.state = state;
  }
}
