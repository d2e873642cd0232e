// Answers at addresses where there is nothing.

import type { RequestHandler } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import { loggedPath } from '../logged-path.js';

/**
 * Makes a handler for such addresses.
 * @param advice what there is instead
 * @throws ScorelineError `not_found`
 */
export function nothingHere(advice: string): RequestHandler {
  return (request) => {
    const path = loggedPath(request).slice(0, 200);
    const message = `There is nothing at ${request.method} ${path}. ${advice}`;
    throw new ScorelineError('not_found', message);
  };
}
