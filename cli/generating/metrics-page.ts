// Writes docs/metrics.md from the table of metrics.

import { overloadReasons } from '../../shared/errors.js';
import { type MetricRow, metricTable, refusalCodes } from '../../shared/metrics/table.js';

/** Returns the page. `header` says that it is generated. */
export function metricsPage(header: string): string {
  const rows: readonly MetricRow[] = Object.values(metricTable);
  const section = (title: string, roles: readonly string[]) => {
    const lines = rows
      .filter((row) => row.roles.join() === roles.join())
      .map(
        (row) =>
          `| \`${row.name}\` | ${row.type} | ${row.unit} | ${labels(row)} | ${row.meaning} |`,
      );
    return `## ${title}\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n${lines.join('\n')}\n`;
  };
  return `# Metrics

${header}

API and workers answer \`GET /metrics\` in the text format of Prometheus: the API on \`METRICS_PORT\`, a worker on
\`PROBE_PORT\`. Without the setting nothing listens, and nothing is measured unless metrics are sent elsewhere. Neither port asks for a key, and
neither is the port of the service: an entrance such as an Ingress leads to \`PORT\` only, so the metrics stay
inside. Operators with the scope \`admin\` also get those of the API at \`/admin/metrics\` on \`PORT\`
([monitoring.md](monitoring.md#who-may-look)). The metrics name models and versions, and hold no input, no key and no
caller.

\`\`\`yaml
scrape_configs:
  - job_name: scoreline
    static_configs:
      - targets: [api:8081, worker:8081]
\`\`\`

A scraper that asks for OpenMetrics gets the trace of a recent request with each bucket ([exemplars](telemetry.md#metrics)).
The same metrics can be sent by OTLP and to Azure Monitor ([telemetry.md](telemetry.md)).

In Kubernetes, the pods carry the annotations that scrapers look for ([kubernetes.md](kubernetes.md#metrics)).
The container images listen on 8081.

Counters and histograms are 0 before their first use. For requests and items, that holds for \`ok\` and for the
faults of the service; the code of a caller's mistake appears with the first one. A gauge whose value is unknown
is absent. Labels have values from the manifests and from tables of the code, never from a request, so unknown
models and addresses add no series. Each model has about 120 series in the API and 90 in a worker.

${section('API', ['api'])}
${section('Worker', ['worker'])}
${section('Both', ['api', 'worker'])}
## Reasons of refusals

The label \`reason\` of \`scoreline_refusals_total\` is one of these, or the code of the error:
${refusalCodes.map((code) => `[\`${code}\`](errors.md#${code})`).join(', ')}.

| reason | meaning |
|---|---|
${Object.entries(overloadReasons)
  .map(([reason, meaning]) => `| \`${reason}\` | ${meaning} |`)
  .join('\n')}

[monitoring.md](monitoring.md) has the dashboard, the alerts with what to do about each, and more.
`;
}

function labels({ labels: names }: MetricRow): string {
  return names.length === 0 ? '' : names.map((name) => `\`${name}\``).join(', ');
}
