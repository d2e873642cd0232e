// Whether an address for operators answers at all.
//
// Without authentication, every caller would be an operator. So these addresses are closed with AUTH=none.
// With AUTH unset, they answer only requests that name this machine as their host. That keeps out proxies,
// and pages of other sites that are open in a browser here. With keys or tokens, operators may come through
// a proxy, too.

import type { Request, RequestHandler } from 'express';
import type { Configurations } from '../../../shared/configuration/configuration.js';
import { ScorelineError } from '../../../shared/errors.js';
import { isLocal, passedOnBy } from './same-origin.js';

/**
 * Makes a handler that passes on what may come from an operator. Their scope is checked after it.
 * @param which the addresses, for the error
 * @throws ScorelineError `scope_missing` for all others
 */
export function forOperators(
  { AUTH }: Pick<Configurations['api'], 'AUTH'>,
  which: string,
): RequestHandler {
  return (request, _response, next) => {
    if (AUTH === undefined ? isLocal(request) : AUTH.length > 0) return next();
    throw new ScorelineError(
      'scope_missing',
      AUTH === undefined
        ? `Expected a request to this machine, such as http://127.0.0.1/…, because AUTH is not set; got one ${wayOf(request)}. Set AUTH=keys or AUTH=oidc to open the addresses ${which} to others.`
        : `Expected AUTH=keys or AUTH=oidc, which say who is an operator; got AUTH=none. The addresses ${which} are closed.`,
    );
  };
}

function wayOf(request: Request): string {
  const field = passedOnBy(request);
  if (field !== undefined)
    return `that a proxy passed on, as its field ${field.slice(0, 100)} says`;
  return `to ${String(request.headers.host).slice(0, 100)}`;
}
