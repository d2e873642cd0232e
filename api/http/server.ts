// The HTTP server under Express: its limits, its prototypes, and how it ends.

import { once } from 'node:events';
import { createServer, IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Express } from 'express';
import type { Configurations } from '../../shared/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import type { App } from './app.js';

/** How long requests that are ended at the shutdown have to send their answer. */
const lastWordMs = 200;

export interface RunningServer {
  readonly address: string;
  readonly port: number;
  /**
   * Lets requests in flight finish; each connection is closed as soon as it is idle. After
   * `withinMs` the others get `onTimeUp`, and a moment later the end of their connections.
   */
  close(withinMs: number, onTimeUp: () => void): Promise<void>;
}

/** @throws ScorelineError `configuration_invalid` when the port cannot be used */
export async function startServer(
  app: App,
  configuration: Configurations['api'],
): Promise<RunningServer> {
  let closing = false;
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    // A client of an instance that is leaving connects to another one next time.
    if (closing) response.setHeader('Connection', 'close');
    app.serve(request, response);
  };
  const server = createServer(
    {
      ...makePrototypes(app.express),
      headersTimeout: configuration.HEADERS_MS_MAX,
      requestTimeout: configuration.REQUEST_MS_MAX,
      connectionsCheckingInterval: 1000,
    },
    serve,
  );
  // A client that asks before it sends its body is told to go on when the body is read, so one
  // that is refused sends nothing.
  server.on('checkContinue', serve);
  server.maxConnections = configuration.CONNECTIONS_MAX;
  // Longer than the idle time of common load balancers. Otherwise they would write to a connection that
  // is just being closed.
  server.keepAliveTimeout = 75_000;
  const unused = trackUnused(server);
  await listen(server, configuration);

  return {
    ...(server.address() as AddressInfo),
    close: async (withinMs, onTimeUp) => {
      closing = true;
      for (const socket of unused) socket.destroy();
      await closeServer(server, withinMs, onTimeUp);
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
  // Node accepts one connection per turn of its loop. With the default backlog of 511, Linux drops
  // connections that wait in a busy moment, and their clients try again only after one second, then three.
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
  for (const event of ['request', 'checkContinue']) {
    server.on(event, (request: IncomingMessage) => unused.delete(request.socket));
  }
  return unused;
}

async function closeServer(server: Server, withinMs: number, onTimeUp: () => void): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const timeUp = setTimeout(onTimeUp, withinMs);
  const cutOff = setTimeout(() => server.closeAllConnections(), withinMs + lastWordMs);
  await closed;
  clearInterval(idle);
  clearTimeout(timeUp);
  clearTimeout(cutOff);
}
