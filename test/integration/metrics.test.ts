// Tests the metrics of a real API and a real worker, against the table, promtool and Prometheus.

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { receiverSettings } from '../../chaos/receiver.js';
import { type MetricRow, metricTable } from '../../shared/metrics/table.js';
import { encodeStrings } from '../../shared/tensors/tensors.js';
import { parseMetrics, type Sample } from '../../top/exposition.js';
import { ask, openRedisForAll, type Service, startService, waitUntil } from '../harness.js';
import { isInstalled, needing, promtool, startPrometheus } from '../prometheus.js';
import { askGrpc, encodeInfer } from './grpc-client.js';

const model = 'faq-matcher';
const rows: readonly MetricRow[] = Object.values(metricTable);
const redis = await openRedisForAll();
let service: Service;
let ports: { readonly api: number; readonly worker: number };

beforeAll(async () => {
  service = await startService({
    redisUrl: redis.url,
    models: model,
    environment: {
      ...{ METRICS_PORT: '0', GRPC_PORT: '0', PROBE_PORT: '0', PERMITS_MAX: '16' },
      ...receiverSettings({ origin: 'http://127.0.0.1:9' }),
    },
  });
  const [api, worker] = await Promise.all([service.api.ready, service.workers[0]?.ready]);
  ports = { api: Number(api.metricsPort), worker: Number(worker?.probePort) };
});

afterAll(() => service?.close());

async function scrape(role: 'api' | 'worker'): Promise<string> {
  const { status, headers, body } = await ask(`http://127.0.0.1:${ports[role]}/metrics`);
  expect(status).toBe(200);
  expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  return body;
}

/** Returns the samples of a metric whose labels have these values. */
async function read(
  role: 'api' | 'worker',
  name: string,
  labels: Record<string, string> = {},
): Promise<readonly Sample[]> {
  const families = parseMetrics(await scrape(role));
  const samples = [...families.values()].flatMap((family) => family.samples);
  return samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
}

async function total(...of: Parameters<typeof read>): Promise<number> {
  return (await read(...of)).reduce((sum, { value }) => sum + value, 0);
}

const score = (name = model, input: unknown = 'how do I join two arrays') =>
  ask(`${service.url}/v1/models/${name}/score`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ input }),
  });

describe('before the first request', () => {
  test.each(['api', 'worker'] as const)(
    'the %s exports the table and nothing else',
    async (role) => {
      const families = parseMetrics(await scrape(role));
      const expected = rows.filter(({ roles }) => roles.includes(role));
      expect([...families.keys()].toSorted()).toEqual(expected.map(({ name }) => name).toSorted());
      for (const { name, type, meaning, labels } of expected) {
        const family = families.get(name);
        expect(family?.type, name).toBe(type);
        expect(family?.help, name).toBe(meaning.replaceAll('`', ''));
        for (const sample of family?.samples ?? []) {
          const { le: _, ...own } = sample.labels;
          expect(Object.keys(own).toSorted(), name).toEqual([...labels].toSorted());
        }
      }
    },
  );

  test.each(['api', 'worker'] as const)('counters and histograms of the %s are 0', async (role) => {
    const families = parseMetrics(await scrape(role));
    for (const { name, type, roles } of rows) {
      const isOurs = name.startsWith('scoreline_') && !name.startsWith('scoreline_redis');
      if (type === 'gauge' || !roles.includes(role) || !isOurs) continue;
      const samples = families.get(name)?.samples ?? [];
      expect(samples.length, name).toBeGreaterThan(0);
      expect(
        samples.map(({ value }) => value),
        name,
      ).toEqual(samples.map(() => 0));
    }
  });

  test('an idle model drains at once, and its load time is known', async () => {
    expect(await read('api', 'scoreline_drain_seconds')).toMatchObject([{ value: 0 }]);
    expect(await read('worker', 'scoreline_model_load_seconds', { model })).toHaveLength(1);
  });

  test('gauges say what there is', async () => {
    await waitUntil('the unanswered items are counted', async () => {
      return (await read('api', 'scoreline_unanswered_items', { model })).length === 1;
    });
    expect(await total('api', 'scoreline_workers', { model })).toBe(1);
    expect(await total('api', 'scoreline_permits_max')).toBe(16);
    expect(await total('api', 'scoreline_redis_up')).toBe(1);
    expect(await total('worker', 'scoreline_redis_up')).toBe(1);
    expect(await total('api', 'scoreline_redis_memory_bytes')).toBeGreaterThan(100_000);
    expect(await total('worker', 'scoreline_worker_state', { state: 'ready' })).toBe(1);
    expect(await total('worker', 'scoreline_worker_state')).toBe(1);
    expect(await total('worker', 'scoreline_model_info', { model, device: 'cpu' })).toBe(1);
  });
});

