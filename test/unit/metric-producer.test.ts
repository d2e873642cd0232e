import { expect, test } from 'vitest';
import { Instruments } from '../../shared/metrics/instruments.js';
import { makeMetricProducer } from '../../shared/telemetry/metric-producer.js';
import { parseMetrics } from '../../top/exposition.js';

const model = { model: 'a', version: '1' };
const trace = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };

async function collect(producer: ReturnType<typeof makeMetricProducer>, name: string) {
  const { resourceMetrics } = await producer.collect();
  const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
  return metrics.find(({ descriptor }) => descriptor.name === name);
}

test('exporters get what a scrape shows: every metric, its values and buckets', async () => {
  const instruments = new Instruments('worker');
  instruments.add('recovered', model, 2);
  for (const value of [0.001, 0.3, 1000]) instruments.observe('runSeconds', model, value);
  const producer = makeMetricProducer(() => instruments, 'cumulative');
  const { resourceMetrics } = await producer.collect();
  const names = resourceMetrics.scopeMetrics.flatMap(({ metrics }) =>
    metrics.map(({ descriptor }) => descriptor.name),
  );
  const families = parseMetrics((await instruments.expose()).text);
  expect(names.toSorted()).toEqual([...families.keys()].toSorted());
  const run = await collect(producer, 'scoreline_run_duration_seconds');
  const [point] = run?.dataPoints ?? [];
  expect(point?.attributes).toEqual(model);
  expect(point?.value).toMatchObject({ count: 3, sum: 1000.301 });
  type Buckets = { boundaries: number[]; counts: number[] };
  const { buckets } = (point as { value: unknown }).value as { buckets: Buckets };
  expect(buckets.counts).toHaveLength(buckets.boundaries.length + 1);
  expect(buckets.counts.reduce((sum, count) => sum + count, 0)).toBe(3);
  expect(buckets.counts.at(-1)).toBe(1);
  expect(buckets.counts[buckets.boundaries.indexOf(0.001)]).toBe(1);
});

test('a backend that adds up gets each count once, and nothing that has not changed', async () => {
  const instruments = new Instruments('worker');
  const producers = [0, 1].map(() => makeMetricProducer(() => instruments, 'delta'));
  const [one, other] = producers as [(typeof producers)[0], (typeof producers)[0]];
  const name = 'scoreline_recovered_jobs_total';
  const valuesOf = async (producer: typeof one) =>
    (await collect(producer, name))?.dataPoints.map(({ value }) => value);
  instruments.add('recovered', model, 2);
  expect(await valuesOf(one)).toEqual([2]);
  instruments.add('recovered', model, 3);
  expect(await valuesOf(one)).toEqual([3]);
  expect(await valuesOf(one)).toEqual([]);
  expect(await valuesOf(other)).toEqual([5]);
});

test('before there are instruments, nothing is sent', async () => {
  const producer = makeMetricProducer(() => undefined, 'cumulative');
  expect(await collect(producer, 'scoreline_items_total')).toBeUndefined();
});

test('a bucket names the trace of its latest value, in OpenMetrics only', async () => {
  const instruments = new Instruments('worker');
  instruments.observe('runSeconds', model, 0.3);
  instruments.observe('runSeconds', model, 0.002, trace);
  instruments.add('recovered', model, 1);
  const open = await instruments.expose('openmetrics');
  expect(open.type).toContain('application/openmetrics-text');
  expect(open.text).toMatch(/# EOF\n$/);
  const exemplars = open.text.split('\n').filter((line) => line.includes(' # {'));
  expect(exemplars).toHaveLength(1);
  expect(exemplars[0]).toContain(`trace_id="${trace.traceId}",span_id="${trace.spanId}"} 0.002`);
  expect(exemplars[0]).toContain('le="0.0025"');
  expect(open.text).toContain('scoreline_recovered_jobs_total{model="a",version="1"} 1');
  // One format does not change the other.
  const plain = await instruments.expose();
  expect(plain.text).not.toContain('trace_id');
  expect(plain.text).toContain('\nscoreline_recovered_jobs_total{model="a",version="1"} 1');
  instruments.add('recovered', model, 1);
  expect((await instruments.expose('openmetrics')).text).toContain(
    'scoreline_recovered_jobs_total{model="a",version="1"} 2',
  );
});
