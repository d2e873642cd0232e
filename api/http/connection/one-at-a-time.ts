// Serves the requests of a connection one after the other.
//
// A client may send many requests without waiting for answers (pipelining). Node hands them all over at once. Each would
// be answered into memory, while the client reads none of the answers. Those that wait take memory as well: 6 MB of them
// took 350. So while many wait, the connection is not read. Nor is it noticed then that its client hangs up.
//
// Once a connection is about to close, requests on it are not served: nobody would get their answers (RFC 9112, 9.6).

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

/** How many requests of a connection may wait while it is read. One read may bring some thousand more. */
const waitingMax = 64;

/** The requests of a connection. */
interface Line {
  last: ServerResponse | undefined;
  /** How many wait. */
  waiting: number;
}

/** Makes a function that serves a request once the one before it on its connection has its answer. */
export function oneAtATime(serve: Serve): Serve {
  const lines = new WeakMap<Socket, Line>();
  return (request, response) => {
    const { socket } = request;
    const line = lines.get(socket) ?? openLine(socket);
    lines.set(socket, line);
    const before = line.last;
    line.last = response;
    const serveNow = () => {
      if (socket.writable) serve(request, response);
    };
    if (!before || before.destroyed) return serveNow();
    line.waiting++;
    if (line.waiting > waitingMax) socket.pause();
    before.once('close', () => {
      line.waiting--;
      if (line.waiting === waitingMax) socket.resume();
      serveNow();
    });
  };
}

function openLine(socket: Socket): Line {
  const line: Line = { last: undefined, waiting: 0 };
  // Node resumes a connection when the body of a request is read, even if all of it is there.
  socket.on('resume', () => {
    if (line.waiting > waitingMax) socket.pause();
  });
  return line;
}
