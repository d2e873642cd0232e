// Answers in JSON, by Node's own means: `response.json` of Express costs a tenth of a request.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Call } from '../call.js';

/** A request, with the call that was opened for it. */
export type ScoreRequest = IncomingMessage & { call?: Call };

export function sendJson(
  response: ServerResponse,
  body: object,
  head: { status?: number; type?: string } = {},
): void {
  sendJsonText(response, JSON.stringify(body), head);
}

/** Sends a text that is JSON already; says so where it was kept from an earlier request. */
export function sendJsonText(
  response: ServerResponse,
  text: string,
  { status = 200, type = 'application/json' } = {},
): void {
  const { call }: ScoreRequest = response.req;
  if (call?.isReplayed) response.setHeader('Idempotency-Replayed', 'true');
  response.writeHead(status, {
    'Content-Type': `${type}; charset=utf-8`,
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}
