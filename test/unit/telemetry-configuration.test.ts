import { describe, expect, test } from 'vitest';
import { readConfiguration, redact } from '../../shared/configuration/configuration.js';
import { otlpSignals } from '../../shared/configuration/telemetry.js';
import { errorOf } from './sample-model.js';

const key = '11111111-2222-3333-4444-555555555555';
const read = (environment: NodeJS.ProcessEnv) => readConfiguration('api', environment);

describe('telemetry is refused with', () => {
  test.each([
    [{ APPLICATIONINSIGHTS_CONNECTION_STRING: 'hello' }, 'a part of it is not KEY=VALUE'],
    [{ APPLICATIONINSIGHTS_CONNECTION_STRING: 'A=b' }, 'it has no InstrumentationKey'],
    [{ APPLICATIONINSIGHTS_CONNECTION_STRING: 'InstrumentationKey=1' }, 'is no UUID'],
    [
      {
        APPLICATIONINSIGHTS_CONNECTION_STRING: `InstrumentationKey=${key};IngestionEndpoint=http://a`,
      },
      'its IngestionEndpoint is no URL with https',
    ],
    [{ OTEL_TRACES_SAMPLER: 'sometimes' }, 'expected one of always_on'],
    [{ OTEL_TRACES_SAMPLER_ARG: '2' }, 'expected a number from 0 to 1'],
    [{ OTEL_TRACES_SAMPLER_ARG: '5%' }, 'expected a number from 0 to 1'],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http' }, 'expected http/protobuf, http/json, grpc'],
    [{ OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: 'udp' }, 'expected http/protobuf'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, 'expected a URL with http or https'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://u:hunter2@a' }, 'expected no user or password'],
    [{ OTEL_EXPORTER_OTLP_HEADERS: 'hunter2' }, 'expected NAME=VALUE'],
    [{ OTEL_METRICS_EXPORTER: 'prometheus' }, 'expected otlp or none'],
    [{ OTEL_SDK_DISABLED: 'yes' }, 'expected true or false'],
    [{ OTEL_METRIC_EXPORT_INTERVAL: '0' }, 'OTEL_METRIC_EXPORT_INTERVAL'],
    [{ OTEL_RESOURCE_ATTRIBUTES: 'a' }, 'expected KEY=VALUE'],
    [{ OTEL_PROPAGATORS: 'b3' }, 'expected tracecontext, or none'],
  ])('%o', (environment, reason) => {
    const { code, message } = errorOf(() => read(environment));
    expect(code).toBe('configuration_invalid');
    expect(message).toContain(Object.keys(environment)[0]);
    expect(message).toContain(reason);
    expect(message).not.toContain('hunter2');
  });
});

test('secrets of telemetry are not logged', () => {
  const shown = redact(
    read({
      APPLICATIONINSIGHTS_CONNECTION_STRING: `InstrumentationKey=${key}`,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=hunter2',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://example.com/otlp?api-key=hunter2',
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'https://example.com/v1/logs?api-key=hunter2',
    }),
  );
  expect(JSON.stringify(shown)).not.toMatch(/hunter2|11111111/);
});

describe('by OTLP', () => {
  test.each<[NodeJS.ProcessEnv, object]>([
    [{}, {}],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a:4318' },
      { traces: 'http/protobuf', metrics: 'http/protobuf', logs: 'http/protobuf' },
    ],
    [
      {
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a:4317',
        OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
        OTEL_LOGS_EXPORTER: 'none',
      },
      { traces: 'grpc', metrics: 'grpc' },
    ],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://a/v1/traces' }, { traces: 'http/protobuf' }],
    [
      { OTEL_METRICS_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/json' },
      { metrics: 'http/json' },
    ],
    [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://a' }, {}],
  ])('%o sends %o', (environment, signals) => {
    expect(otlpSignals(read(environment))).toEqual(signals);
  });
});
