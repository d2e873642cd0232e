// Serves the requests of a connection one after the other.
//
// A client may send many requests without waiting for answers (pipelining). Node hands them all over at once. Each would
// be answered into memory, while the client reads none of the answers.
//
// Once a connection is about to close, requests on it are not served: nobody would get their answers (RFC 9112, 9.6).

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

/** Makes a function that serves a request once the one before it on its connection has its answer. */
export function oneAtATime(serve: Serve): Serve {
  const last = new WeakMap<Socket, ServerResponse>();
  return (request, response) => {
    const { socket } = request;
    const before = last.get(socket);
    last.set(socket, response);
    const serveNow = () => {
      if (socket.writable) serve(request, response);
    };
    if (!before || before.destroyed) serveNow();
    else before.once('close', serveNow);
  };
}
