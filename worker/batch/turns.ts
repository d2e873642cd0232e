// Whose turn it is: that of interactive items or of bulk.
//
// Interactive items go first. While both wait, each `bulkEvery`-th batch is bulk, so bulk is never starved and
// takes at most that share of the engine from the others.

import type { Priority } from '../../shared/wire/priority.js';

/** While items of both priorities wait, one of so many batches is bulk. */
export const bulkEvery = 10;

export class Turns {
  /** How many interactive batches have started since bulk had a turn or did not wait. */
  #passed = 0;

  /** Returns whose turn it is. At least one of the two waits. */
  next(waits: Readonly<Record<Priority, boolean>>): Priority {
    if (!waits.bulk) return 'interactive';
    return !waits.interactive || this.#passed >= bulkEvery - 1 ? 'bulk' : 'interactive';
  }

  /** Notes that a batch starts. */
  take(priority: Priority, isBulkWaiting: boolean): void {
    this.#passed = priority === 'interactive' && isBulkWaiting ? this.#passed + 1 : 0;
  }
}
