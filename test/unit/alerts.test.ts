import { readFileSync } from 'node:fs';
import path from 'node:path';
import { load } from 'js-yaml';
import { expect, test } from 'vitest';
import { type MetricRow, metricTable } from '../../shared/metrics/table.js';
import { root } from '../harness.js';
import { isInstalled, needing, promtool } from '../prometheus.js';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook: string };
}

const folder = path.join(root, 'monitoring');
/** The files of rules, each with the file of its tests. */
const files = { 'alerts.yaml': 'alerts.test.yaml', 'generated/slo.yaml': 'slo.test.yaml' };
const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');
const rules = Object.keys(files).flatMap((name) => {
  const { groups } = load(read(name)) as { groups: { rules: (Rule | { record: string })[] }[] };
  return groups.flatMap((group) => group.rules.filter((rule) => 'alert' in rule));
});

test('each alert has a line in the docs that says what to do, and a test', () => {
  const tests = Object.values(files).map(read).join();
  for (const { alert, annotations } of rules) {
    const [page = '', anchor] = annotations.runbook.split('#');
    const text = readFileSync(path.join(root, page), 'utf8');
    expect(text).toContain(`| <a id="${anchor}"></a>\`${alert}\` |`);
    expect(tests.match(new RegExp(`alertname: ${alert}\\b`, 'g'))?.length).toBeGreaterThan(0);
  }
});

test('alerts name metrics and labels that exist', () => {
  const rows: readonly MetricRow[] = Object.values(metricTable);
  for (const { alert, expr } of rules) {
    for (const [name] of expr.matchAll(/\b(scoreline|process|nodejs)_[a-z_]+/g)) {
      expect(
        rows.map((row) => row.name),
        alert,
      ).toContain(name);
    }
  }
});

test.skipIf(!isInstalled('promtool')).each(Object.entries(files))(
  `promtool takes %s, and each alert fires on its fault only${needing('promtool')}`,
  (name, tests) => {
    promtool(['check', 'rules', path.join(folder, name)]);
    promtool(['test', 'rules', path.join(folder, tests)]);
  },
);

test.skipIf(!isInstalled('promtool'))(
  `promtool takes the configuration of Prometheus beside docker-compose.yml${needing('promtool')}`,
  () => {
    promtool(['check', 'config', path.join(folder, 'prometheus.yml')]);
  },
);
