// The generated files about monitoring: rules for Prometheus and for Azure, the dashboard, the workbook.

import { dump } from 'js-yaml';
import type { Slo } from '../shared/manifest/slo.js';
import { makeAzureRules } from './azure-rules.js';
import { makeDashboard } from './grafana.js';
import type { RuleGroup } from './rules.js';
import { makeSloGroups } from './slo.js';
import { type KustoQuery, makeWorkbook } from './workbook.js';

const header =
  '# Alerts for the goals (`slo`) in the manifests of models. Generated: npm run fix. docs/monitoring.md explains them.\n\n';

/**
 * Returns each file with its text.
 * @param parts.alerts the alerts that do not depend on models
 */
export function makeMonitoringFiles(parts: {
  models: readonly { readonly name: string; readonly slo?: Slo | undefined }[];
  alerts: readonly RuleGroup[];
  queries: readonly KustoQuery[];
}): Readonly<Record<string, string>> {
  const { models, alerts, queries } = parts;
  const goals = makeSloGroups(models);
  return {
    'slo.yaml': header + dump({ groups: goals }, { lineWidth: -1, noRefs: true }),
    'azure-rules.json': toJson(makeAzureRules([...alerts, ...goals])),
    'azure-workbook.json': toJson(makeWorkbook(queries)),
    'dashboard.json': toJson(makeDashboard()),
  };
}

function toJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
