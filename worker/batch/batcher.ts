// The batcher gathers items while the engine is busy, and hands them over as batches.
//
// States:
// - *idle*: nothing runs. A batch starts at once, or `waitMs` after its first item.
// - *busy*: one batch runs. Items gather.
// - *ahead*: one batch runs, and a full one is handed over behind it. So the engine never waits for
//   the main thread.
// - *answering*: a batch has run, and its answers are on their way. The engine is idle, or has another batch. If
//   it is idle and the run was short, a batch that is not full waits for the answers, and nobody overtakes it.
//
// A batch is handed over ahead only if it is full, because a smaller one can still grow. Even a
// full one is held until the run before it is about to end; the run is expected to take as long as
// the last one. Otherwise its items could be abandoned or past their deadlines once they are
// scored.
//
// Items gather in groups by key, because only items of the same key can share a run. The group that
// has waited longest is next. If a batch does not take all of its group, the rest goes to the end
// of the line, so a key whose batches are always full cannot keep the others waiting. While the
// first group waits for `waitMs`, a full group may overtake it.
//
// An item has one row or several, and a batch is full when it has `max` rows. An item that does not
// fit into the rest of a batch stays, and smaller ones behind it may overtake it, but never the first.
//
// Items of each priority stand in a line of their own, and share no batch. Whose turn it is, turns.ts says. A bulk
// batch is never handed over ahead: an interactive item that comes just then would wait for two of them. So it
// waits for the one that runs at most. How large that may be, and when it may start, bulk-pace.ts says.
//
// An engine with several instances runs as many batches side by side, and none is handed over ahead. While an instance
// is free, a full batch starts at once. A smaller one starts beside others once it has waited as long as a run takes,
// since instances share the processors; until then, full ones may overtake it. While interactive items come, bulk runs
// on one instance at a time, at its turn. Its batch and theirs then start as if the other were not there.
//
// Invariants: every item is in at most one batch. A batch has items of one key and at most `max` rows,
// or one item with more. At most two batches are handed over at a time, or one for each instance. Items of
// one key and size start in their order.

import type { Priority } from '../../shared/wire/priority.js';
import { BulkPace } from './bulk-pace.js';
import { Turns } from './turns.js';

export interface Batcher<T> {
  /** Resolves when the item's batch is done. Rejects with the error of the batch's run. */
  submit(item: T, priority?: Priority): Promise<void>;
  /** The number of items that wait or run. */
  readonly size: number;
}

/**
 * After a shorter run, a batch that is not full gathers until that run's answers are sent. Each batch costs
 * processor time beside its run, and the answers are about to bring the next items.
 */
const shortRunMs = 5;
/** A full batch is handed over this long before the expected end of the run before it. */
const aheadMs = 50;

interface Entry<T> {
  readonly item: T;
  readonly rows: number;
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

interface Group<T> {
  readonly key: string;
  readonly priority: Priority;
  entries: Entry<T>[];
  rows: number;
  /** When its first entry came, or when the last batch of this group left. */
  since: number;
}

/** The engine has no more to do for a batch. */
interface Freed {
  readonly at: number;
  readonly ranMs: number;
}

/** Makes a batcher. `max` is in rows. */
export function makeBatcher<T>(options: {
  max: number;
  waitMs: number;
  /** How many batches the engine runs side by side. 1 by default. */
  instances?: number;
  /** Items of different keys cannot share a run. */
  keyOf: (item: T) => string;
  /** How many rows an item has, at least 1. */
  rowsOf: (item: T) => number;
  /**
   * Scores a batch, calls `onScored` once the engine has no more to do for it, and answers every item of it.
   * Without that call, the engine is free when the batch is done.
   */
  run: (items: T[], priority: Priority, onScored: () => void) => Promise<void>;
}): Batcher<T> {
  return new KeyedBatcher(options);
}

/** Waiting items by key. The first group is next. */
type Line<T> = Map<string, Group<T>>;

class KeyedBatcher<T> implements Batcher<T> {
  readonly #options: Parameters<typeof makeBatcher<T>>[0];
  readonly #lines: Readonly<Record<Priority, Line<T>>> = {
    interactive: new Map(),
    bulk: new Map(),
  };
  readonly #instances: number;
  readonly #turns = new Turns();
  readonly #pace = new BulkPace();
  #waiting = 0;
  readonly #running: Record<Priority, number> = { interactive: 0, bulk: 0 };
  /** Batches that have run, and whose answers are on their way, by priority. */
  readonly #answering: Record<Priority, number> = { interactive: 0, bulk: 0 };
  #runningItems = 0;
  /** When the engine started its present run, and how long its last run took. */
  #runningSince = 0;
  #ranMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isScheduled = false;

