// Where API and workers send traces, metrics and logs, if anywhere. Credentials are in Secrets, which an operator creates.

import type { IEnvVar } from 'kubernetes-models/v1/EnvVar';
import { signals } from '../shared/configuration/telemetry.js';
import { portOf } from './ports.js';
import type { Values } from './values.js';

type Sender = 'api' | 'worker';

export const connectionStringKey = 'connection-string';
export const headersKey = 'headers';

const shareDefault = 0.05;

export function telemetryEnvironment(values: Values, sender: Sender): IEnvVar[] {
  const { telemetry, namespace } = values;
  const { connectionStringSecret, otlp, share = shareDefault } = telemetry;
  if (!sendsTelemetry(values, sender)) return [];
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
  plain('OTEL_TRACES_SAMPLER_ARG', decimalOf(share));
  plain('OTEL_RESOURCE_ATTRIBUTES', `k8s.namespace.name=${namespace}`);
  return environment;
}

/** Whether there is a receiver for anything that API or workers send. */
export function sendsTelemetry(values: Values, sender: Sender): boolean {
  const { connectionStringSecret } = values.telemetry;
  return connectionStringSecret !== undefined || endpointsOf(values, sender).length > 0;
}

/** The ports that telemetry is sent to. Azure Monitor's addresses change. */
export function telemetryPorts(values: Values, sender: Sender): number[] {
  const { connectionStringSecret } = values.telemetry;
  const azure = connectionStringSecret === undefined ? [] : [443];
  const own = endpointsOf(values, sender).map(({ url, protocol }) =>
    portOf(url, { isGrpc: protocol === 'grpc' }),
  );
  return [...new Set([...azure, ...own])];
}

/** Without an exponent, which the services refuse. */
function decimalOf(share: number): string {
  return share.toLocaleString('en-US', { maximumFractionDigits: 20, useGrouping: false });
}

interface Endpoint {
  readonly url: string;
  readonly protocol: string | undefined;
}

/** The endpoint of the values, and those that single signals have by the settings. */
function endpointsOf({ telemetry, api, workers }: Values, sender: Sender): Endpoint[] {
  const { settings } = sender === 'api' ? api : workers;
  const common = telemetry.otlp;
  const ofSignals = signals.map((signal) => {
    const prefix = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}`;
    const protocol =
      settings[`${prefix}_PROTOCOL`] || settings.OTEL_EXPORTER_OTLP_PROTOCOL || common?.protocol;
    return { url: settings[`${prefix}_ENDPOINT`], protocol };
  });
  const all = [{ url: common?.endpoint, protocol: common?.protocol }, ...ofSignals];
  return all.filter((endpoint): endpoint is Endpoint => !!endpoint.url);
}
