// Rates and percentiles from the counters of the last seconds.
//
// Behind a load balancer, each reading may come from another instance. So the counters are kept by instance,
// which the time of its start tells apart, and what happened is added up over all instances.

import { percentileOf } from '../shared/metrics/percentile.js';
import type { Family, Sample } from './exposition.js';
import type { Process, Reading } from './service.js';

const windowMs = 10_000;

export type Metrics = ReadonlyMap<string, Family>;
export type Labels = Readonly<Record<string, string>>;
type IsWanted = (labels: Labels) => boolean;

interface Point {
  readonly atMs: number;
  readonly metrics: Metrics;
}

interface Span {
  readonly first: Point;
  readonly last: Point;
}

export class History {
  readonly #instances = new Map<string, Point[]>();

  add({ atMs, processes }: Reading): void {
    for (const process of processes) {
      const { metrics } = process;
      if (!metrics) continue;
      const points = this.#pointsOf(instanceOf(process));
      points.push({ atMs, metrics });
      // One older than the window stays, so the window is whole.
      while (points[1] && atMs - points[1].atMs >= windowMs) points.shift();
    }
    for (const [instance, points] of this.#instances) {
      if (atMs - (points.at(-1)?.atMs ?? 0) > windowMs) this.#instances.delete(instance);
    }
  }

  /** The newest metrics of each API instance that has answered lately. */
  get apis(): Metrics[] {
    return this.#latest('api');
  }

  /**
   * Returns how much a counter grew each second, over all instances; undefined if nobody knows.
   * @param only the newest metrics of the one instance that counts, if only one does
   */
  rate(name: string, isWanted: IsWanted, only?: Metrics): number | undefined {
    let total: number | undefined;
    for (const { first, last } of this.#spans()) {
      if (only !== undefined && last.metrics !== only) continue;
      const grown = sum(last, name, isWanted) - sum(first, name, isWanted);
      total = (total ?? 0) + Math.max(0, grown) / ((last.atMs - first.atMs) / 1000);
    }
    return total;
  }

  /** Returns the mean of the values that a histogram got in the last seconds; undefined if it got none. */
  mean(name: string, isWanted: IsWanted): number | undefined {
    let total = 0;
    let count = 0;
    for (const { first, last } of this.#spans()) {
      const grown = (part: string) =>
        sum(last, `${name}_${part}`, isWanted) - sum(first, `${name}_${part}`, isWanted);
      total += grown('sum');
      count += grown('count');
    }
    return count > 0 ? total / count : undefined;
  }

  /** Returns the value below which this share of the last seconds' values lies; undefined if there were none. */
  percentile(name: string, share: number, isWanted: IsWanted): number | undefined {
    const bounds = new Map<number, number>();
    for (const { first, last } of this.#spans()) {
      for (const [le, grown] of grownBuckets({ first, last }, name, isWanted)) {
        bounds.set(le, (bounds.get(le) ?? 0) + grown);
      }
    }
    const buckets = [...bounds].toSorted(([a], [b]) => a - b);
    return percentileOf(buckets, share);
  }

  /** The oldest and the newest point of each instance that has two. */
  *#spans(): Iterable<Span> {
    for (const points of this.#instances.values()) {
      const [first, last] = [points[0], points.at(-1)];
      if (first && last && first !== last) yield { first, last };
    }
  }

  #latest(role: string): Metrics[] {
    return [...this.#instances.values()].flatMap((points) => {
      const metrics = points.at(-1)?.metrics;
      const samples = metrics?.get('scoreline_build_info')?.samples ?? [];
      return metrics && samples.some(({ labels }) => labels.role === role) ? [metrics] : [];
    });
  }

  #pointsOf(instance: string): Point[] {
    const points = this.#instances.get(instance) ?? [];
    this.#instances.set(instance, points);
    return points;
  }
}

function instanceOf({ address = 'api', metrics }: Process): string {
  const [start] = metrics?.get('process_start_time_seconds')?.samples ?? [];
  // An API whose metrics are asked for in both ways is one instance.
  const [build] = metrics?.get('scoreline_build_info')?.samples ?? [];
  return build?.labels.role === 'api' ? `api ${start?.value}` : `${address} ${start?.value}`;
}

function samplesOf({ metrics }: Point, name: string): readonly Sample[] {
  const family = metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, ''));
  return (family?.samples ?? []).filter((sample) => sample.name === name);
}

function sum(point: Point, name: string, isWanted: IsWanted): number {
  const wanted = samplesOf(point, name).filter(({ labels }) => isWanted(labels));
  return wanted.reduce((all, { value }) => all + value, 0);
}

function* grownBuckets(
  { first, last }: Span,
  name: string,
  isWanted: IsWanted,
): Iterable<[le: number, count: number]> {
  const part = `${name}_bucket`;
  const before = new Map(samplesOf(first, part).map(({ labels, value }) => [keyOf(labels), value]));
  for (const { labels, value } of samplesOf(last, part)) {
    if (!isWanted(labels)) continue;
    const le = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le);
    yield [le, value - (before.get(keyOf(labels)) ?? 0)];
  }
}

function keyOf(labels: Labels): string {
  return Object.entries(labels).join();
}
