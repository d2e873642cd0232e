// Handles the body of a refused request.
//
// A short body is read and dropped. This keeps the connection usable, and a client that reads only after
// it has sent everything still gets its answer. A long body is read up to a limit. The rest stays unread,
// and the connection is closed once the client has had time to read the answer. If the client sends too
// slowly, the connection is closed as well.
//
// Behind a request with an Upgrade field, Node drops what it reads together with the end of the body, although
// nothing is upgraded. It would drop the next request of a client that has its answer before its body is read, and
// never answer that. Java's HttpClient sends the field with each request by plain HTTP. So these answers wait.

import type { ServerResponse } from 'node:http';
import { isGone } from '../connection/departure.js';

/** How much of a long body is read and dropped. */
const droppedBytesMax = 1_048_576;
/** Bodies up to this length are dropped whole to keep their connection. */
const shortBytesMax = 16 * droppedBytesMax;
/** The time that a client gets to read the answer before its connection is closed. */
const readAnswerMs = 2000;
/** The time that a client gets to send the rest of its body. */
const restMsMax = 5000;

/**
 * Answers a request whose body may not have been read to its end.
 * @param answer sends the response, or ends it. It is called at once, unless the request has an Upgrade field.
 */
export function leaveBody(response: ServerResponse, answer: () => void): void {
  const { req: request } = response;
  const { headers, socket } = request;
  const noLength = headers['transfer-encoding'] === undefined ? 0 : Number.POSITIVE_INFINITY;
  const isShort = Number(headers['content-length'] ?? noLength) <= shortBytesMax;
  // A client that waits for 100 Continue sends no body before it has an answer.
  let waits = headers.upgrade !== undefined && headers.expect === undefined;
  // Node itself drops the body of a request that was never read.
  if (request.complete || (isShort && !request.readableDidRead && !waits)) {
    answer();
    return;
  }
  const stopWaiting = () => {
    if (waits && !isGone(response)) answer();
    waits = false;
  };
  const giveUp = () => {
    request.pause();
    stopWaiting();
    setTimeout(() => socket.destroy(), readAnswerMs).unref();
  };
  const timer = setTimeout(giveUp, restMsMax).unref();
  let left = isShort ? shortBytesMax : droppedBytesMax;
  request
    .on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left <= 0) giveUp();
    })
    .once('close', () => {
      clearTimeout(timer);
      stopWaiting();
    })
    .resume();
  if (!waits) answer();
}
