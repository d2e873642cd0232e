// Limits an address to some methods.

import type { RequestHandler } from 'express';
import { ScorelineError } from '../../../shared/errors.js';

/**
 * Makes a handler that passes these methods on.
 * @throws ScorelineError `method_not_allowed` for all others, with the header `Allow` set
 */
export function allow(...methods: readonly string[]): RequestHandler {
  return (request, response, next) => {
    if (methods.includes(request.method)) return next();
    response.setHeader('Allow', methods.join(', '));
    throw new ScorelineError(
      'method_not_allowed',
      `Expected ${methods[0]} at this address; got ${request.method}.`,
    );
  };
}
