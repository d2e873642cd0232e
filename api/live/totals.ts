// What has happened to the requests of each model since the start of the process: from the metrics and the
// statistics, which count it anyway.

import type { ErrorCode } from '../../shared/errors.js';
import type { Instruments } from '../../shared/metrics/instruments.js';
import {
  isFault,
  latencyBuckets,
  refusalCodes,
  scoringRoutes,
} from '../../shared/metrics/table.js';
import type { Model } from '../../shared/registry/models.js';
import type { Registry } from '../../shared/registry/registry.js';
import type { Statistics } from '../statistics.js';

export interface Totals {
  /** Requests that score, whatever their answer was. */
  answered: number;
  /** Those that failed by a fault of the service and were not refused. */
  failed: number;
  /** Those that were refused, by reason. */
  readonly refused: Map<string, number>;
  /** How many took up to each of `latencyBounds`, and longer than the one before. */
  latencies: readonly number[];
  /** Rows that were scored. */
  rows: number;
  /** Runs of the model. Of a run that several API processes share, each counts its part. */
  runs: number;
}

export const latencyBounds: readonly number[] = [...latencyBuckets, Number.POSITIVE_INFINITY];

export function makeTotals(): Totals {
  return { answered: 0, failed: 0, refused: new Map(), latencies: [], rows: 0, runs: 0 };
}

/** Names a model. */
export function nameOf({ name, version }: Pick<Model, 'name' | 'version'>): string {
  return `${name}@${version}`;
}

/** The requests that name no model that is served, or of which it is not known. */
export const unnamed = nameOf({ name: '', version: '' });

/** Reads the totals of each model, by its name. */
export async function readTotals(parts: {
  instruments: Pick<Instruments, 'seriesOf'>;
  registry: Pick<Registry, 'models'>;
  statistics: Pick<Statistics, 'of'>;
}): Promise<ReadonlyMap<string, Totals>> {
  const { instruments, registry, statistics } = parts;
  const [requests, refusals, latencies] = await Promise.all([
    instruments.seriesOf('requests'),
    instruments.seriesOf('refusals'),
    instruments.seriesOf('requestSeconds'),
  ]);
  const found = new Map<string, Totals>();
  const totalsOf = (labels: Readonly<Record<string, string>>) => {
    const { model = '', version = '' } = labels;
    // A model that is here and cannot be served has no version.
    const name = version === '' ? unnamed : nameOf({ name: model, version });
    const totals = found.get(name) ?? makeTotals();
    found.set(name, totals);
    return totals;
  };
  for (const { labels, value } of requests) {
    if (!scoringRoutes.includes(String(labels.route))) continue;
    const totals = totalsOf(labels);
    totals.answered += value;
    if (isFailure(labels.code)) totals.failed += value;
  }
  for (const { labels, value } of refusals) {
    if (value > 0) totalsOf(labels).refused.set(String(labels.reason), value);
  }
  for (const { labels, counts } of latencies) totalsOf(labels).latencies = counts;
  for (const model of registry.models) {
    const totals = totalsOf({ model: model.name, version: model.version });
    const { inferences, executions } = statistics.of(model);
    totals.rows = inferences;
    totals.runs = executions;
  }
  return found;
}

function isFailure(code: string | undefined): boolean {
  return !refusalCodes.includes(code as ErrorCode) && isFault(String(code));
}
