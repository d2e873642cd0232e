// The port of the metrics of an API instance. It is not that of the service, so no route leads there from
// outside, and a scraper needs no key.

import { Instruments } from '../../shared/metrics/instruments.js';
import { observeProcess } from '../../shared/metrics/process.js';
import { openSidePort, sendAside, sendMetrics } from '../../shared/side-port.js';

export interface OpenMetrics {
  readonly instruments: Instruments;
  readonly port: number;
  close(): void;
}

/**
 * Starts to answer scrapes. Metrics that parts add later are there from then on.
 * @throws ScorelineError `configuration_invalid` when the port cannot be used
 */
export async function openMetrics(port: number, host: string): Promise<OpenMetrics> {
  const instruments = new Instruments('api');
  const side = await openSidePort({ setting: 'METRICS_PORT', port, host }, (path, _, response) => {
    if (path === '/metrics') void sendMetrics(response, instruments);
    else sendAside(response, 404, { detail: 'Expected /metrics.' });
  });
  const endProcess = observeProcess(instruments, 'api');
  return {
    instruments,
    port: side.port,
    close: () => {
      endProcess();
      side.close();
    },
  };
}
