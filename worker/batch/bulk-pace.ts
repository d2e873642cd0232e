// How bulk gives way to interactive items: by the size of its batches, and by a pause after each.
//
// States:
// - *alone*: no interactive batch has run for `aloneAfterMs`. Batches of bulk are full and follow each other.
// - *beside*: one has, so the next interactive item may come at any time, and would wait for the batch of bulk
//   that runs. So such a batch takes about `longerMax` times as long as a batch of one row.
// - *busy*: one has within `busyMs`, so the next is probably on its way. After a batch, bulk also pauses for
//   `pauseFactor` times as long as it ran, up to `pauseMsMax`. What came during the run is often still on its way
//   through API and Redis. These may share their processors with the worker, and with what bulk costs the API.
//
// Where a large batch takes as long as a small one, as on a GPU, batches of bulk stay large.

import type { Priority } from '../../shared/wire/priority.js';
import { RunCost } from './run-cost.js';

/** Without interactive batches for so long, bulk gives way to nobody. */
const aloneAfterMs = 10_000;
/** Interactive batches that come less often than this are too few to keep bulk from working for them. */
const busyMs = 1000;
/** How much longer than a batch of one row a batch of bulk may take. */
const longerMax = 1.5;
/** Bulk then has a quarter of the time. Measured with two processors for all parts: 1 is too little there. */
const pauseFactor = 3;
/** A pause of more would leave a slow model idle, and an item that came during the run is there by then. */
const pauseMsMax = 20;

/** A batch that has run and is answered. */
interface RunBatch {
  readonly priority: Priority;
  readonly rows: number;
  readonly ranMs: number;
  /** From the start of its run to the end of its answers. */
  readonly ms: number;
}

export class BulkPace {
  readonly #cost = new RunCost();
  /** When the last interactive batch ended. */
  #interactiveAt = Number.NEGATIVE_INFINITY;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  /** Notes a batch that has just ended. */
  note({ priority, rows, ranMs, ms }: RunBatch, now: number): void {
    this.#cost.note(rows, ranMs);
    if (priority === 'interactive') this.#interactiveAt = now;
    else this.#pausedUntil = now + Math.min(pauseFactor * ms, pauseMsMax);
  }

  /** Returns how many rows the next batch of bulk may have. */
  rowsMax(max: number, now: number): number {
    return this.isAlone(now) ? max : Math.min(max, this.#cost.rowsWithin(longerMax));
  }

  /** Returns when the next batch of bulk may start, once the last one is answered. */
  startsAt(now: number): number {
    return this.isBusy(now) ? this.#pausedUntil : now;
  }

  /** Whether no interactive batch has ended lately. */
  isAlone(now: number): boolean {
    return now - this.#interactiveAt >= aloneAfterMs;
  }

  /** Whether bulk pauses after each of its batches. */
  isBusy(now: number): boolean {
    return now - this.#interactiveAt < busyMs;
  }
}
