// Answers at addresses where there is nothing.

import type { RequestHandler } from 'express';
import { ScorelineError } from '../../../shared/errors.js';

/**
 * Makes a handler for such addresses.
 * @param advice what there is instead
 * @throws ScorelineError `not_found`
 */
export function nothingHere(advice: string): RequestHandler {
  return ({ method, path }) => {
    const message = `There is nothing at ${method} ${path.slice(0, 200)}. ${advice}`;
    throw new ScorelineError('not_found', message);
  };
}
