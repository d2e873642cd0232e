// How fast scorers are on this machine: through the worker's engine, without queue and API.

import { median, quantile } from '../../bench/load.js';
import type { Scorer, ScorerItem } from '../../worker/batch/scorer.js';

export interface Speed {
  /** The median of a run with the batch, with what the worker does before and after it. */
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly perSecond: number;
  readonly runs: number;
}

/** The fewest runs, also of a model whose runs take long. */
const runsMin = 3;

/** Runs a batch again and again for a time, after a run that does not count. */
export async function measureBatch(
  scorer: Scorer,
  items: readonly ScorerItem[],
  seconds: number,
): Promise<Speed> {
  await scoreOnce(scorer, items);
  const tookMs: number[] = [];
  const startedAt = performance.now();
  while (tookMs.length < runsMin || performance.now() - startedAt < seconds * 1000) {
    const at = performance.now();
    await scoreOnce(scorer, items);
    tookMs.push(performance.now() - at);
  }
  return summarise(tookMs, items.length);
}

/** Measures several scorers in turn, so what else the machine does meets all of them. */
export async function compareSpeeds(
  scorers: readonly Scorer[],
  items: readonly ScorerItem[],
  { seconds, rounds }: { seconds: number; rounds: number },
): Promise<Speed[]> {
  const speeds: Speed[][] = scorers.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [at, scorer] of scorers.entries()) {
      speeds[at]?.push(await measureBatch(scorer, items, seconds / rounds));
    }
  }
  return speeds.map((each) => ({
    medianMs: median(each.map(({ medianMs }) => medianMs)),
    p99Ms: median(each.map(({ p99Ms }) => p99Ms)),
    perSecond: median(each.map(({ perSecond }) => perSecond)),
    runs: each.reduce((sum, { runs }) => sum + runs, 0),
  }));
}

async function scoreOnce(scorer: Scorer, items: readonly ScorerItem[]): Promise<void> {
  const { results } = await scorer.score(items);
  for (const result of results) if ('error' in result) throw new Error(result.error.detail);
}

function summarise(tookMs: number[], items: number): Speed {
  const totalMs = tookMs.reduce((sum, each) => sum + each, 0);
  const sorted = tookMs.toSorted((a, b) => a - b);
  return {
    medianMs: median(sorted),
    p99Ms: quantile(sorted, 0.99),
    perSecond: (items * tookMs.length * 1000) / totalMs,
    runs: tookMs.length,
  };
}
