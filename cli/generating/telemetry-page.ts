// Writes docs/telemetry.md from the tables of spans, attributes, events and fields of the log, and from the drawing of a
// trace, which test/telemetry makes (DRAW_TRACE=1).

import { requestFieldTable } from '../../shared/process/log-fields.js';
import { attributeTable, eventTable, spanTable } from '../../shared/telemetry/attributes.js';

/** Returns the page. `header` says that it is generated, and `drawing` is a trace as it arrived. */
export function telemetryPage(header: string, drawing: string): string {
  return `# Telemetry

${header}

API and workers send traces, metrics and logs to an OpenTelemetry receiver (OTLP), to Azure Monitor, or to both. Without
the settings below nothing is sent, and no library for it is loaded. Prometheus can scrape the same metrics
([metrics.md](metrics.md)).

## Switch it on

| to send to | set |
|---|---|
| a collector, or any receiver of OTLP | \`OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318\` (and \`OTEL_EXPORTER_OTLP_PROTOCOL=grpc\` for port 4317) |
| Azure Monitor | \`APPLICATIONINSIGHTS_CONNECTION_STRING\`, from the overview of the Application Insights resource |
| one receiver a signal, or fewer signals | \`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT\` and so on; \`OTEL_LOGS_EXPORTER=none\` |
| nothing, for now | \`OTEL_SDK_DISABLED=true\` |

Set the same for the API and the workers. [configuration.md](configuration.md) has every setting; the further \`OTEL_BSP_*\`,
\`OTEL_BLRP_*\` and \`OTEL_EXPORTER_OTLP_*\` variables of the OpenTelemetry specification hold as well. A wrong value of a setting
in configuration.md stops the process when it starts, and the error says what was expected. The further variables are not
checked. For Kubernetes see
[kubernetes.md](kubernetes.md#telemetry); \`docker-compose.yml\` passes the variables on.

An endpoint that is down, slow or refusing costs no request anything. Spans and records wait in queues of 2048 each, and
what does not fit is dropped. Lines in the log tell of failed exports and of dropped spans, less and less often, down to one
a minute. Records that are dropped are in the log of the process all the same. When a process ends, the last export may take
2 s, within \`SHUTDOWN_MS\` and the second that follows it.

## A trace

A request is one trace across API and worker, although requests share jobs and batches. This one arrived at a receiver of
OTLP: service, start and duration in milliseconds. \`⇄\` marks links.

\`\`\`
${drawing.trimEnd()}
\`\`\`

The spans \`queue\` to \`reply\` are made by the worker once the item is answered, so no reply waits for them. A worker that is
killed leaves no span. The one that takes over says \`scoreline.recovered\` and has the event \`worker_lost\`. Its spans begin at
the first submission, so the lost time is in \`queue\`.

A request continues the trace of its client if it has a \`traceparent\` (W3C Trace Context), as a header or as metadata of
gRPC. The answer of a traced request has \`traceresponse\`, with the id of the trace. An item carries its context only if its
request is traced. Workers and APIs of earlier releases ignore it, so a rolling update needs no order.

No library is patched: the spans are made by hand, from times that are known anyway.

| span | kind | made by | meaning |
|---|---|---|---|
${Object.entries(spanTable)
  .map(([name, { kind, by, meaning }]) => `| \`${name}\` | ${kind} | ${by} | ${meaning} |`)
  .join('\n')}

| attribute | on | meaning |
|---|---|---|
${Object.entries(attributeTable)
  .map(
    ([name, { on, meaning }]) =>
      `| \`${name}\` | ${on.map((span) => `\`${span}\``).join(', ')} | ${meaning} |`,
  )
  .join('\n')}

| event | meaning |
|---|---|
${Object.entries(eventTable)
  .map(([name, meaning]) => `| \`${name}\` | ${meaning} |`)
  .join('\n')}

## Sampling

