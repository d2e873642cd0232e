// Answers what Node does not hand over as a request: bytes that are no HTTP, a head that is too long, a
// request that takes too long, and CONNECT. Node itself would answer with a bare status or just hang up.
//
// The connection is closed after the answer. A whole request that came before on the same connection is
// answered first, and none is answered twice. One whose time is up is not served if its rest comes after all.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Configurations } from '../../shared/configuration/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import type { GatedRequest } from './gated-request.js';
import { sendProblem } from './problem.js';

/** The time that a client gets to read the answer before its connection is closed. */
const readAnswerMs = 1000;

export function answerBrokenRequests(
  server: Server,
  options: {
    prototypes: {
      IncomingMessage: new (socket: Socket) => IncomingMessage;
      ServerResponse: new (request: IncomingMessage) => ServerResponse;
    };
    configuration: Pick<Configurations['api'], 'HEADERS_MS_MAX' | 'REQUEST_MS_MAX'>;
  },
): void {
  const { prototypes, configuration } = options;
  /** The response to the latest request of each connection. */
  const latest = new WeakMap<Socket, ServerResponse>();
  /** Connections on which nothing more is read. */
  const ended = new WeakSet<Socket>();

  for (const event of ['request', 'checkContinue', 'checkExpectation']) {
    server.prependListener(event, (request: IncomingMessage, response: ServerResponse) => {
      latest.set(request.socket, response);
    });
  }

  const answerNew = (socket: Socket, error: ScorelineError, request: IncomingMessage) => {
    const response = new prototypes.ServerResponse(request);
    response.assignSocket(socket);
    if (error.code === 'method_not_allowed') response.setHeader('Allow', 'GET, HEAD, POST');
    response.shouldKeepAlive = false;
    response.once('finish', () => closeSoon(socket));
    sendProblem(response, error);
  };

  server.on('clientError', (thrown: NodeJS.ErrnoException, duplex: Duplex) => {
    const socket = duplex as Socket;
    if (ended.has(socket)) return;
    if (isStream(latest.get(socket))) {
      // It may take as long as its client sends, and has a limit of its own for pauses (lines.ts). After anything
      // else, nothing more can come, and its answer is not to be taken for a whole one.
      if (!isTimeout(thrown)) socket.destroy();
      return;
    }
    if (!socket.writable) return void socket.destroy();
    const response = latest.get(socket);
    // Its body is not read while it waits behind another request (one-at-a-time.ts).
    if (isTimeout(thrown) && response && waitsForTurn(response, socket)) return;
    ended.add(socket);
    const error = explain(thrown, configuration);
    const answerBroken = () => {
      const isNext = latest.get(socket) === response;
      if (isNext) answerNew(socket, error, new prototypes.IncomingMessage(socket));
      // Node goes on reading after a time is up. If the rest of the request has come, it has the connection.
      else closeSoon(socket);
    };
    if (!response || response.req.complete) afterFinish(response, answerBroken);
    else if (response.headersSent) afterFinish(response, () => closeSoon(socket));
    else if (response.socket === socket) {
      // Its route may still want to answer, and then does so into the void.
      response.detachSocket(socket);
      answerBroken();
    } else socket.destroy();
  });

  server.on('connect', (request: IncomingMessage, duplex: Duplex) => {
    const socket = duplex as Socket;
    socket.on('error', () => socket.destroy());
    const error = new ScorelineError(
      'method_not_allowed',
      'Expected GET, HEAD or POST; got CONNECT. This is no proxy.',
    );
    afterFinish(latest.get(socket), () => answerNew(socket, error, request));
  });
}

/** Goes on once a response has left its connection to the next one. */
function afterFinish(response: ServerResponse | undefined, goOn: () => void): void {
  const isFree = !response || (response.writableFinished && response.socket === null);
  if (isFree) goOn();
  else response.once('finish', goOn);
}

/** Closing at once could take the answer from a client that is still sending. */
function closeSoon(socket: Socket): void {
  socket.end();
  setTimeout(() => socket.destroy(), readAnswerMs).unref();
}

function waitsForTurn(response: ServerResponse, socket: Socket): boolean {
  return !response.req.complete && response.socket !== socket && !response.headersSent;
}

function isTimeout({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_HTTP_REQUEST_TIMEOUT';
}

function isStream(response: ServerResponse | undefined): boolean {
  if (!response) return false;
  const { call, complete }: GatedRequest = response.req;
  return !complete && call?.isStream === true;
}

function explain(
  { code }: NodeJS.ErrnoException,
  {
    HEADERS_MS_MAX,
    REQUEST_MS_MAX,
  }: Pick<Configurations['api'], 'HEADERS_MS_MAX' | 'REQUEST_MS_MAX'>,
): ScorelineError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ScorelineError(
        'request_timeout',
        `Expected the headers within ${HEADERS_MS_MAX} ms, and the whole request within ${REQUEST_MS_MAX} ms; it took longer.`,
      );
    case 'HPE_HEADER_OVERFLOW':
      return new ScorelineError(
        'headers_too_large',
        `Expected at most ${maxHeaderSize} bytes of address and headers; got more.`,
      );
    default:
      return new ScorelineError(
        'request_invalid',
        'Expected a request as HTTP/1.1 has it, whose body has one length or comes in chunks; got other bytes. Check what writes the request, and the proxies on its way.',
      );
  }
}
