// Each request has an id, which its answer and the lines of the log about it name.

import { randomUUID } from 'node:crypto';
import { hideCredentials } from '../access/credential.js';
import type { GatedRequest } from './gate/gated-request.js';

const wellFormed = /^[\w.:/+=@-]{1,128}$/;

/**
 * Returns the `X-Request-Id` of a request. Makes one if the client gave none, or one that could be taken for
 * something else in a log.
 */
export function requestIdOf(request: GatedRequest): string {
  request.id ??= makeRequestId(request.headers['x-request-id']);
  return request.id;
}

/** Returns the id that a client gave if it is well-formed and holds no credential, and a new one otherwise. */
export function makeRequestId(given: unknown): string {
  const isUsable =
    typeof given === 'string' && wellFormed.test(given) && hideCredentials(given) === given;
  return isUsable ? given : randomUUID();
}
