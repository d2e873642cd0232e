// Each request has an id, which its answer and the lines of the log about it name.

import { randomUUID } from 'node:crypto';
import type { GatedRequest } from './json.js';

const wellFormed = /^[\w.:/+=@-]{1,128}$/;

/**
 * Returns the `X-Request-Id` of a request. Makes one if the client gave none, or one that could be taken for
 * something else in a log.
 */
export function requestIdOf(request: GatedRequest): string {
  request.id ??= readRequestId(request);
  return request.id;
}

function readRequestId({ headers }: GatedRequest): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && wellFormed.test(given) ? given : randomUUID();
}
