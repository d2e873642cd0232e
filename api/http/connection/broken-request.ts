// Answers what Node does not hand over as a request: bytes that are no HTTP, a head that is too long, a
// request that takes too long, and CONNECT. Node itself would answer with a bare status or just hang up.
//
// The connection is closed after the answer. A whole request that came before on the same connection is
// answered first, and none is answered twice. One whose time is up is not served if its rest comes after all.
//
// While a request waits behind another one on its connection, its body is not read (one-at-a-time.ts). Nor is the
// next head while many wait. That time does not count: the time of the request begins again once it is read.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { maxHeaderSize } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Configurations } from '../../../shared/configuration/configuration.js';
import { ScorelineError } from '../../../shared/errors.js';
import { sendProblem } from '../answers/problem.js';
import type { GatedRequest } from '../gate/gated-request.js';

/** The time that a client gets to read the answer before its connection is closed. */
const readAnswerMs = 1000;

/** The requests of a connection that Node has handed over. */
interface Requests {
  readonly latest: ServerResponse;
  /** How many there were. */
  readonly count: number;
}

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
  const requests = new WeakMap<Socket, Requests>();
  const latestOf = (socket: Socket) => requests.get(socket)?.latest;
  /** Connections on which nothing more is read. */
  const ended = new WeakSet<Socket>();

  for (const event of ['request', 'checkContinue', 'checkExpectation']) {
    server.prependListener(event, (request: IncomingMessage, response: ServerResponse) => {
      const { count = 0 } = requests.get(request.socket) ?? {};
      requests.set(request.socket, { latest: response, count: count + 1 });
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

  /** Begins the time of a request again once it is read. Node reports only once that it is up. */
  const beginAgain = (
    thrown: NodeJS.ErrnoException,
    socket: Socket,
    { latest, count }: Requests,
  ) => {
    const number = latest.req.complete ? count + 1 : count;
    const refuseUnlessHere = () => {
      const now = requests.get(socket) as Requests;
      const isHere = now.count > number || (now.count === number && now.latest.req.complete);
      if (!isHere) answerFault(thrown, socket);
    };
    const begin = () => {
      if (socket.isPaused()) socket.once('resume', begin);
      else setTimeout(refuseUnlessHere, configuration.REQUEST_MS_MAX).unref();
    };
    if (waitsForTurn(latest, socket)) latest.once('socket', begin);
    else begin();
  };

  const answerFault = (thrown: NodeJS.ErrnoException, socket: Socket) => {
    if (ended.has(socket)) return;
    const known = requests.get(socket);
    const response = known?.latest;
    if (isStream(response)) {
      // It may take as long as its client sends, and has a limit of its own for pauses (lines.ts). After anything
      // else, nothing more can come, and its answer is not to be taken for a whole one.
      if (!isTimeout(thrown)) socket.destroy();
      return;
    }
    if (!socket.writable) return void socket.destroy();
    if (isTimeout(thrown) && known && isUnread(known.latest, socket)) {
      return beginAgain(thrown, socket, known);
    }
    ended.add(socket);
    const error = explain(thrown, configuration);
    const answerBroken = () => {
      const isNext = latestOf(socket) === response;
      if (isNext) answerNew(socket, error, new prototypes.IncomingMessage(socket));
      // Node goes on reading after a time is up. If the rest of the request has come, it has the connection.
      else closeSoon(socket);
    };
    const answerInstead = (given: ServerResponse) => {
      // Its route may still want to answer, and then does so into the void.
      given.detachSocket(socket);
      answerBroken();
    };
    if (!response || response.req.complete) afterFinish(response, answerBroken);
    else if (response.headersSent) afterFinish(response, () => closeSoon(socket));
    else if (response.socket === socket) answerInstead(response);
    else if (thrown.code === 'HPE_INVALID_EOF_STATE') socket.destroy();
    else response.once('socket', () => answerInstead(response));
  };

  server.on('clientError', (thrown: NodeJS.ErrnoException, duplex: Duplex) =>
    answerFault(thrown, duplex as Socket),
  );

  server.on('connect', (request: IncomingMessage, duplex: Duplex) => {
    const socket = duplex as Socket;
    socket.on('error', () => socket.destroy());
    const error = new ScorelineError(
      'method_not_allowed',
      'Expected GET, HEAD or POST; got CONNECT. This is no proxy.',
    );
    afterFinish(latestOf(socket), () => answerNew(socket, error, request));
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

/** Whether the latest request of a connection, or the one behind it, cannot come because nobody reads it. */
function isUnread(latest: ServerResponse, socket: Socket): boolean {
  return waitsForTurn(latest, socket) || (socket.isPaused() && !latest.headersSent);
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
