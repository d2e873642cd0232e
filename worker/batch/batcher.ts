// The batcher. Gathers items while the engine is busy and hands them over as batches.
//
// States: *idle* (nothing runs: a batch starts at once, or after `waitMs`, counted from its first
// item), *busy* (one batch runs: items gather), *ahead* (one runs and a full one is handed over
// behind it, so that the engine never waits for the main thread). A batch is handed over ahead
// only when it is full: until then it can still grow; and only when the run before it is about to end,
// as long as the last one took: otherwise its items could be past their deadlines, or abandoned, by
// the time they are scored.
//
// Invariants: every item is in at most one batch; no batch is larger than `max`; at most two
// batches are handed over at a time; items keep their order.

export interface Batcher<T> {
  /** Resolves when the batch that held the item is done; never rejects. */
  submit(item: T): Promise<void>;
  /** Items that wait or run. */
  readonly size: number;
}

/** How long before the expected end of a run the next batch is handed over. */
const aheadMs = 50;

interface Entry<T> {
  readonly item: T;
  readonly done: () => void;
}

export function makeBatcher<T>(options: {
  max: number;
  waitMs: number;
  /** Scores a batch and answers every item of it. Must not reject. */
  run: (items: T[]) => Promise<void>;
}): Batcher<T> {
  const { max, waitMs } = options;
  let gathered: Entry<T>[] = [];
  let runningBatches = 0;
  let runningItems = 0;
  /** Since when the engine has been at the batch it is at, and how long it was at the last one. */
  let runningSince = 0;
  let ranMs = 0;
  let timer: NodeJS.Timeout | undefined;
  /** When the first of those that are gathered came. */
  let gatheredSince = 0;
  let scheduled = false;

  const start = () => {
    clearTimeout(timer);
    timer = undefined;
    const batch = gathered.slice(0, max);
    gathered = gathered.slice(max);
    gatheredSince = performance.now();
    if (runningBatches === 0) runningSince = gatheredSince;
    runningBatches++;
    runningItems += batch.length;
    void options.run(batch.map((entry) => entry.item)).then(() => {
      const now = performance.now();
      ranMs = now - runningSince;
      runningSince = now;
      runningBatches--;
      runningItems -= batch.length;
      for (const entry of batch) entry.done();
      advance();
    });
  };

  /** When the next batch may be handed over, as things stand. */
  const dueAt = (): number => {
    const isFull = gathered.length >= max;
    if (runningBatches === 0) return isFull ? 0 : gatheredSince + waitMs;
    return isFull ? runningSince + ranMs - aheadMs : Number.POSITIVE_INFINITY;
  };

  const advance = () => {
    while (gathered.length > 0 && runningBatches < 2) {
      const leftMs = dueAt() - performance.now();
      if (leftMs > 0) {
        if (Number.isFinite(leftMs)) timer ??= setTimeout(wake, leftMs);
        return;
      }
      start();
    }
  };

  const wake = () => {
    timer = undefined;
    advance();
  };

  return {
    submit: (item) =>
      new Promise((resolve) => {
        if (gathered.length === 0) gatheredSince = performance.now();
        gathered.push({ item, done: resolve });
        // Items of one job are submitted in one go; they start together rather than the first alone.
        if (scheduled) return;
        scheduled = true;
        queueMicrotask(() => {
          scheduled = false;
          advance();
        });
      }),
    get size() {
      return gathered.length + runningItems;
    },
  };
}
