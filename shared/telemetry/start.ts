// Starts telemetry: the assembly of OpenTelemetry's SDK. Only openTelemetry (open.ts) leads here, and only
// if something is to be sent.
//
// Sampling is ours (tracer.ts), so the SDK records every span it is given. Each exporter has a queue of its own
// that drops what does not fit, so an endpoint that is down costs neither memory nor requests.

import { format } from 'node:util';
import { DiagLogLevel, diag } from '@opentelemetry/api';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import type { Role } from '../configuration/configuration.js';
import { otlpSignals, type TelemetryConfiguration } from '../configuration/telemetry.js';
import { coerceError } from '../errors.js';
import type { Instruments } from '../metrics/instruments.js';
import { makeSeldom } from '../process/log.js';
import { within } from '../process/within.js';
import { openLogExporter, openMetricExporter, openSpanExporter } from './exporters.js';
import { makeSendLine } from './log-records.js';
import { makeMetricProducer } from './metric-producer.js';
import type { Sdk, SdkParts } from './sdk.js';
import { makeResource } from './service.js';
import type { Telemetry } from './telemetry.js';
import { makeTracer } from './tracer.js';

/** How long the last export may take when the process ends. */
const closeMsMax = 2000;
/** How the libraries say that a queue was full, or that a receiver has taken only a part. */
const isLoss = /^(Dropped \d+ spans|Received Partial Success)/;

export async function startTelemetry(
  role: Role,
  configuration: TelemetryConfiguration,
  environment: NodeJS.ProcessEnv,
): Promise<Telemetry> {
  let instruments: Instruments | undefined;
  const read = () => instruments;
  const parts = await openOtlp(configuration, read);
  const { APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString } = configuration;
  const whole = { ...parts, resource: makeResource(role) };
  // Azure's package builds the SDK itself, and takes ours for OTLP along. It is loaded only if it is asked for.
  const sdk = connectionString
    ? (await import('./azure-monitor.js')).startAzureMonitor(whole, {
        configuration,
        environment,
        connectionString,
        read,
      })
    : startSdk(whole);
  const isAzure = connectionString !== undefined;
  let closing: Promise<void> | undefined;

  return {
    tracer: sdk.tracer && makeTracer(sdk.tracer, { configuration, isAzure }),
    sendLine: sdk.logger && makeSendLine(sdk.logger),
    sendsMetrics: isAzure || parts.metricReaders.length > 0,
    sendMetrics: (given) => {
      instruments = given;
    },
    reportTo: (log) => {
      const warn = makeSeldom(log);
      const report = (...given: unknown[]) => {
        warn({ reason: readable(given), advice }, 'telemetry could not be sent');
      };
      // Most warnings are about single attributes. These are about spans and records that nobody gets.
      const reportLoss = (...given: unknown[]) => {
        if (isLoss.test(String(given[0]))) report(...given);
      };
      const ignore = () => {};
      diag.setLogger(
        { error: report, warn: reportLoss, info: ignore, debug: ignore, verbose: ignore },
        { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
      );
    },
    close: () => {
      closing ??= within(sdk.close(), closeMsMax);
      return closing;
    },
  };
}

/** Opens the exporters of the signals that are sent by OTLP. They read their endpoints and fields themselves. */
async function openOtlp(
  configuration: TelemetryConfiguration,
  read: () => Instruments | undefined,
): Promise<Omit<SdkParts, 'resource'>> {
  const { traces, metrics, logs } = otlpSignals(configuration);
  const {
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: temporality,
    OTEL_METRIC_EXPORT_INTERVAL: exportIntervalMillis,
    OTEL_EXPORTER_OTLP_TIMEOUT: timeoutMs,
  } = configuration;
  return {
    spanProcessors: traces ? [new BatchSpanProcessor(await openSpanExporter(traces))] : [],
    logRecordProcessors: logs ? [new BatchLogRecordProcessor(await openLogExporter(logs))] : [],
    metricReaders: metrics
      ? [
          new PeriodicExportingMetricReader({
            exporter: await openMetricExporter(metrics),
            exportIntervalMillis,
            exportTimeoutMillis: Math.min(timeoutMs, exportIntervalMillis),
            metricProducers: [makeMetricProducer(read, temporality)],
          }),
        ]
      : [],
  };
}

function startSdk({ resource, spanProcessors, logRecordProcessors, metricReaders }: SdkParts): Sdk {
  const sampler = new AlwaysOnSampler();
  const traces = new BasicTracerProvider({ resource, sampler, spanProcessors });
  const metrics = new MeterProvider({ resource, readers: metricReaders });
  const logs = new LoggerProvider({ resource, processors: logRecordProcessors });
  return {
    tracer: spanProcessors.length > 0 ? traces.getTracer('scoreline') : undefined,
    logger: logRecordProcessors.length > 0 ? logs.getLogger('scoreline') : undefined,
    close: async () => {
      await Promise.allSettled([traces.shutdown(), metrics.shutdown(), logs.shutdown()]);
    },
  };
}

const advice =
  'Check the endpoint or the connection string, and that this process reaches it. Requests are served meanwhile.';

/** The libraries report errors as texts with places, as errors, or as errors in JSON with their stacks. */
function readable([first, ...others]: readonly unknown[]): string {
  if (typeof first !== 'string') return coerceError(first).message;
  try {
    const { message, code } = JSON.parse(first);
    return [message, code].filter(Boolean).join(' ') || first;
  } catch {
    return format(first, ...others);
  }
}
