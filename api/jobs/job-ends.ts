// Notices at once when a job of this instance has ended: the replies of its items come here, and so do
// cancellations. Nobody may rely on it: an instance that dies notices nothing. It tells whoever sends webhooks, and
// admission, for which an item counts until then.

import type { JobRecord } from './job-record.js';

/**
 * How often jobs are forgotten whose replies have not come by their deadlines. A worker that drops a late item sends none.
 */
const tidyEveryMs = 60_000;

type OnEnd = (record: JobRecord) => void;

/** Says that an item is no longer expected, and whether a worker has answered it. */
type Release = (isScored: boolean) => void;

interface Expected {
  readonly deadlineAt: number;
  /** Undefined if nobody is told of the end of its job. */
  readonly record: JobRecord | undefined;
  readonly release: Release;
}

export class JobEnds {
  /** By the id of an item. */
  readonly #expected = new Map<string, Expected>();
  #tidiedAt = 0;
  #onEnd: OnEnd = () => {};

  /** Calls `onEnd` when a job may have ended. Its other items may not be done yet. */
  listen(onEnd: OnEnd): void {
    this.#onEnd = onEnd;
  }

  /**
   * Waits for the replies to these items of a job. Call it before the job is queued.
   * @param hold is called for each of them
   */
  expect(record: JobRecord, items: readonly string[], now: number, hold: () => Release): void {
    const { deadlineAt, webhook } = record;
    const told = webhook === undefined ? undefined : record;
    for (const item of items) {
      this.#drop(item, false);
      this.#expected.set(item, { deadlineAt, record: told, release: hold() });
    }
    if (now - this.#tidiedAt < tidyEveryMs) return;
    this.#tidiedAt = now;
    for (const [item, expected] of this.#expected) {
      if (expected.deadlineAt + tidyEveryMs < now) this.#drop(item, false);
    }
  }

  /** Call it when the job can be found: replies may have come before. */
  begin(record: JobRecord): void {
    if (record.items.some((item) => !this.#expected.has(item))) this.#onEnd(record);
  }

  /** Notes that no replies to these items will come. */
  forget(items: readonly string[]): void {
    for (const item of items) this.#drop(item, false);
  }

  /**
   * Notes the reply to an item.
   * @param isScored whether it has a result
   */
  answer(item: string, isScored: boolean): void {
    const record = this.#drop(item, isScored);
    if (record) this.#onEnd(record);
  }

  /** Notes that a job, of whichever instance, has ended. */
  end(record: JobRecord): void {
    this.forget(record.items);
    this.#onEnd(record);
  }

  #drop(item: string, isScored: boolean): JobRecord | undefined {
    const expected = this.#expected.get(item);
    this.#expected.delete(item);
    expected?.release(isScored);
    return expected?.record;
  }

  get size(): number {
    return this.#expected.size;
  }
}
