// Which methods an address takes; others are told so with 405.

import type { RequestHandler } from 'express';
import { ScorelineError } from '../../shared/errors.js';

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
