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

const file = path.join(root, 'monitoring', 'alerts.yaml');
const { groups } = load(readFileSync(file, 'utf8')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

test('each alert has a line in the docs that says what to do, and a test', () => {
  const tests = readFileSync(path.join(root, 'monitoring', 'alerts.test.yaml'), 'utf8');
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

test.skipIf(!isInstalled('promtool'))(
  `promtool takes the alerts, and each fires on its fault only${needing('promtool')}`,
  () => {
    promtool(['check', 'rules', file]);
    promtool(['test', 'rules', path.join(root, 'monitoring', 'alerts.test.yaml')]);
  },
);
