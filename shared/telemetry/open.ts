// Opens telemetry. The libraries are loaded only if the configuration asks for it, before the rest of the role is.

import type { Role } from '../configuration/configuration.js';
import { otlpSignals, type TelemetryConfiguration } from '../configuration/telemetry.js';
import type { Telemetry } from './telemetry.js';

/** Starts telemetry if the configuration asks for some. */
export async function openTelemetry(
  role: Role,
  configuration: TelemetryConfiguration,
  environment: NodeJS.ProcessEnv,
): Promise<Telemetry | undefined> {
  const isAsked =
    configuration.APPLICATIONINSIGHTS_CONNECTION_STRING !== undefined ||
    Object.keys(otlpSignals(configuration)).length > 0;
  if (!isAsked || configuration.OTEL_SDK_DISABLED) return undefined;
  const { startTelemetry } = await import('./start.js');
  return startTelemetry(role, configuration, environment);
}
