// Azure Monitor: the door to Microsoft's packages, which cost a second at start and 37 MB of memory (measured).
//
// Their instrumentations, which patch Node's and other libraries, are off: our spans say more. Their metrics are
// off too, since they count recorded spans only, and ours count every request. Their sampler is set to take
// everything, because it would leave five spans a second, and cut traces apart.

import { shutdownAzureMonitor, useAzureMonitor } from '@azure/monitor-opentelemetry';
import { AzureMonitorMetricExporter } from '@azure/monitor-opentelemetry-exporter';
import { trace } from '@opentelemetry/api';
import { logs } from '@opentelemetry/api-logs';
import { PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import type { TelemetryConfiguration } from '../configuration/telemetry.js';
import type { Instruments } from '../metrics/instruments.js';
import { makeMetricProducer } from './metric-producer.js';
import type { Sdk, SdkParts } from './sdk.js';

const off = { enabled: false };

export function startAzureMonitor(
  parts: SdkParts,
  {
    configuration,
    environment,
    connectionString,
    read,
  }: {
    configuration: TelemetryConfiguration;
    environment: NodeJS.ProcessEnv;
    connectionString: string;
    read: () => Instruments | undefined;
  },
): Sdk {
  // The package applies the sampler a second time, and does not know all of its names.
  delete environment.OTEL_TRACES_SAMPLER;
  delete environment.OTEL_TRACES_SAMPLER_ARG;
  // It reports its own use to Microsoft, with an hour's delay, at addresses that few clusters let through.
  environment.APPLICATIONINSIGHTS_STATSBEAT_DISABLED ??= 'true';
  environment.APPLICATIONINSIGHTS_SDKSTATS_DISABLED ??= 'true';
  // A container's file system may be read-only, and what piles up there would be sent much later.
  const exporter = { connectionString, disableOfflineStorage: true };
  const exportIntervalMillis = configuration.OTEL_METRIC_EXPORT_INTERVAL;
  const reader = new PeriodicExportingMetricReader({
    exporter: new AzureMonitorMetricExporter(exporter),
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(30_000, exportIntervalMillis),
    metricProducers: [makeMetricProducer(read, 'delta')],
  });
  useAzureMonitor({
    azureMonitorExporterOptions: exporter,
    resource: parts.resource,
    tracesPerSecond: 0,
    samplingRatio: 1,
    enableLiveMetrics: false,
    enableStandardMetrics: false,
    enablePerformanceCounters: false,
    instrumentationOptions: {
      ...{ http: off, azureSdk: off, mongoDb: off, mySql: off, postgreSql: off },
      ...{ redis: off, redis4: off, bunyan: off, winston: off },
    },
    spanProcessors: parts.spanProcessors,
    logRecordProcessors: parts.logRecordProcessors,
    metricReaders: [reader, ...parts.metricReaders],
  });
  return {
    tracer: trace.getTracer('scoreline'),
    logger: logs.getLogger('scoreline'),
    close: async () => {
      await shutdownAzureMonitor();
    },
  };
}
