// What `tune` proposes, from what it has measured.

import type { Level } from '../load.js';

/** A number of threads and a batch size, as the worker's engine runs them. */
export interface Cell {
  readonly threads: number;
  readonly batch: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly perSecond: number;
}

export interface Choice {
  readonly cell: Cell;
  /** Whether the latency goal can be met with it at all. */
  readonly isWithin: boolean;
}

/** What a request takes beside the engine: HTTP, two ways through Redis, decoding. */
const overheadMs = 5;
/** A cell that is this near to the best is as good, and measurements differ by as much. */
const enough = 0.95;

/** An item that comes while a batch runs waits for its end, and then for its own batch. */
export function worstMs({ p99Ms }: Pick<Cell, 'p99Ms'>): number {
  return 2 * p99Ms + overheadMs;
}

/**
 * Chooses the cell with the most items a second among those that keep the goal: of nearly equal ones, that with the
 * fewest threads, and then with the smallest batch. If none keeps it, the one with the shortest run.
 */
export function chooseCell(cells: readonly Cell[], goalMs: number): Choice {
  const within = cells.filter((cell) => worstMs(cell) <= goalMs);
  if (within.length === 0) {
    const [shortest] = cells.toSorted((a, b) => a.p99Ms - b.p99Ms);
    if (!shortest) throw new Error('There is no cell to choose. This is a bug.');
    return { cell: shortest, isWithin: false };
  }
  const most = Math.max(...within.map(({ perSecond }) => perSecond));
  const [best] = within
    .filter(({ perSecond }) => perSecond >= enough * most)
    .toSorted((a, b) => a.threads - b.threads || a.batch - b.batch);
  return { cell: best as Cell, isWithin: true };
}

type Loaded = Omit<Level, 'p50Ms'>;

/** Whether everybody was answered within the goal. */
export function isWithin({ p99Ms, refused }: Loaded, goalMs: number): boolean {
  return refused === 0 && p99Ms <= goalMs;
}

/** A wait is worth it only if it clearly gives more: it delays every request of an idle service. */
const waitGainMin = 1.05;

/** Chooses how long an idle engine waits, among waits measured with the same clients; the first is none. */
export function chooseWait<T extends Loaded & { readonly waitMs: number }>(
  waits: readonly T[],
  goalMs: number,
): T | undefined {
  const [none, ...others] = waits;
  const better = others
    .filter(
      (each) => isWithin(each, goalMs) && none && each.perSecond >= waitGainMin * none.perSecond,
    )
    .toSorted((a, b) => b.perSecond - a.perSecond);
  return better[0] ?? none;
}
