// The memory and the open file descriptors of processes. Linux shows them in /proc; elsewhere a run does
// without.

import { readdirSync, readFileSync } from 'node:fs';
import { waitUntil } from '../chaos/wait.js';
import type { Levels } from './tally.js';

interface Vitals {
  readonly megabytes: number;
  readonly descriptors: number;
}

export interface VitalsWatch {
  /** Reads the levels that later ones are compared with. */
  begin(): void;
  /** Waits until all levels are near the first ones again, and says which are not. */
  findFaults(): Promise<string[]>;
  levels(): { readonly megabytes: Levels; readonly descriptors: Levels };
}

/**
 * How much a level may rise. In 90,000 requests after a warm-up, API and worker rose by 42 to 68 MB; in a short
 * run, whose warm-up is short, by up to 180.
 */
const megabytesMore = 250;
const descriptorsMore = 5;
const settlesWithinMs = 15_000;
const readEveryMs = 200;

/** Watches processes, given by their names and ids. */
export function watchVitals(pids: Readonly<Record<string, number>>): VitalsWatch {
  const names = Object.keys(pids);
  const read = () => names.map((name) => readVitals(pids[name] as number));
  let first = read();
  let last = first;

  const findFaults = () =>
    names.flatMap((name, index) => {
      const [before, after] = [first[index], last[index]];
      if (!before) return [];
      if (!after) return [`the ${name} is gone`];
      return [
        ...(after.megabytes > before.megabytes + megabytesMore
          ? [`the ${name} has ${after.megabytes} MB; after the warm-up it had ${before.megabytes}`]
          : []),
        ...(after.descriptors > before.descriptors + descriptorsMore
          ? [`the ${name} has ${after.descriptors} open descriptors; it had ${before.descriptors}`]
          : []),
      ];
    });
  const levelsOf = (quantity: keyof Vitals): Levels =>
    Object.fromEntries(
      names.flatMap((name, index) => {
        const [before, after] = [first[index], last[index]];
        return before && after ? [[name, [before[quantity], after[quantity]]]] : [];
      }),
    );

  return {
    begin() {
      first = read();
    },
    async findFaults() {
      const isSettled = () => {
        last = read();
        return findFaults().length === 0;
      };
      await waitUntil(isSettled, settlesWithinMs, readEveryMs);
      return findFaults();
    },
    levels: () => ({ megabytes: levelsOf('megabytes'), descriptors: levelsOf('descriptors') }),
  };
}

/** Returns undefined where there is no /proc, and for a process that has ended. */
function readVitals(pid: number): Vitals | undefined {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
    const descriptors = readdirSync(`/proc/${pid}/fd`).length;
    return { megabytes: Math.round((pages * 4096) / 1e6), descriptors };
  } catch {
    return undefined;
  }
}
