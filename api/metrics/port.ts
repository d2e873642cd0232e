// The metrics of an API instance, and their port. It is not that of the service, so no route leads there from
// outside, and a scraper needs no key. `/livez` is there, too: clients with all connections must not look like a stuck API.

import { Instruments } from '../../shared/metrics/instruments.js';
import { observeProcess } from '../../shared/metrics/process.js';
import { openSidePort, sendAside, sendMetrics } from '../../shared/process/side-port.js';
import type { Telemetry } from '../../shared/telemetry/telemetry.js';

export interface OpenMetrics {
  readonly instruments: Instruments;
  /** Undefined if nobody scrapes. */
  readonly port: number | undefined;
  close(): void;
}

/**
 * Starts to measure, if there is a port for scrapes or telemetry sends metrics. Metrics that parts add later are
 * there from then on.
 * @throws ScorelineError `configuration_invalid` when the port cannot be used
 */
export async function openMetrics({
  port,
  host,
  telemetry,
}: {
  port: number | undefined;
  host: string;
  telemetry: Telemetry | undefined;
}): Promise<OpenMetrics | undefined> {
  if (port === undefined && !telemetry?.sendsMetrics) return undefined;
  const instruments = new Instruments('api');
  const side =
    port === undefined
      ? undefined
      : await openSidePort({ setting: 'METRICS_PORT', port, host }, (path, request, response) => {
          if (path === '/metrics') void sendMetrics(request, response, instruments);
          else if (path === '/livez') sendAside(response, 200, { live: true });
          else sendAside(response, 404, { detail: 'Expected /metrics or /livez.' });
        });
  const endProcess = observeProcess(instruments, 'api');
  telemetry?.sendMetrics(instruments);
  return {
    instruments,
    port: side?.port,
    close: () => {
      endProcess();
      side?.close();
    },
  };
}
