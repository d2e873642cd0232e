// Where API and workers send traces, metrics and logs, if anywhere. What is secret about it lies in Secrets, which an
// operator creates.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import type { Values } from './values.js';

export const connectionStringKey = 'connection-string';
export const headersKey = 'headers';

export function telemetryEnvironment({ telemetry, namespace }: Values): IEnvVar[] {
  const { connectionStringSecret, otlp, share } = telemetry;
  if (connectionStringSecret === undefined && !otlp) return [];
  const environment: IEnvVar[] = [];
  const secret = (name: string, from: string, key: string) =>
    environment.push({ name, valueFrom: { secretKeyRef: { name: from, key } } });
  const plain = (name: string, value: string) => environment.push({ name, value });
  if (connectionStringSecret !== undefined) {
    secret('APPLICATIONINSIGHTS_CONNECTION_STRING', connectionStringSecret, connectionStringKey);
  }
  if (otlp) {
    plain('OTEL_EXPORTER_OTLP_ENDPOINT', otlp.endpoint);
    plain('OTEL_EXPORTER_OTLP_PROTOCOL', otlp.protocol);
    if (otlp.headersSecret) secret('OTEL_EXPORTER_OTLP_HEADERS', otlp.headersSecret, headersKey);
  }
  plain('OTEL_TRACES_SAMPLER', 'parentbased_traceidratio');
  plain('OTEL_TRACES_SAMPLER_ARG', `${share}`);
  plain('OTEL_RESOURCE_ATTRIBUTES', `k8s.namespace.name=${namespace}`);
  return environment;
}

/** The ports that telemetry is sent to. Azure Monitor's addresses change. */
export function telemetryPorts({ telemetry }: Values): number[] {
  const { connectionStringSecret, otlp } = telemetry;
  const ports = new Set<number>();
  if (connectionStringSecret !== undefined) ports.add(443);
  if (otlp) {
    const { port, protocol } = new URL(otlp.endpoint);
    ports.add(port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port));
  }
  return [...ports];
}