\`OTEL_TRACES_SAMPLER\` decides when a request arrives (head sampling), once for all processes: workers follow the API.
\`parentbased_traceidratio\` with \`OTEL_TRACES_SAMPLER_ARG=0.05\` traces one request in twenty, and all whose client traces them.
A request that is left out costs nothing beyond the decision. With one in twenty traced and everything sent by OTLP, the FAQ
matcher answered 0.95 times the requests a second at 64 clients. The API took 1.13 and the worker 1.10 times the processor time
(\`npm run bench -- sampling\`, quiet machine, 2026-11-26).

Nobody knows on arrival which request will fail. So if one that was left out fails (429, 499, and 500 or above) or is slow
(\`TRACES_SLOW_MS\`), the API sends its own span after all, with \`scoreline.kept_for\`. \`scoreline.queue_ms\`,
\`scoreline.batch_ms\` and \`scoreline.compute_ms\` say where its time went. The other spans of that trace do not exist. There
are at most ten a second from each process. With \`always_off\` and \`parentbased_always_off\` there are none.

With the samplers whose names begin with \`parentbased\`, a client that says its own trace is sampled is traced. Where clients
are strangers, \`traceidratio\` or \`OTEL_PROPAGATORS=none\` leave the choice to you.

For whole traces of all failures, send everything (\`parentbased_always_on\`) to a collector near by, and let its
\`tail_sampling\` processor choose.

## What it costs

Switched off, telemetry costs about 0.1 % of the 220 µs that API and worker take for a text of the FAQ matcher. The API still
notes when a request arrives (0.11 µs) and when the preparation of its inputs begins and ends (0.13 µs), and a job has a field for
the trace (too little to measure). In turn with a build without these places, eight starts of each on a quiet machine, a text took
100.8 and 101.2 µs in the API, and 139.3 and 140.3 in the worker. The ratio of their sums, with and without, was 1.001 with a
standard error of 0.008 (2026-11-26).

\`npm run bench -- sampling\` prints what \`/metrics\` and traces cost on your machine.

## Metrics

The metrics are those of [metrics.md](metrics.md), under the same names, every \`OTEL_METRIC_EXPORT_INTERVAL\`. They are read from
the same counters, so \`/metrics\` and OTLP agree, and measuring costs nothing twice. OTLP gets sums since the start
unless \`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE\` says otherwise; Azure Monitor gets what was added since the last
export, and only series that have changed. Its histograms have count and sum, without buckets, because Azure Monitor
has none.

Histograms have fixed buckets everywhere. Native histograms of Prometheus and exponential ones of OpenTelemetry are not
made, because prom-client does not know them.

**Exemplars.** A scraper that asks for OpenMetrics gets the trace of the latest traced request with each bucket. Prometheus
does so with \`--enable-feature=exemplar-storage\`, and Grafana then links a point of a latency panel to its trace.

## Logs

One line for each request that is refused or fails, none for others. \`ACCESS_LOG_RATIO=0.01\` adds a line for one answered request
in a hundred. Failures of ours have the level \`error\`, refusals and deadlines \`warn\`, and mistakes of clients \`info\`. Each
code has ten lines a second at most, and \`leftOut\` counts the others. With telemetry on, every line of the log is sent as
a log record too, and belongs to the trace that it names.

| field | meaning |
|---|---|
${Object.entries(requestFieldTable)
  .map(([name, meaning]) => `| \`${name}\` | ${meaning} |`)
  .join('\n')}

No line and no span holds an input, a result, a key or a token, except that the traceback of a
[Python program](python.md) in \`err\` may hold an input.

## Azure Monitor

\`@azure/monitor-opentelemetry\` sends the spans as requests and dependencies, the log as traces, and the metrics as custom
metrics. Its own instrumentations, live metrics, standard metrics and performance counters are off: they patch libraries,
or count sampled requests only. With \`parentbased_traceidratio\`, requests carry the sampling rate, so the portal scales their
numbers up. The package takes a second at start and 37 MB of memory; OTLP alone takes 20 MB.

\`ai.cloud.role\` is \`scoreline.scoreline-api\` or \`scoreline.scoreline-worker\`; \`OTEL_SERVICE_NAME\` and
\`OTEL_RESOURCE_ATTRIBUTES\` change it. In the transaction search, a request shows its whole trace, and *Related
items* leads along the links to the batch.
`;
}
