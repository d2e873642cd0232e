import { expect, test } from 'vitest';
import { idle, pointOf } from '../../api/live/point.js';
import { latencyBounds, makeTotals, readTotals, type Totals } from '../../api/live/totals.js';
import { makeRequestMetrics } from '../../api/metrics/requests.js';
import { Statistics } from '../../api/statistics.js';
import { Instruments } from '../../shared/metrics/instruments.js';
import { makeRegistry } from '../../shared/registry/registry.js';
import { makeSampleModel } from './sample-model.js';

const countsOf = (bound: number, count: number) =>
  latencyBounds.map((each) => (each === bound ? count : 0));
const totals = (given: Partial<Totals>): Totals => ({ ...makeTotals(), ...given });

test('rates are those of the time between two looks', () => {
  const before = totals({ answered: 10, refused: new Map([['permits', 1]]) });
  const now = totals({
    answered: 16,
    rows: 40,
    failed: 1,
    refused: new Map([
      ['permits', 3],
      ['queue_full', 1],
    ]),
  });
  expect(pointOf(before, now, 2000)).toMatchObject({
    requests: 3,
    inputs: 20,
    failures: 0.5,
    refusals: { permits: 1, queue_full: 0.5 },
    latencyMs: undefined,
    batchSize: undefined,
  });
});

test('percentiles and batches are those of the requests between two looks', () => {
  const before = totals({ answered: 1, latencies: countsOf(60, 1), rows: 100, runs: 100 });
  const now = totals({
    answered: 101,
    latencies: countsOf(60, 1).map((count, at) => count + (countsOf(0.1, 100)[at] as number)),
    rows: 120,
    runs: 105,
  });
  expect(pointOf(before, now, 1000)).toMatchObject({
    latencyMs: { p50: 75, p90: 95, p99: 99.5 },
    batchSize: 4,
  });
});

test('what is counted from 0 again, as of a version that came back, makes no rate negative', () => {
  const before = totals({ answered: 50, rows: 500, runs: 50, latencies: countsOf(60, 50) });
  const now = totals({ answered: 60, rows: 20, runs: 10, latencies: countsOf(0.1, 10) });
  expect(pointOf(before, now, 1000)).toMatchObject({
    ...{ requests: 10, inputs: 20, batchSize: 2 },
    latencyMs: { p50: 75, p90: 95, p99: 99.5 },
  });
});

test('a model of which nothing happened is idle', () => {
  expect(pointOf(totals({ answered: 7 }), totals({ answered: 7 }), 1000)).toBe(idle);
});

test('totals are those of requests that score, whatever their code', async () => {
  const model = makeSampleModel({ name: 'text' });
  const registry = makeRegistry([model]);
  const instruments = new Instruments('api');
  makeRequestMetrics(instruments, registry);
  const labels = { model: 'text', version: model.version };
  for (const code of ['ok', 'input_invalid', 'model_failed', 'model_load_failed', 'overloaded']) {
    instruments.add('requests', { route: 'native', ...labels, code });
  }
  instruments.add('requests', { route: 'other', ...labels, code: 'ok' });
  instruments.add('refusals', { ...labels, reason: 'permits' });
  instruments.observe('requestSeconds', labels, 0.002);
  const found = await readTotals({ instruments, registry, statistics: new Statistics() });
  const { latencies, ...counted } = found.get(`text@${model.version}`) as Totals;
  expect(counted).toEqual({
    answered: 5,
    failed: 2,
    refused: new Map([['permits', 1]]),
    rows: 0,
    runs: 0,
  });
  expect(latencies).toEqual(countsOf(0.0025, 1));
});
