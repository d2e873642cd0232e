// Whether a request comes from a browser in which a person looks at an address.

import type { IncomingMessage } from 'node:http';
import type { Request } from 'express';

/** What programs ask for. They get it also if they take anything, as curl does. */
const ofPrograms = ['application/problem+json', 'application/json', 'text/plain'];

export function wantsPage(request: IncomingMessage): boolean {
  const { method, headers } = request;
  if (method !== 'GET' && method !== 'HEAD') return false;
  if (!headers.accept?.includes('text/html')) return false;
  return (request as Request).accepts([...ofPrograms, 'text/html']) === 'text/html';
}