describe('requests', () => {
  test('are counted by route, model and code, once each', async () => {
    const countOf = (labels: Record<string, string>) =>
      total('api', 'scoreline_requests_total', labels);
    expect((await score()).status).toBe(200);
    expect((await score(model, 5)).status).toBe(400);
    const reference = { method: 'POST', headers: { 'Content-Type': 'application/json' } };
    const body = JSON.stringify({ input: 'how do I join two arrays' });
    expect((await ask(`${service.url}/score`, { ...reference, body })).status).toBe(200);
    await ask(`${service.url}/v2/health/live`);
    await waitUntil('all are counted', async () => (await countOf({})) === 4);
    expect(await countOf({ route: 'native', model, code: 'ok' })).toBe(1);
    expect(await countOf({ route: 'native', model, code: 'input_invalid' })).toBe(1);
    expect(await countOf({ route: 'reference', model, code: 'ok' })).toBe(1);
    expect(await countOf({ route: 'health', code: 'ok' })).toBe(1);
    const durations = 'scoreline_request_duration_seconds_count';
    expect(await total('api', durations, { model })).toBe(3);
    expect(await total('api', 'scoreline_preparation_duration_seconds_count', { model })).toBe(2);
  });

  test('show up at the worker with their times and their batch', async () => {
    await waitUntil('both items are counted', async () => {
      return (await total('worker', 'scoreline_items_total', { model, code: 'ok' })) === 2;
    });
    for (const name of ['queue_wait_seconds', 'batch_wait_seconds']) {
      expect(await total('worker', `scoreline_${name}_count`, { model }), name).toBe(2);
    }
    for (const name of ['run_duration_seconds', 'batch_size_rows']) {
      expect(await total('worker', `scoreline_${name}_count`, { model }), name).toBe(2);
      expect(await total('worker', `scoreline_${name}_sum`, { model }), name).toBeGreaterThan(0);
    }
  });

  test('by gRPC are counted once each, too', async () => {
    const { grpcPort } = await service.api.ready;
    const send = (method: string, message: Uint8Array) =>
      askGrpc(Number(grpcPort), method, message, { deadlineMs: 60_000 });
    const inputs = [{ name: 'text', datatype: 'BYTES', shape: [1] }];
    const raw = [encodeStrings(['how do I join two arrays'])];
    const codes = [
      (await send('ModelInfer', encodeInfer({ model, inputs, raw }))).code,
      (await send('ModelInfer', encodeInfer({ model: 'none', inputs, raw }))).code,
      (await send('ServerLive', new Uint8Array())).code,
    ];
    expect(codes).toEqual([status.OK, status.NOT_FOUND, status.OK]);
    const countOf = (labels: Record<string, string>) =>
      total('api', 'scoreline_requests_total', labels);
    await waitUntil('both are counted', async () => (await countOf({ route: 'grpc' })) === 2);
    expect(await countOf({ route: 'grpc', model, code: 'ok' })).toBe(1);
    expect(await countOf({ route: 'grpc', model: '', code: 'model_not_found' })).toBe(1);
    await waitUntil('the probe is counted', async () => {
      return (await countOf({ route: 'health', code: 'ok' })) === 2;
    });
  });

  test('for unknown models and addresses add no series', async () => {
    const seriesOf = async () => (await scrape('api')).split('\n').length;
    const isCounted = async (amount: number) =>
      (await total('api', 'scoreline_requests_total', { route: 'other', code: 'not_found' })) ===
        amount &&
      (await total('api', 'scoreline_requests_total', {
        route: 'other',
        code: 'model_not_found',
      })) === amount;
    const askBoth = async (name: string) => {
      await ask(`${service.url}/${name}`);
      await score(name);
    };
    await askBoth('first');
    await waitUntil('both are counted', () => isCounted(1));
    const before = await seriesOf();
    for (const name of ['second', 'third', '%22', '__proto__', 'constructor']) await askBoth(name);
    await waitUntil('all are counted', () => isCounted(6));
    expect(await seriesOf()).toBe(before);
  });

  test('that are refused are counted by reason', async () => {
    const refusals = { model, reason: 'permits' };
    let refused = 0;
    await waitUntil('some are refused', async () => {
      const statuses = await Promise.all(
        Array.from({ length: 64 }, async () => (await score()).status),
      );
      refused += statuses.filter((status) => status === 429).length;
      return refused > 0;
    });
    await waitUntil('they are counted', async () => {
      return (await total('api', 'scoreline_refusals_total', refusals)) === refused;
    });
    expect(await total('api', 'scoreline_requests_in_flight')).toBe(0);
    expect(await total('api', 'scoreline_inputs_in_flight')).toBe(0);
  });

  test('cannot reach the metrics on the port of the service', async () => {
    expect((await ask(`${service.url}/metrics`)).status).toBe(404);
  });
});

test.skipIf(!isInstalled('promtool')).each(['api', 'worker'] as const)(
  `promtool finds no fault in the metrics of the %s${needing('promtool')}`,
  async (role) => {
    expect(promtool(['check', 'metrics'], await scrape(role))).toBe('');
  },
);

test.skipIf(!isInstalled('prometheus'))(
  `Prometheus scrapes API and worker${needing('prometheus')}`,
  async () => {
    const prometheus = await startPrometheus(Object.values(ports));
    const isOne = async (text: string) => (await prometheus.query(text))[0]?.value[1] === '1';
    try {
      await waitUntil('both are scraped', () => isOne('sum(up{job="scoreline"}) == bool 2'));
      await waitUntil('it has the items', () => isOne('sum(scoreline_items_total) > bool 0'));
      await waitUntil('it has the age', () =>
        isOne('scoreline_oldest_request_age_seconds < bool 1'),
      );
    } finally {
      await prometheus.close();
    }
  },
  90_000,
);
