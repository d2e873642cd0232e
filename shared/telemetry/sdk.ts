// The parts that an SDK of OpenTelemetry is built from, and the part of it that is used.

import type { Tracer as OtelTracer } from '@opentelemetry/api';
import type { Logger as OtelLogger } from '@opentelemetry/api-logs';
import type { Resource } from '@opentelemetry/resources';
import type { LogRecordProcessor } from '@opentelemetry/sdk-logs';
import type { MetricReader } from '@opentelemetry/sdk-metrics';
import type { SpanProcessor } from '@opentelemetry/sdk-trace-base';

export interface SdkParts {
  readonly resource: Resource;
  readonly spanProcessors: SpanProcessor[];
  readonly logRecordProcessors: LogRecordProcessor[];
  readonly metricReaders: MetricReader[];
}

export interface Sdk {
  /** Undefined if no traces are sent. */
  readonly tracer: OtelTracer | undefined;
  /** Undefined if no logs are sent. */
  readonly logger: OtelLogger | undefined;
  close(): Promise<void>;
}
