// The batcher. Gathers items while the engine is busy and hands them over as batches.
//
// States: *idle* (nothing runs: a batch starts at once, or after `waitMs`, counted from its first
// item), *busy* (one batch runs: items gather), *ahead* (one runs and a full one is handed over
// behind it, so that the engine never waits for the main thread). A batch is handed over ahead
// only when it is full: until then it can still grow; and only where runs are short: behind a long
// one its items would be past their deadlines, or abandoned, by the time they are scored.
//
// Invariants: every item is in at most one batch; no batch is larger than `max`; at most two
// batches are handed over at a time; items keep their order.

export interface Batcher<T> {
  /** Resolves when the batch that held the item is done; never rejects. */
  submit(item: T): Promise<void>;
  /** Items that wait or run. */
  readonly size: number;
}

/** The longest run that a batch is handed over behind. */
const aheadMsMax = 50;

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
  /** When the last run ended, and how long it took. */
  let ranUntil = 0;
  let ranMs = 0;
  let timer: NodeJS.Timeout | undefined;
  /** When the first of those that are gathered came. */
  let gatheredSince = 0;
  let scheduled = false;

  const mayStart = () =>
    runningBatches === 0
      ? gathered.length > 0
      : runningBatches === 1 && gathered.length >= max && ranMs <= aheadMsMax;

  const start = () => {
    clearTimeout(timer);
    timer = undefined;
    const startedAt = performance.now();
    const batch = gathered.slice(0, max);
    gathered = gathered.slice(max);
    gatheredSince = startedAt;
    runningBatches++;
    runningItems += batch.length;
    void options.run(batch.map((entry) => entry.item)).then(() => {
      const now = performance.now();
      ranMs = now - Math.max(startedAt, ranUntil);
      ranUntil = now;
      runningBatches--;
      runningItems -= batch.length;
      for (const entry of batch) entry.done();
      advance();
    });
  };

  const advance = () => {
    while (mayStart()) {
      const leftMs = gathered.length < max ? gatheredSince + waitMs - performance.now() : 0;
      if (leftMs > 0) {
        timer ??= setTimeout(start, leftMs);
        return;
      }
      start();
    }
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
