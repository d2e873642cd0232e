// Notices at once when a job of this instance has ended: the replies of its items come here, and so do
// cancellations. Nobody may rely on it: an instance that dies notices nothing.

import type { JobRecord } from './job-record.js';

/** How often jobs are forgotten whose replies have not come by their deadlines. */
const tidyEveryMs = 60_000;

type OnEnd = (record: JobRecord) => void;

export class JobEnds {
  /** By the id of an item. */
  readonly #expected = new Map<string, JobRecord>();
  #tidiedAt = 0;
  #onEnd: OnEnd = () => {};

  /** Calls `onEnd` when a job may have ended. Its other items may not be done yet. */
  listen(onEnd: OnEnd): void {
    this.#onEnd = onEnd;
  }

  /** Waits for the replies to these items of a job. Call it before the job is queued. */
  expect(record: JobRecord, items: readonly string[], now: number): void {
    for (const item of items) this.#expected.set(item, record);
    if (now - this.#tidiedAt < tidyEveryMs) return;
    this.#tidiedAt = now;
    for (const [item, { deadlineAt }] of this.#expected) {
      if (deadlineAt + tidyEveryMs < now) this.#expected.delete(item);
    }
  }

  /** Call it when the job can be found: replies may have come before. */
  begin(record: JobRecord): void {
    if (record.items.some((item) => !this.#expected.has(item))) this.#onEnd(record);
  }

  /** Notes the reply to an item. */
  answer(item: string): void {
    const record = this.#expected.get(item);
    if (!record) return;
    this.#expected.delete(item);
    this.#onEnd(record);
  }

  /** Notes that a job, of whichever instance, has ended. */
  end(record: JobRecord): void {
    for (const item of record.items) this.#expected.delete(item);
    this.#onEnd(record);
  }

  get size(): number {
    return this.#expected.size;
  }
}
