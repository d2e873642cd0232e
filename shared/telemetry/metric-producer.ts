// The values of prom-client's instruments as OpenTelemetry has them, read once an interval. So both show the same,
// and nothing is counted twice.
//
// prom-client counts since the start (cumulative). A reader whose backend adds up what it gets wants the
// difference to the last time (delta), which each producer remembers for itself.

import { type HrTime, ValueType } from '@opentelemetry/api';
import { millisToHrTime } from '@opentelemetry/core';
import { emptyResource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type Histogram,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { Instruments, MetricValues, Series } from '../metrics/instruments.js';

type Temporality = 'cumulative' | 'delta' | 'lowmemory';

/** @param read the instruments, once there are some */
export function makeMetricProducer(
  read: () => Instruments | undefined,
  temporality: Temporality,
): MetricProducer {
  const startedAt = performance.timeOrigin;
  /** By series, the values at the last collection. */
  const last = new Map<string, Series>();
  let lastAt = startedAt;

  return {
    async collect() {
      const now = performance.timeOrigin + performance.now();
      const values = (await read()?.values()) ?? [];
      const isDelta = temporality !== 'cumulative';
      const since = isDelta ? lastAt : startedAt;
      const times = { startTime: millisToHrTime(since), endTime: millisToHrTime(now) };
      const subtract = (name: string, series: Series): Series => {
        if (!isDelta) return series;
        const key = `${name} ${JSON.stringify(series.labels)}`;
        const before = last.get(key);
        last.set(key, series);
        return before ? difference(series, before) : series;
      };
      const metrics = values.map((metric) => toMetric(metric, { times, isDelta, subtract }));
      lastAt = now;
      const scopeMetrics = [{ scope: { name: 'scoreline' }, metrics }];
      return { resourceMetrics: { resource: emptyResource(), scopeMetrics }, errors: [] };
    },
  };
}

function toMetric(
  { name, type, unit, meaning, bounds, series }: MetricValues,
  {
    times,
    isDelta,
    subtract,
  }: {
    times: { startTime: HrTime; endTime: HrTime };
    isDelta: boolean;
    subtract: (name: string, series: Series) => Series;
  },
): MetricData {
  const descriptor = { name, description: meaning, unit, valueType: ValueType.DOUBLE };
  const aggregationTemporality = isDelta
    ? AggregationTemporality.DELTA
    : AggregationTemporality.CUMULATIVE;
  const toPoint = ({ labels, value }: Series) => ({ ...times, attributes: labels, value });
  if (type === 'gauge') {
    const dataPoints = series.map(toPoint);
    return {
      ...{ descriptor, dataPoints, dataPointType: DataPointType.GAUGE },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
    };
  }
  // Unchanged series add nothing, and Azure Monitor would charge for them.
  const changes = series
    .map((each) => subtract(name, each))
    .filter(({ value, count }) => !isDelta || value !== 0 || count !== 0);
  if (type === 'counter') {
    const dataPoints = changes.map(toPoint);
    const dataPointType = DataPointType.SUM as const;
    return { descriptor, aggregationTemporality, dataPointType, dataPoints, isMonotonic: true };
  }
  const dataPoints = changes.map(
    ({ labels, value, count, counts }): DataPoint<Histogram> => ({
      ...times,
      attributes: labels,
      value: { count, sum: value, buckets: { boundaries: [...bounds], counts: [...counts] } },
    }),
  );
  return { descriptor, aggregationTemporality, dataPointType: DataPointType.HISTOGRAM, dataPoints };
}

/** A counter that has begun again is taken as it is. */
function difference(now: Series, before: Series): Series {
  if (now.count < before.count || (now.counts.length === 0 && now.value < before.value)) return now;
  return {
    labels: now.labels,
    value: now.value - before.value,
    count: now.count - before.count,
    counts: now.counts.map((count, at) => count - (before.counts[at] ?? 0)),
  };
}
