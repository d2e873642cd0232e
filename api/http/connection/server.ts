// The HTTP server under Express: its limits, its prototypes and its shutdown.

import {
  createServer,
  IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  type Server,
  ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Express } from 'express';
import type { Configurations } from '../../../shared/configuration/configuration.js';
import { limitConnections } from '../../../shared/process/connections.js';
import { listen } from '../../../shared/process/listen.js';
import type { Logger } from '../../../shared/process/log.js';
import { closeWithin } from '../../closing.js';
import { makeAnswerHeaders } from '../answers/answer-headers.js';
import type { App } from '../app.js';
import type { GatedRequest } from '../gate/gated-request.js';
import { requestIdOf } from '../request-id.js';
import { answerBrokenRequests } from './broken-request.js';
import { oneAtATime } from './one-at-a-time.js';
import type { UntakenAnswers } from './untaken-answers.js';

export interface RunningServer {
  readonly address: string;
  readonly port: number;
  /** Asks the client of each answer from now on to close its connection. */
  leave(): void;
  /**
   * Stops listening, lets requests in flight finish, and closes each connection as soon as it is idle. A head that is
   * arriving has `HEADERS_MS_MAX` from then on. After `withinMs` it calls `onTimeUp`, which should end the remaining
   * requests. A moment later it closes all connections.
   */
  close(withinMs: number, onTimeUp: () => void): Promise<void>;
}

/**
 * Starts to listen.
 * @throws ScorelineError `configuration_invalid` when the port cannot be used
 */
export async function startServer(
  app: App,
  configuration: Configurations['api'],
  untaken: UntakenAnswers,
  log: Logger,
): Promise<RunningServer> {
  let isLeaving = false;
  const serve = oneAtATime((request, response) => {
    // A client should connect to another instance next time.
    if (isLeaving) response.setHeader('Connection', 'close');
    app.serve(request, response);
  });
  const headers = makeAnswerHeaders({ httpsOnly: configuration.HTTPS_ONLY });
  const onWritten = (response: ServerResponse) => untaken.note(response);
  const prototypes = makePrototypes(app.express, { headers, onWritten });
  const server = createServer(
    {
      ...prototypes,
      // The entrance refuses such requests with a reason, Node without one.
      requireHostHeader: false,
      headersTimeout: configuration.HEADERS_MS_MAX,
      requestTimeout: configuration.REQUEST_MS_MAX,
      connectionsCheckingInterval: 1000,
    },
    serve,
  );
  // A client that sends `Expect: 100-continue` gets its 100 only when we read its body. So a refused
  // client sends no body.
  server.on('checkContinue', serve);
  server.on('checkExpectation', serve);
  answerBrokenRequests(server, { prototypes, configuration });
  limitConnections(server, configuration.CONNECTIONS_MAX, log);
  // Longer than the idle time of common load balancers, which could otherwise write to a connection
  // just as we close it.
  server.keepAliveTimeout = 75_000;
  const idle = trackIdle(server);
  // Node does not watch the time of heads any more once the server closes.
  let headsUntil = Number.POSITIVE_INFINITY;
  // Node calls it when the server closes.
  server.closeIdleConnections = () => {
    const isLate = performance.now() > headsUntil;
    for (const [socket, bytes] of idle) {
      if (isLate || socket.bytesRead === bytes) socket.destroy();
    }
  };
  await listen(server, { host: configuration.HOST, port: configuration.PORT, key: 'PORT' });

  return {
    ...(server.address() as AddressInfo),
    leave: () => {
      isLeaving = true;
    },
    close: async (withinMs, onTimeUp) => {
      isLeaving = true;
      headsUntil = performance.now() + configuration.HEADERS_MS_MAX;
      const closingIdle = setInterval(() => server.closeIdleConnections(), 50);
      await closeWithin(server, withinMs, { onTimeUp, cutOff: () => server.closeAllConnections() });
      clearInterval(closingIdle);
    },
  };
}

type HeadParameters = (string | OutgoingHttpHeaders | OutgoingHttpHeader[] | undefined)[];

/**
 * Makes request and response classes that have the prototypes of Express from the start. Express would
 * otherwise change the prototype of every request and response, and Node 20 does not optimize code that
 * uses such objects. A request without scoring took 150 µs of processor time with changed prototypes,
 * and 42 µs with these classes (measured; on Node 24, 44 and 41).
 */
export function makePrototypes(
  app: Express,
  {
    headers = {},
    onWritten,
  }: {
    /** Those of every answer. */
    headers?: Readonly<Record<string, string>>;
    /** Is told of each answer when it is written as a whole. */
    onWritten?: (response: ServerResponse) => void;
  } = {},
) {
  const common = Object.entries(headers);
  class ApiRequest extends IncomingMessage {}
  class ApiResponse extends ServerResponse<ApiRequest> {
    /** Adds the headers of every answer. Those of this one may be given as an object. */
    override writeHead(status: number, ...given: HeadParameters): this {
      const last = given.at(-1);
      const own = typeof last === 'object' ? (last as OutgoingHttpHeaders) : {};
      // A list, because an object of the names of each answer took 2 µs.
      const fields: OutgoingHttpHeader[] = ['X-Request-Id', requestIdOf(this.req)];
      const { trace }: GatedRequest = this.req;
      if (trace) fields.push('traceresponse', trace.response);
      for (const [name, value] of common) if (!(name in own)) fields.push(name, value);
      for (const name in own) fields.push(name, own[name] as OutgoingHttpHeader);
      return super.writeHead(status, fields);
    }

    override end(...given: unknown[]): this {
      super.end(...(given as []));
      onWritten?.(this);
      return this;
    }
  }
  Object.setPrototypeOf(ApiRequest.prototype, app.request);
  Object.setPrototypeOf(ApiResponse.prototype, app.response);
  Object.assign(app, { request: ApiRequest.prototype, response: ApiResponse.prototype });
  return { IncomingMessage: ApiRequest, ServerResponse: ApiResponse };
}

/**
 * Tracks connections without a request that still waits for its answer, or for its client to take it. Node counts a
 * connection as idle as soon as its answer is written, and not before its first request.
 * @returns how many bytes had been read of each by then; if there are more, a request is arriving
 */
function trackIdle(server: Server): ReadonlyMap<Socket, number> {
  const idle = new Map<Socket, number>();
  const unanswered = new WeakMap<Socket, number>();
  const count = (socket: Socket, change: 1 | -1) => {
    const left = (unanswered.get(socket) ?? 0) + change;
    unanswered.set(socket, left);
    if (left > 0) idle.delete(socket);
    else if (!socket.destroyed) idle.set(socket, socket.bytesRead);
  };
  server.on('connection', (socket: Socket) => {
    idle.set(socket, 0);
    socket.once('close', () => idle.delete(socket));
  });
  for (const event of ['request', 'checkContinue', 'checkExpectation']) {
    server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      const { socket } = request;
      const leave = () => count(socket, -1);
      count(socket, 1);
      // The body of a request that was refused may still be coming.
      response.once('close', () => (request.complete ? leave() : request.once('close', leave)));
    });
  }
  return idle;
}
