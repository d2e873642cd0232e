// The health probes of a worker, for Kubernetes, docker-compose and people. They listen on PROBE_PORT.
//
//   GET /startupz  200 once the worker has been ready
//   GET /readyz    200 while it is ready
//   GET /livez     200 unless it is stuck
//
// Otherwise the status is 503. Each answers with the `Health` as JSON.

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ScorelineError } from '../shared/errors.js';
import type { Health, Status } from './health.js';

export interface Probes {
  readonly port: number;
  close(): void;
}

/**
 * Starts to answer probes, on all addresses of the machine.
 * @throws ScorelineError `configuration_invalid` when the port cannot be used
 */
export async function openProbes(port: number, readHealth: () => Health): Promise<Probes> {
  let hasBeenReady = false;
  const isGood: Record<string, (status: Status) => boolean> = {
    '/startupz': () => hasBeenReady,
    '/readyz': (status) => status === 'ready',
    '/livez': (status) => status !== 'stuck',
  };
  const server = createServer((request, response) => {
    const health = readHealth();
    hasBeenReady ||= health.status === 'ready';
    const judge = isGood[(request.url ?? '').split('?', 1)[0] as string];
    if (judge) send(response, judge(health.status) ? 200 : 503, health);
    else send(response, 404, { detail: `Expected ${Object.keys(isGood).join(', ')}.` });
  });
  server.listen(port);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new ScorelineError(
      'configuration_invalid',
      `PROBE_PORT: expected a port that this process can listen on; got ${port} (${(error as NodeJS.ErrnoException).code}). Choose another.`,
    );
  }
  // Probes alone must not keep a process alive that has nothing else to do.
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  // A prober that keeps its connection would otherwise see it cut when the worker ends.
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}
