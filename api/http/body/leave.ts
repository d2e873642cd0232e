// Handles the body of a refused request.
//
// A short body is read and dropped. This keeps the connection usable, and a client that reads only after
// it has sent everything still gets its answer. A long body is read up to a limit. The rest stays unread,
// and the connection is closed once the client has had time to read the answer. If the client sends too
// slowly, the connection is closed as well.

import type { ServerResponse } from 'node:http';

/** How much of a long body is read and dropped. */
const droppedBytesMax = 1_048_576;
/** Bodies up to this length are dropped whole to keep their connection. */
const shortBytesMax = 16 * droppedBytesMax;
/** The time that a client gets to read the answer before its connection is closed. */
const readAnswerMs = 2000;
/** The time that a client gets to send the rest of its body. */
const restMsMax = 5000;

/** Call this before sending a response to a request whose body may not have been read to its end. */
export function leaveBody(response: ServerResponse): void {
  const { req: request } = response;
  const { headers, socket } = request;
  const noLength = headers['transfer-encoding'] === undefined ? 0 : Number.POSITIVE_INFINITY;
  // Node itself drops the body of a request that was never read.
  const isShort = Number(headers['content-length'] ?? noLength) <= shortBytesMax;
  if (request.complete || (isShort && !request.readableDidRead)) return;
  const closeWithin = (ms: number) => setTimeout(() => socket.destroy(), ms).unref();
  const timer = closeWithin(restMsMax);
  let left = isShort ? shortBytesMax : droppedBytesMax;
  request
    .on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left > 0) return;
      request.pause();
      closeWithin(readAnswerMs);
    })
    .once('close', () => clearTimeout(timer))
    .resume();
}
