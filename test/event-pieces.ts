// Server-sent events as a network may bring them: in pieces, and with characters that are easy to take for the end of
// a line.

import type { Answer } from './peer.js';

/** Events in pieces of a few bytes. */
export const inPieces =
  (text: string): Answer =>
  async (response) => {
    const bytes = Buffer.from(text);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (let at = 0; at < bytes.length; at += 7) {
      response.write(bytes.subarray(at, at + 7));
      await new Promise(setImmediate);
    }
    response.end();
  };

/** What some languages take for the end of a line, and JSON may hold as it is. */
export const separators = 'a\u0085b\u2028c\u2029d\u007fe';
