// What becomes of a body that nobody wants, since its request is refused. A little of it is read and
// dropped, so the connection can go on, and a client that only listens after it has sent everything
// gets its answer. Of a larger body the rest is left unread, and the connection is closed once the
// client has had time to read the answer. A client that takes too long to send the rest is not waited
// for either.

import type { ServerResponse } from 'node:http';

const droppedBytesMax = 1_048_576;
/** A body of this length is short enough to be dropped whole, for the sake of its connection. */
const shortBytesMax = 16 * droppedBytesMax;
const readAnswerMs = 2000;
const restMsMax = 5000;

/** Call this before a response is sent whose request has not been read to its end. */
export function leaveBody(response: ServerResponse): void {
  const { req: request } = response;
  const { headers, socket } = request;
  const noLength = headers['transfer-encoding'] === undefined ? 0 : Number.POSITIVE_INFINITY;
  // Node itself drops a short body whose reading was never started.
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
