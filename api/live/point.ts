// What happened to the requests of a model between two looks, for people who watch.

import { percentileOf } from '../../shared/metrics/percentile.js';
import { latencyBounds, type Totals } from './totals.js';

/** The rates are per second. What nobody knows is undefined. */
export interface Point {
  readonly requests: number;
  /** Those that were scored. A request may have several. */
  readonly inputs: number;
  readonly failures: number;
  /** By reason, without those of which there were none. */
  readonly refusals: Readonly<Record<string, number>>;
  /** How long requests took, in milliseconds. */
  readonly latencyMs: Readonly<Record<Percentile, number>> | undefined;
  /** The mean rows of a run. */
  readonly batchSize: number | undefined;
}

const shares = { p50: 0.5, p90: 0.9, p99: 0.99 } as const;
export type Percentile = keyof typeof shares;
export const percentiles = Object.keys(shares) as readonly Percentile[];

/** What every model has of which nothing happened. */
export const idle: Point = {
  requests: 0,
  inputs: 0,
  failures: 0,
  refusals: {},
  latencyMs: undefined,
  batchSize: undefined,
};

/** @param spanMs between the two looks */
export function pointOf(before: Totals, now: Totals, spanMs: number): Point {
  const perSecond = (count: number) => rounded((count * 1000) / spanMs);
  const requests = grown(before.answered, now.answered);
  const refusals = [...now.refused].flatMap(([reason, count]) => {
    const more = grown(before.refused.get(reason) ?? 0, count);
    return more > 0 ? [[reason, perSecond(more)] as const] : [];
  });
  const runs = grown(before.runs, now.runs);
  const rows = grown(before.rows, now.rows);
  if (requests === 0 && refusals.length === 0 && runs === 0) return idle;
  return {
    requests: perSecond(requests),
    inputs: perSecond(rows),
    failures: perSecond(grown(before.failed, now.failed)),
    refusals: Object.fromEntries(refusals),
    latencyMs: latenciesOf(before, now),
    batchSize: runs > 0 ? rounded(rows / runs) : undefined,
  };
}

/** A version that comes back, or is replaced in place, may be counted from 0 again. */
function grown(before: number, now: number): number {
  return now < before ? now : now - before;
}

function latenciesOf(before: Totals, now: Totals): Point['latencyMs'] {
  let total = 0;
  const isReset = now.latencies.some((count, at) => count < (before.latencies[at] ?? 0));
  const buckets = now.latencies.map((count, at) => {
    total += count - ((isReset ? 0 : before.latencies[at]) ?? 0);
    return [latencyBounds[at] as number, total] as const;
  });
  if (total === 0) return undefined;
  const values = percentiles.map((name) => {
    const seconds = percentileOf(buckets, shares[name]) ?? 0;
    return [name, rounded(seconds * 1000)] as const;
  });
  return Object.fromEntries(values) as Record<Percentile, number>;
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
