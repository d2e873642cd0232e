// Limits an address to callers with a scope.

import type { RequestHandler } from 'express';
import type { Scope } from '../../../shared/configuration/access.js';
import { requireScope } from '../../access/caller.js';
import { callerOf } from './gate.js';

/**
 * Makes a handler that passes on callers with one of these scopes.
 * @throws ScorelineError `scope_missing` for all others
 */
export function needs(...scopes: readonly Scope[]): RequestHandler {
  return (request, _response, next) => {
    requireScope(callerOf(request), ...scopes);
    next();
  };
}
