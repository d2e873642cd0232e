// The part of the configuration that says where traces, metrics and logs are sent to, and which requests are
// traced. The names are those of OpenTelemetry and of Application Insights.

import { z } from 'zod';
import { integer, ratio } from './values.js';

export const signals = ['traces', 'metrics', 'logs'] as const;
export type Signal = (typeof signals)[number];

export const protocols = ['http/protobuf', 'http/json', 'grpc'] as const;
export type Protocol = (typeof protocols)[number];

export const samplers = [
  ...['always_on', 'always_off', 'traceidratio'],
  ...['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'],
] as const;

const propagators = ['tracecontext', 'baggage', 'none'];

const flag = z
  .string()
  .transform((text) => text.toLowerCase())
  .pipe(z.enum(['true', 'false'], 'expected true or false'))
  .transform((text) => text === 'true')
  .default(false);
const url = z
  .url({ protocol: /^https?$/, error: 'expected a URL with http or https' })
  .refine((text) => !text.includes('@'), {
    message: 'expected no user or password in it; OTEL_EXPORTER_OTLP_HEADERS can have them',
  })
  .optional();
const milliseconds = integer(1, 3_600_000, 'a whole number of milliseconds');
const protocol = z.enum(protocols, `expected ${protocols.join(', ')}`);

const exporter = (signal: Signal) =>
  z
    .enum(['otlp', 'none'], 'expected otlp or none')
    .optional()
    .describe(
      `Whether ${signal} are sent by OTLP: \`otlp\`, or \`none\`. If unset, they are if there is an endpoint for them.`,
    );
const endpoint = (signal: Signal) =>
  url.describe(`Where ${signal} are sent to by OTLP, if elsewhere: the whole URL.`);
const protocolOf = (signal: Signal) =>
  protocol.optional().describe(`The protocol of OTLP for ${signal}, if it is another.`);

