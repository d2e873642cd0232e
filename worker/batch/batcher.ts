// The batcher. Gathers items while the engine is busy and hands them over as batches.
//
// States: *idle* (nothing runs: a batch starts at once, or after `waitMs`, counted from its first
// item), *busy* (one batch runs: items gather), *ahead* (one runs and a full one is handed over
// behind it, so the engine never waits for the main thread). A batch is handed over ahead
// only when it is full: until then it can still grow; and only when the run before it is about to end,
// as long as the last one took: otherwise its items could be past their deadlines, or abandoned, by
// the time they are scored.
//
// Items gather in groups of one key, since only they can share a run. The group that has waited
// longest is next; what a batch leaves of its group goes to the end of the line. So a key whose
// batches are always full cannot keep the others waiting. Only a group that waits for `waitMs` lets
// a full one go first.
//
// Invariants: every item is in at most one batch; a batch has items of one key, and no more than
// `max`; at most two batches are handed over at a time; items of one key keep their order.

export interface Batcher<T> {
  /** Resolves when the batch that held the item is done; rejects with what its run rejects with. */
  submit(item: T): Promise<void>;
  /** Items that wait or run. */
  readonly size: number;
}

/** How long before the expected end of a run the next batch is handed over. */
const aheadMs = 50;

interface Entry<T> {
  readonly item: T;
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

interface Group<T> {
  readonly key: string;
  readonly entries: Entry<T>[];
  /** When the first of them came, or the batch before them left. */
  since: number;
}

export function makeBatcher<T>(options: {
  max: number;
  waitMs: number;
  /** Items of different keys cannot share a run. */
  keyOf: (item: T) => string;
  /** Scores a batch and answers every item of it. */
  run: (items: T[]) => Promise<void>;
}): Batcher<T> {
  const batcher = new KeyedBatcher(options);
  return {
    submit: (item) => batcher.submit(item),
    get size() {
      return batcher.size;
    },
  };
}

class KeyedBatcher<T> {
  readonly #options: Parameters<typeof makeBatcher<T>>[0];
  /** Those that wait, by key, in the order in which they are next. */
  readonly #groups = new Map<string, Group<T>>();
  #waiting = 0;
  #runningBatches = 0;
  #runningItems = 0;
  /** Since when the engine has been at the batch it is at, and how long it was at the last one. */
  #runningSince = 0;
  #ranMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isScheduled = false;

  constructor(options: Parameters<typeof makeBatcher<T>>[0]) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting + this.#runningItems;
  }

  submit(item: T): Promise<void> {
    return new Promise((resolve, reject) => {
      const key = this.#options.keyOf(item);
      let group = this.#groups.get(key);
      if (!group) {
        group = { key, entries: [], since: performance.now() };
        this.#groups.set(key, group);
      }
      group.entries.push({ item, done: resolve, fail: reject });
      this.#waiting++;
      // Items of one job are submitted in one go; they start together rather than the first alone.
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      queueMicrotask(() => {
        this.#isScheduled = false;
        this.#advance();
      });
    });
  }

  #advance(): void {
    while (this.#waiting > 0 && this.#runningBatches < 2) {
      const now = performance.now();
      const [first] = this.#groups.values();
      const leftMs = this.#dueAt(first as Group<T>) - now;
      const next = leftMs <= 0 ? first : this.#fullWhileIdle();
      if (!next) {
        if (Number.isFinite(leftMs)) this.#wakeIn(leftMs);
        return;
      }
      this.#start(next, now);
    }
  }

  /** When the group that is next may be handed over, as things stand. */
  #dueAt({ entries, since }: Group<T>): number {
    const isFull = entries.length >= this.#options.max;
    if (this.#runningBatches === 0) return isFull ? 0 : since + this.#options.waitMs;
    return isFull ? this.#runningSince + this.#ranMs - aheadMs : Number.POSITIVE_INFINITY;
  }

  /** The group that can start while the first one waits for `waitMs`. */
  #fullWhileIdle(): Group<T> | undefined {
    if (this.#runningBatches > 0) return undefined;
    for (const group of this.#groups.values()) {
      if (group.entries.length >= this.#options.max) return group;
    }
    return undefined;
  }

  #wakeIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#advance();
    }, ms);
  }

  #start(group: Group<T>, now: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#cut(group, now);
    this.#waiting -= batch.length;
    if (this.#runningBatches === 0) this.#runningSince = now;
    this.#runningBatches++;
    this.#runningItems += batch.length;
    this.#options.run(batch.map((entry) => entry.item)).then(
      () => this.#end(batch, (entry) => entry.done()),
      (error) => this.#end(batch, (entry) => entry.fail(error)),
    );
  }

  /** Takes a batch out of its group; what is left goes to the end of the line. */
  #cut(group: Group<T>, now: number): Entry<T>[] {
    this.#groups.delete(group.key);
    if (group.entries.length <= this.#options.max) return group.entries;
    const batch = group.entries.splice(0, this.#options.max);
    group.since = now;
    this.#groups.set(group.key, group);
    return batch;
  }

  #end(batch: Entry<T>[], settle: (entry: Entry<T>) => void): void {
    const now = performance.now();
    this.#ranMs = now - this.#runningSince;
    this.#runningSince = now;
    this.#runningBatches--;
    this.#runningItems -= batch.length;
    for (const entry of batch) settle(entry);
    this.#advance();
  }
}
