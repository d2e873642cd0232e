// Answers in JSON, by Node's own means: `response.json` of Express costs a tenth of a request.

import type { ServerResponse } from 'node:http';

export function sendJson(
  response: ServerResponse,
  body: object,
  head: { status?: number; type?: string } = {},
): void {
  sendJsonText(response, JSON.stringify(body), head);
}

/** Sends a text that is JSON already. */
export function sendJsonText(
  response: ServerResponse,
  text: string,
  { status = 200, type = 'application/json' } = {},
): void {
  response.writeHead(status, {
    'Content-Type': `${type}; charset=utf-8`,
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}
