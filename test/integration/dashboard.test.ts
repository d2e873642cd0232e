// Runs the queries of the dashboard, and the rules, against a real Prometheus that scrapes a real API and a
// real worker under load.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sections } from '../../monitoring/panels.js';
import { runCommand } from '../command.js';
import {
  openRedis,
  post,
  root,
  type Service,
  startService,
  type TestRedis,
  waitUntil,
} from '../harness.js';
import { isInstalled, needing, type Prometheus, startPrometheus } from '../prometheus.js';
import { makeFolder } from '../unit/sample-model.js';

const model = 'faq-matcher';
const panels = sections.flatMap((section) => section.panels);
/** What Grafana puts in for its variables. */
const variables: Readonly<Record<string, string>> = {
  cluster: '.*',
  namespace: '.*',
  job: '.*',
  model: '.*',
  api_price: '0.05',
  worker_price: '0.1',
  __rate_interval: '5s',
};

interface Rule {
  readonly name: string;
  readonly health: 'ok' | 'err' | 'unknown';
  readonly lastError?: string;
}

const title = `the dashboard${needing('prometheus')}`;
describe.skipIf(!isInstalled('prometheus'))(title, () => {
  let redis: TestRedis;
  let service: Service;
  let prometheus: Prometheus;
  let isOver = false;
  let load: Promise<unknown> = Promise.resolve();

  beforeAll(async () => {
    redis = await openRedis();
    service = await startService({
      redisUrl: redis.url,
      models: model,
      environment: { METRICS_PORT: '0', PROBE_PORT: '0', PERMITS_MAX: '16' },
    });
    const [api, worker] = await Promise.all([service.api.ready, service.workers[0]?.ready]);
    const ports = [Number(api.metricsPort), Number(worker?.probePort)];
    const rules = ['alerts.yaml', 'generated/slo.yaml'];
    prometheus = await startPrometheus(
      ports,
      rules.map((file) => path.join(root, 'monitoring', file)),
    );
    // More than the permits, so that some are refused.
    load = Promise.all(Array.from({ length: 20 }, keepAsking));
  });

  afterAll(async () => {
    isOver = true;
    await load;
    await prometheus?.close();
    await service?.close();
    await redis?.close();
  });

  async function keepAsking(): Promise<void> {
    while (!isOver) {
      await post(`${service.url}/v1/models/${model}/score`, { input: 'how do I join two arrays' });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  const queryOf = (expr: string, chosen: Readonly<Record<string, string>> = {}) =>
    expr.replace(
      /\$(\w+)/g,
      (_, name: string) => chosen[name] ?? variables[name] ?? `unknown:${name}`,
    );
  const isKnown = (value: string | undefined) => Number.isFinite(Number(value));

  test.each(panels.flatMap(({ title, queries }) => queries.map((query) => ({ title, ...query }))))(
    'has data for $title: $legend',
    async ({ expr, legend }) => {
      // The private Redis of a test has no limit.
      if (expr.includes('redis_memory_max')) return;
      await waitUntil(`there is data for ${expr}`, async () => {
        const series = await prometheus.query(queryOf(expr));
        return series.some(({ value }) => isKnown(value[1]));
      });
      const [first] = await prometheus.query(queryOf(expr));
      for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
        expect(Object.keys(first?.metric ?? {})).toContain(label);
      }
    },
  );

  test('is not drawn of what is no Prometheus', async () => {
    const file = path.join(makeFolder({}), 'dashboard.svg');
    const parameters = ['--out', file, '--prometheus', service.url];
    const { code, err } = await runCommand('dashboard', parameters);
    expect([code, err]).toEqual([
      1,
      `${service.url}: expected Prometheus; something else answers there\n`,
    ]);
    expect(existsSync(file)).toBe(false);
  });

  test('shows nothing of another service, nor of other programs', async () => {
    await waitUntil('Prometheus has scraped itself', async () => {
      return (await prometheus.query('process_cpu_seconds_total{job="prometheus"}')).length > 0;
    });
    for (const { expr } of panels.flatMap(({ queries }) => queries)) {
      const of = (chosen: Readonly<Record<string, string>>) =>
        prometheus.query(queryOf(expr, chosen));
      expect(await of({ job: 'prometheus' }), expr).toEqual([]);
      expect(await of({ namespace: 'another' }), expr).toEqual([]);
      const jobs = (await of({})).map(({ metric }) => metric.job ?? 'scoreline');
      expect(new Set([...jobs, 'scoreline']), expr).toEqual(new Set(['scoreline']));
    }
  });

  test('shows what happens: items, refusals, and the share of requests that fail', async () => {
    const firstOf = async (expr: string) => {
      const series = await prometheus.query(expr);
      return Number(series[0]?.value[1]);
    };
    await waitUntil('items are seen', async () => {
      return (await firstOf('sum(rate(scoreline_items_total{code="ok"}[10s]))')) > 1;
    });
    await waitUntil('refusals are seen', async () => {
      return (await firstOf('sum(rate(scoreline_refusals_total{reason="permits"}[10s]))')) > 0;
    });
    await waitUntil('they count against the goal', async () => {
      const share = `scoreline:slo_errors:ratio_rate5m{model="${model}", slo="availability"}`;
      return (await firstOf(share)) > 0;
    });
  });

  test('evaluates all rules without a fault', async () => {
    const readRules = async () => {
      const response = await fetch(`${prometheus.url}/api/v1/rules`);
      const { data } = (await response.json()) as { data: { groups: { rules: Rule[] }[] } };
      return data.groups.flatMap(({ rules }) => rules);
    };
    await waitUntil('all are evaluated', async () =>
      (await readRules()).every(({ health }) => health !== 'unknown'),
    );
    const rules = await readRules();
    expect(rules.length).toBeGreaterThan(30);
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
  });
});

test('the dashboard asks Grafana for no variable that it has not', () => {
  const file = path.join(root, 'monitoring/generated/dashboard.json');
  const dashboard = JSON.parse(readFileSync(file, 'utf8')) as {
    templating: { list: { name: string }[] };
    panels: { id: number; targets?: { expr: string }[] }[];
  };
  const known = [...dashboard.templating.list.map(({ name }) => name), '__rate_interval'];
  const exprs = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  const used = exprs.flatMap((expr) => [...expr.matchAll(/\$(\w+)/g)].map(([, name]) => name));
  for (const name of used) expect(known).toContain(name);
  const ids = dashboard.panels.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
});
