// The HTTP server under Express: its limits, its prototypes, and its end.

import { once } from 'node:events';
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Express } from 'express';
import type { Configurations } from '../../shared/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Gate } from './gate.js';

export interface RunningServer {
  readonly address: string;
  readonly port: number;
  /** Lets requests in flight finish; each connection is closed as soon as it is idle. */
  close(withinMs: number): Promise<void>;
}

/** @throws ScorelineError `configuration_invalid` when the port cannot be used */
export async function startServer(
  app: Express,
  configuration: Configurations['api'],
  isRefused: Gate,
): Promise<RunningServer> {
  let closing = false;
  const server = createServer(
    {
      ...makePrototypes(app),
      headersTimeout: configuration.HEADERS_MS_MAX,
      requestTimeout: configuration.REQUEST_MS_MAX,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      // Whoever asks an instance that is leaving shall ask another one next time.
      if (closing) response.setHeader('Connection', 'close');
      if (!isRefused(request, response)) app(request, response);
    },
  );
  server.maxConnections = configuration.CONNECTIONS_MAX;
  // Longer than the idle time of common load balancers, so that they never write to a connection
  // that is just being closed.
  server.keepAliveTimeout = 75_000;
  const unused = trackUnused(server);
  await listen(server, configuration);

  return {
    ...(server.address() as AddressInfo),
    close: async (withinMs) => {
      closing = true;
      for (const socket of unused) socket.destroy();
      await closeServer(server, withinMs);
    },
  };
}

/**
 * Express changes the prototype of every request and response to its own, and Node 20 does not
 * optimize what then uses them: with nothing to score, a request takes 150 µs of processor time, and
 * 42 µs when they are made with that prototype from the start (measured; on Node 24, 44 and 41).
 */
export function makePrototypes(app: Express) {
  class ApiRequest extends IncomingMessage {}
  class ApiResponse extends ServerResponse<ApiRequest> {}
  Object.setPrototypeOf(ApiRequest.prototype, app.request);
  Object.setPrototypeOf(ApiResponse.prototype, app.response);
  Object.assign(app, { request: ApiRequest.prototype, response: ApiResponse.prototype });
  return { IncomingMessage: ApiRequest, ServerResponse: ApiResponse };
}

async function listen(server: Server, { PORT, HOST }: Configurations['api']): Promise<void> {
  // Node accepts one connection each time around its loop. With its backlog of 511, Linux drops what
  // a busy moment leaves waiting, and those clients try again only after a second, then after three.
  server.listen({ port: PORT, host: HOST, backlog: 4096 });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new ScorelineError(
      'configuration_invalid',
      `PORT: expected a port this process can listen on at ${HOST}; got ${PORT} (${(error as NodeJS.ErrnoException).code}). Choose another, as in PORT=8081.`,
    );
  }
}

/** Connections on which nothing was asked yet; Node does not count them as idle. */
function trackUnused(server: Server): ReadonlySet<Socket> {
  const unused = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', (request) => unused.delete(request.socket));
  return unused;
}

async function closeServer(server: Server, withinMs: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const cutOff = setTimeout(() => server.closeAllConnections(), withinMs);
  await closed;
  clearInterval(idle);
  clearTimeout(cutOff);
}
