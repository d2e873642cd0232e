// The health probes of a worker, for Kubernetes, docker-compose and people, and its metrics. They listen on
// PROBE_PORT.
//
//   GET /startupz  200 once the worker has been ready
//   GET /readyz    200 while it is ready
//   GET /livez     200 unless it is stuck
//   GET /metrics   what Prometheus scrapes
//
// If a probe fails, its status is 503. Each probe answers with the `Health` as JSON.

import type { Instruments } from '../shared/metrics/instruments.js';
import {
  openSidePort,
  type SidePort,
  sendAside,
  sendMetrics,
} from '../shared/process/side-port.js';
import type { Health, Status } from './health.js';

/**
 * Starts to answer probes and scrapes, on all addresses of the machine.
 * @throws ScorelineError `configuration_invalid` when the port cannot be used
 */
export async function openProbes(
  port: number,
  readHealth: () => Health,
  instruments: Instruments,
): Promise<SidePort> {
  let hasBeenReady = false;
  const isGood: Record<string, (status: Status) => boolean> = {
    '/startupz': () => hasBeenReady,
    '/readyz': (status) => status === 'ready',
    '/livez': (status) => status !== 'stuck',
  };
  return await openSidePort({ setting: 'PROBE_PORT', port }, (path, request, response) => {
    if (path === '/metrics') return void sendMetrics(request, response, instruments);
    const health = readHealth();
    hasBeenReady ||= health.status === 'ready';
    const judge = isGood[path];
    if (judge) sendAside(response, judge(health.status) ? 200 : 503, health);
    else {
      const paths = [...Object.keys(isGood), '/metrics'].join(', ');
      sendAside(response, 404, { detail: `Expected ${paths}.` });
    }
  });
}