  constructor(options: Parameters<typeof makeBatcher<T>>[0]) {
    this.#options = options;
    this.#instances = options.instances ?? 1;
  }

  get size(): number {
    return this.#waiting + this.#runningItems;
  }

  get #runningBatches(): number {
    return this.#running.interactive + this.#running.bulk;
  }

  submit(item: T, priority: Priority = 'interactive'): Promise<void> {
    return new Promise((resolve, reject) => {
      const key = this.#options.keyOf(item);
      const line = this.#lines[priority];
      let group = line.get(key);
      if (!group) {
        group = { key, priority, entries: [], rows: 0, since: performance.now() };
        line.set(key, group);
      }
      const rows = this.#options.rowsOf(item);
      group.entries.push({ item, rows, done: resolve, fail: reject });
      group.rows += rows;
      this.#waiting++;
      // Items of one job are submitted in the same tick. Let them start together.
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      queueMicrotask(() => {
        this.#isScheduled = false;
        this.#advance();
      });
    });
  }

  #advance(): void {
    while (this.#waiting > 0 && this.#runningBatches < Math.max(2, this.#instances)) {
      const now = performance.now();
      const line = this.#lines[this.#turns.next(this.#mayStart(now))];
      const [first] = line.values();
      const leftMs = this.#dueAt(first as Group<T>, now) - now;
      // Until something happens, nobody may overtake it.
      if (leftMs === Number.POSITIVE_INFINITY) return;
      const next = leftMs <= 0 ? first : this.#fullOf(line, now);
      if (!next) {
        this.#wakeIn(leftMs);
        return;
      }
      this.#start(next, now);
    }
  }

  #mayStart(now: number): Record<Priority, boolean> {
    const { interactive, bulk } = this.#lines;
    const isPaused =
      interactive.size > 0 &&
      (this.#running.bulk > 0 || this.#answering.bulk > 0 || this.#pace.startsAt(now) > now);
    return { interactive: interactive.size > 0, bulk: bulk.size > 0 && !isPaused };
  }

  /** Returns how many rows the next batch of a priority may have. */
  #rowsMax(priority: Priority, now: number): number {
    const { max } = this.#options;
    return priority === 'bulk' ? this.#pace.rowsMax(max, now) : max;
  }

  /** Returns when the next group may be handed over, unless something changes before. */
  #dueAt(group: Group<T>, now: number): number {
    const { rows, since, priority } = group;
    const isFull = rows >= this.#rowsMax(priority, now);
    if (this.#runningBatches >= this.#instances) return this.#aheadAt(group, isFull);
    const running = this.#running[priority];
    const { interactive, bulk } = this.#answering;
    const mayGrow = running === 0 && interactive + bulk > 0 && this.#ranMs < shortRunMs;
    if (mayGrow && !isFull) return Number.POSITIVE_INFINITY;
    const { waitMs } = this.#options;
    const readyAt = isFull ? 0 : since + (running === 0 ? waitMs : Math.max(waitMs, this.#ranMs));
    if (priority === 'interactive') return readyAt;
    if (running > 0 && !this.#isBulkAlone(now)) return Number.POSITIVE_INFINITY;
    // The pause of bulk begins when its batch is answered.
    if (bulk > 0 && this.#pace.isBusy(now)) return Number.POSITIVE_INFINITY;
    return Math.max(readyAt, this.#pace.startsAt(now));
  }

  /** Returns when a batch may be handed over behind the one that runs. */
  #aheadAt({ priority }: Group<T>, isFull: boolean): number {
    const mayBeAhead = this.#instances === 1 && isFull && priority === 'interactive';
    return mayBeAhead ? this.#runningSince + this.#ranMs - aheadMs : Number.POSITIVE_INFINITY;
  }

  /** Returns a full group that can start while the first one gathers. */
  #fullOf(line: Line<T>, now: number): Group<T> | undefined {
    for (const group of line.values()) {
      if (this.#dueAt(group, now) <= now) return group;
    }
    return undefined;
  }

  #isBulkAlone(now: number): boolean {
    return this.#running.interactive === 0 && this.#pace.isAlone(now);
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#advance(), ms);
  }

  #start(group: Group<T>, startedAt: number): void {
    clearTimeout(this.#timer);
    const { priority } = group;
    const batch = this.#cut(group, startedAt);
    this.#turns.take(priority, this.#lines.bulk.size > 0);
    this.#waiting -= batch.length;
    if (this.#runningBatches < this.#instances) this.#runningSince = startedAt;
    this.#running[priority]++;
    this.#runningItems += batch.length;
    let freed: Freed | undefined;
    const onScored = () => {
      if (freed) return;
      freed = this.#freeEngine(priority, startedAt);
      this.#answering[priority]++;
      this.#advance();
    };
    const end = (settle: (entry: Entry<T>) => void) => {
      if (freed) this.#answering[priority]--;
      freed ??= this.#freeEngine(priority, startedAt);
      const endedAt = performance.now();
      const { ranMs, at } = freed;
      // Answers take time of the same processors.
      const ms = ranMs + endedAt - at;
      this.#pace.note({ priority, rows: sumRows(batch), ranMs, ms }, endedAt);
      this.#runningItems -= batch.length;
      for (const entry of batch) settle(entry);
      this.#advance();
    };
    this.#options
      .run(
        batch.map((entry) => entry.item),
        priority,
        onScored,
      )
      .then(
        () => end((entry) => entry.done()),
        (error) => end((entry) => entry.fail(error)),
      );
  }

  /** Takes a batch out of a group. The rest of the group goes to the end of the line. */
  #cut(group: Group<T>, now: number): Entry<T>[] {
    const max = this.#rowsMax(group.priority, now);
    const line = this.#lines[group.priority];
    line.delete(group.key);
    if (group.rows <= max) return group.entries;
    const batch: Entry<T>[] = [];
    const rest: Entry<T>[] = [];
    let rows = 0;
    for (const entry of group.entries) {
      const fits = rows === 0 || rows + entry.rows <= max;
      (fits ? batch : rest).push(entry);
      if (fits) rows += entry.rows;
    }
    if (rest.length === 0) return batch;
    group.entries = rest;
    group.rows -= rows;
    group.since = now;
    line.set(group.key, group);
    return batch;
  }

  /** Notes that the engine has no more to do for the batch that runs, which may still have to be answered. */
  #freeEngine(priority: Priority, startedAt: number): Freed {
    const at = performance.now();
    // With one instance, a batch that was handed over ahead has waited for the one before it.
    const since = this.#instances > 1 ? startedAt : this.#runningSince;
    this.#ranMs = at - since;
    this.#runningSince = at;
    this.#running[priority]--;
    return { at, ranMs: this.#ranMs };
  }
}

function sumRows(entries: readonly Entry<unknown>[]): number {
  let rows = 0;
  for (const entry of entries) rows += entry.rows;
  return rows;
}
