// A port beside the service, for those who run it: probes and metrics. It is not for clients.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Instruments } from '../metrics/instruments.js';
import { listen } from './listen.js';

export interface SidePort {
  readonly port: number;
  close(): void;
}

/**
 * Starts to listen, on all addresses of the machine unless a host is given.
 * @param setting the name of the setting that has the port
 * @throws ScorelineError `configuration_invalid` when the port cannot be used
 */
export async function openSidePort(
  { setting, port, host }: { setting: string; port: number; host?: string },
  answer: (path: string, request: IncomingMessage, response: ServerResponse) => void,
): Promise<SidePort> {
  const server = createServer((request, response) =>
    answer((request.url ?? '').split('?', 1)[0] as string, request, response),
  );
  await listen(server, { host, port, key: setting });
  // This port alone must not keep a process alive that has nothing else to do.
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Answers with JSON. */
export function sendAside(response: ServerResponse, status: number, body: unknown): void {
  send(response, status, 'application/json', `${JSON.stringify(body)}\n`);
}

/** Answers a scrape, in the text format of OpenMetrics if it asks for that. */
export async function sendMetrics(
  request: IncomingMessage,
  response: ServerResponse,
  instruments: Pick<Instruments, 'expose'>,
): Promise<void> {
  const isOpen = request.headers.accept?.includes('application/openmetrics-text');
  try {
    const { type, text } = await instruments.expose(isOpen ? 'openmetrics' : 'prometheus');
    send(response, 200, type, text);
  } catch {
    sendAside(response, 500, { detail: 'The metrics could not be read. This is a bug.' });
  }
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  // A prober that keeps its connection would otherwise see it cut when the process ends.
  response.writeHead(status, { 'Content-Type': type, Connection: 'close' });
  response.end(text);
}
