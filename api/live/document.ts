// Writes the live view's samples: a column for each number, so a page can draw them as they are.

import type { Model } from '../../shared/registry/models.js';
import { idle, type Percentile, type Point, percentiles } from './point.js';
import type { Sample } from './series.js';
import { nameOf, unnamed } from './totals.js';

/** Numbers by second. A number that nobody knows is null. */
type Column = readonly (number | null)[];

interface Rates {
  readonly requests: Column;
  readonly failures: Column;
  readonly refusals: Readonly<Record<string, Column>>;
}

export interface ModelColumns extends Rates {
  readonly model: string;
  readonly version: string;
  readonly inputs: Column;
  readonly latencyMs: Readonly<Record<Percentile, Column>>;
  readonly batchSize: Column;
  readonly unanswered: Column;
  readonly workers: Column;
}

/** Writes what happened to the requests of a model. */
export function writeModel(model: Model, samples: readonly Sample[]): ModelColumns {
  const name = nameOf(model);
  const points = pointsOf(name, samples);
  const latencies = percentiles.map((each) => [
    each,
    points.map(({ latencyMs }) => latencyMs?.[each] ?? null),
  ]);
  return {
    ...{ model: model.name, version: model.version },
    ...writeRates(points),
    inputs: points.map(({ inputs }) => inputs),
    latencyMs: Object.fromEntries(latencies),
    batchSize: points.map(({ batchSize }) => batchSize ?? null),
    unanswered: samples.map(({ unanswered }) =>
      unanswered.has(name) ? (unanswered.get(name) ?? null) : 0,
    ),
    workers: samples.map(({ workers }) => workers.get(name) ?? null),
  };
}

/** Writes what happened to requests that name no model that is served, or of which it is not known. */
export function writeUnnamed(samples: readonly Sample[]): Rates {
  return writeRates(pointsOf(unnamed, samples));
}

function pointsOf(name: string, samples: readonly Sample[]): readonly Point[] {
  return samples.map(({ points }) => points.get(name) ?? idle);
}

function writeRates(points: readonly Point[]): Rates {
  const reasons = new Set(points.flatMap(({ refusals }) => Object.keys(refusals)));
  const refusals = [...reasons].map((reason) => [
    reason,
    points.map((point) => point.refusals[reason] ?? 0),
  ]);
  return {
    requests: points.map(({ requests }) => requests),
    failures: points.map(({ failures }) => failures),
    refusals: Object.fromEntries(refusals),
  };
}