export const telemetryShape = {
  APPLICATIONINSIGHTS_CONNECTION_STRING: z
    .string()
    .superRefine((text, context) => {
      const fault = findConnectionFault(text);
      if (fault) context.addIssue(`expected a connection string; ${fault}`);
    })
    .optional()
    .describe(
      'The connection string of an Application Insights resource, to which Azure Monitor takes traces, metrics and logs. If unset, nothing is sent there. See [telemetry.md](telemetry.md).',
    ),
  OTEL_SDK_DISABLED: flag.describe('`true` switches all telemetry off but `/metrics` and the log.'),
  OTEL_EXPORTER_OTLP_ENDPOINT: url.describe(
    'Where traces, metrics and logs are sent to by OTLP, such as `http://collector:4318`. If unset, only what has an endpoint or exporter of its own is sent.',
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint('traces'),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: endpoint('metrics'),
  OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: endpoint('logs'),
  OTEL_TRACES_EXPORTER: exporter('traces'),
  OTEL_METRICS_EXPORTER: exporter('metrics'),
  OTEL_LOGS_EXPORTER: exporter('logs'),
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol
    .default('http/protobuf')
    .describe(`The protocol of OTLP: ${protocols.map((name) => `\`${name}\``).join(', ')}.`),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocolOf('traces'),
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: protocolOf('metrics'),
  OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: protocolOf('logs'),
  OTEL_EXPORTER_OTLP_HEADERS: z
    .string()
    .refine(isPairs, 'expected NAME=VALUE, separated by commas')
    .optional()
    .describe('Fields of each request by OTLP, such as `authorization=Bearer%20TOKEN`.'),
  OTEL_EXPORTER_OTLP_TIMEOUT: milliseconds
    .default(10_000)
    .describe('How long an export by OTLP may take, its retries included.'),
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: z
    .string()
    .transform((text) => text.toLowerCase())
    .pipe(z.enum(['cumulative', 'delta', 'lowmemory'], 'expected cumulative, delta or lowmemory'))
    .default('cumulative')
    .describe(
      'Whether counters and histograms are sent by OTLP since the start (`cumulative`) or since the last export.',
    ),
  OTEL_METRIC_EXPORT_INTERVAL: milliseconds
    .default(60_000)
    .describe('How often metrics are sent. Lowering it costs processor time: 2 to 6 ms each time.'),
  OTEL_SERVICE_NAME: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The name of the service in all telemetry. If unset, `scoreline-api` or `scoreline-worker`.',
    ),
  OTEL_RESOURCE_ATTRIBUTES: z
    .string()
    .refine(isPairs, 'expected KEY=VALUE, separated by commas')
    .optional()
    .describe(
      'Attributes of all telemetry of the process, such as `deployment.environment.name=test`.',
    ),
  OTEL_PROPAGATORS: z
    .string()
    .refine(
      (text) => text.split(',').every((name) => propagators.includes(name.trim())),
      'expected tracecontext, or none',
    )
    .default('tracecontext')
    .describe(
      '`tracecontext` continues the traces of clients, by the fields `traceparent` and `tracestate`. `none` starts a trace of its own for each request.',
    ),
  OTEL_TRACES_SAMPLER: z
    .enum(samplers, `expected one of ${samplers.join(', ')}`)
    .default('parentbased_always_on')
    .describe(
      `Which requests are traced: ${samplers.map((name) => `\`${name}\``).join(', ')}. The API decides, and workers follow.`,
    ),
  OTEL_TRACES_SAMPLER_ARG: ratio
    .default(1)
    .describe('The share of requests that the samplers with `traceidratio` trace.'),
};

export type TelemetryConfiguration = Readonly<z.output<z.ZodObject<typeof telemetryShape>>>;

/** Settings that hold secrets. */
export const telemetrySecrets = [
  'APPLICATIONINSIGHTS_CONNECTION_STRING',
  'OTEL_EXPORTER_OTLP_HEADERS',
] as const;

/** Settings that only API processes have, because they are where requests come in. */
export const requestTelemetryShape = {
  TRACES_SLOW_MS: milliseconds
    .optional()
    .describe(
      'From how long on a request counts as slow. If it was not sampled, its own span is sent nevertheless, as that of a failed one. If unset, half of the longest time that it may take.',
    ),
  ACCESS_LOG_RATIO: ratio
    .default(0)
    .describe(
      'The share of answered requests that get a line in the log. Requests that are refused or fail have one anyway. A line costs about 30 µs of processor time.',
    ),
};

/** Returns which signals are sent by OTLP, and how. */
export function otlpSignals(
  configuration: TelemetryConfiguration,
): Partial<Record<Signal, Protocol>> {
  const sent: Partial<Record<Signal, Protocol>> = {};
  for (const signal of signals) {
    const upper = signal.toUpperCase() as Uppercase<Signal>;
    const chosen = configuration[`OTEL_${upper}_EXPORTER`];
    const hasEndpoint =
      configuration.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined ||
      configuration[`OTEL_EXPORTER_OTLP_${upper}_ENDPOINT`] !== undefined;
    if (chosen === 'none' || (chosen === undefined && !hasEndpoint)) continue;
    sent[signal] =
      configuration[`OTEL_EXPORTER_OTLP_${upper}_PROTOCOL`] ??
      configuration.OTEL_EXPORTER_OTLP_PROTOCOL;
  }
  return sent;
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Returns what is wrong with a connection string of Application Insights, without quoting its key. */
function findConnectionFault(text: string): string | undefined {
  const parts = new Map<string, string>();
  for (const part of text.split(';').filter((given) => given.trim() !== '')) {
    const at = part.indexOf('=');
    if (at < 1) return 'a part of it is not KEY=VALUE';
    parts.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim());
  }
  const key = parts.get('instrumentationkey');
  if (key === undefined) return 'it has no InstrumentationKey';
  if (!uuid.test(key)) return 'its InstrumentationKey is no UUID';
  const ingestion = parts.get('ingestionendpoint');
  if (ingestion !== undefined && !/^https:\/\/[^/]/.test(ingestion)) {
    return 'its IngestionEndpoint is no URL with https';
  }
  return undefined;
}

function isPairs(text: string): boolean {
  return text.split(',').every((pair) => /^\s*[^=\s]+\s*=.*$/.test(pair) || pair.trim() === '');
}
