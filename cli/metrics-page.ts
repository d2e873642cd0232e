// Writes docs/metrics.md from the table of metrics.

import { overloadReasons } from '../shared/errors.js';
import { type MetricRow, metricTable, refusalCodes } from '../shared/metrics/table.js';

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
inside. The metrics name models and versions, and hold no input, no key and no caller.

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
models and addresses add no series. Each model has about 100 series in the API and 90 in a worker.

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

## Alerts

[\`monitoring/alerts.yaml\`](../monitoring/alerts.yaml) has rules for Prometheus. Load it under \`rule_files\`. The
names of jobs do not matter to it, except that \`up\` is only looked at for jobs that begin with \`scoreline\`.

| alert | when | what to do |
|---|---|---|
| <a id="oldest-request-waits"></a>\`ScorelineOldestRequestWaits\` | A request has waited for half of its deadline, for 15 s. | Compare \`scoreline_workers\` with what the load needs ([scaling.md](scaling.md)). If there are enough, look at \`scoreline_run_duration_seconds\`: the model has become slow. If there are too few, look at KEDA's ScaledObject and at machines that do not start. |
| <a id="refuses-requests"></a>\`ScorelineRefusesRequests\` | More than 1 % of the requests to a model were refused, for 2 minutes. | The label \`reason\` says why. \`wait_too_long\` and \`queue_full\`: add workers. \`permits\`, \`model_share\` and \`bodies\`: add API instances. \`rate_limited\` and \`concurrency_limited\`: one caller is over its limits, which may be right. |
| <a id="no-worker"></a>\`ScorelineNoWorker\` | A model has items in its queue and no worker, for 5 minutes. | Find out why none starts: \`kubectl describe pod\`, the log of the worker, the ScaledObject. A worker that cannot load the model says so in its log. |
| <a id="crash-loop"></a>\`ScorelineCrashLoop\` | A process has started more than twice in 10 minutes. | Read the last lines of its log. If \`scoreline_recovered_jobs_total\` rises, an input crashes the model: the quarantine answers it with \`model_crashed\`, and the log names the job. |
| <a id="inputs-crash-model"></a>\`ScorelineInputsCrashModel\` | Items ended with \`model_crashed\`. | The caller gets \`model_crashed\`. Find the input, and mend the model or refuse the input before it. |
| <a id="redis-away"></a>\`ScorelineRedisAway\` | A process has had no connection to Redis for 30 s. | Requests get 503 meanwhile. Check that Redis runs, the network, and REDIS_URL ([failures.md](failures.md)). |
| <a id="not-scraped"></a>\`ScorelineNotScraped\` | Prometheus has not reached a process for 2 minutes. | Check that the process runs, and that the network lets Prometheus reach its port. |
`;
}

function labels({ labels: names }: MetricRow): string {
  return names.length === 0 ? '' : names.map((name) => `\`${name}\``).join(', ');
}
