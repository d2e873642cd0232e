// The events of a job: its states as they change, in an order that any API instance can take up.
//
// The id of an event names the run of the job and the state, as in `7f9c24e8-queued`. States come in three steps:
// queued, running, ended. A client that has seen a step is told later ones only. So nothing needs to be kept of
// what a client has been told. A job whose worker dies is queued again, which is an earlier step.
//
// A job that has expired may be done again under the same id, with an `Idempotency-Key`. That is another run, and
// ids of the one before name events that are gone.

import { ScorelineError } from '../../shared/errors.js';
import { shown } from '../../shared/shown.js';
import type { JobRecord } from './job-record.js';
import { isPending, type JobState, stateNames } from './job-states.js';
import type { Jobs } from './jobs.js';
import type { Standing } from './waiting-lines.js';

export const eventIdForm = /^([0-9a-f]{8})-([a-z]+)$/;

type StateName = JobState['state'];

/** What is sent to a client that follows a job. */
export interface JobAudience {
  /** The job has reached a state. The last call is for one that stays. */
  onState(state: JobState, id: string, standing: Standing | undefined): void;
  /** The job, which is still queued, has another place. */
  onStanding(standing: Standing): void;
  /** What the audience itself has thrown. It is told nothing more. */
  onFault(error: unknown): void;
}

/** Returns the id of the event that tells a state. */
export function eventIdOf(record: JobRecord, state: StateName): string {
  return `${runOf(record)}-${state}`;
}

/**
 * Reads the id of the last event that a client has seen.
 * @returns the state that it told
 * @throws ScorelineError `event_id_invalid`, `event_gone`
 */
export function readEventId(text: string, record: JobRecord): StateName {
  const [, run, name] = eventIdForm.exec(text) ?? [];
  const state = stateNames.find((each) => each === name);
  if (run === undefined || state === undefined) {
    throw new ScorelineError(
      'event_id_invalid',
      `Expected Last-Event-ID to be the id of an event of this job, as in ${eventIdOf(record, 'queued')}; got ${shown(text)}. Send the id of the last event, or none.`,
    );
  }
  if (run === runOf(record)) return state;
  throw new ScorelineError(
    'event_gone',
    `Expected Last-Event-ID to be the id of an event of this job, which begin with ${runOf(record)}; got ${text}, which is of another job, or of an earlier run whose events are not kept. Ask again without Last-Event-ID.`,
  );
}

/** Whether nothing comes after a state. */
export function isLast(state: StateName): boolean {
  return stepOf(state) === stepOf('succeeded');
}

/**
 * Tells the states of a job from now on, or those after a state that was seen.
 * @returns a function that stops it
 */
export function followEvents(
  jobs: Pick<Jobs, 'follow' | 'standingOf'>,
  { record, seen }: { record: JobRecord; seen: StateName | undefined },
  audience: JobAudience,
): () => void {
  const teller = new Teller(jobs, { record, seen }, audience);
  return jobs.follow(record, {
    onState: (state) => teller.hear(state),
    // While Redis is away, nothing is known. The watch looks again.
    onFault: () => {},
  });
}

class Teller {
  readonly #jobs: Pick<Jobs, 'standingOf'>;
  readonly #record: JobRecord;
  readonly #audience: JobAudience;
  /** The last step that was told. */
  #step: number;
  #position: number | undefined;
  /** The last state that was heard while another was told. */
  #next: JobState | undefined;
  /** Stays so after a fault. */
  #isTelling = false;

  constructor(
    jobs: Pick<Jobs, 'standingOf'>,
    { record, seen }: { record: JobRecord; seen: StateName | undefined },
    audience: JobAudience,
  ) {
    this.#jobs = jobs;
    this.#record = record;
    this.#audience = audience;
    this.#step = seen === undefined ? 0 : stepOf(seen);
  }

  hear(state: JobState): void {
    this.#next = state;
    if (!this.#isTelling) this.#tellAll().catch((error) => this.#audience.onFault(error));
  }

  async #tellAll(): Promise<void> {
    this.#isTelling = true;
    for (let state = this.#next; state; state = this.#next) {
      this.#next = undefined;
      await this.#tell(state);
    }
    this.#isTelling = false;
  }

  async #tell(state: JobState): Promise<void> {
    const step = stepOf(state.state);
    if (step < this.#step) return;
    const standing =
      state.state === 'queued' ? await this.#jobs.standingOf(this.#record) : undefined;
    const hasMoved = standing !== undefined && standing.position !== this.#position;
    if (hasMoved) this.#position = standing.position;
    if (step > this.#step) {
      this.#step = step;
      this.#audience.onState(state, eventIdOf(this.#record, state.state), standing);
    } else if (hasMoved) this.#audience.onStanding(standing);
  }
}

function stepOf(state: StateName): number {
  if (!isPending({ state })) return 3;
  return state === 'queued' ? 1 : 2;
}

/** Names the run of a job. */
function runOf({ queued }: JobRecord): string {
  return queued.slice(0, 8);
}
