// Keeps pages of other sites from doing something here with the browser of a person who may.

import type { IncomingMessage } from 'node:http';
import { isLoopback } from '../../shared/access-configuration.js';
import { ScorelineError } from '../../shared/errors.js';

type Asked = Pick<IncomingMessage, 'headers'>;

/** Whether the request names this machine as its host. A page whose name leads here does not. */
export function isLocal({ headers: { host = '' } }: Asked): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  return isLoopback(new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, ''));
}

/**
 * Checks that the request comes from a page of this service, or from no page at all. Browsers say where it
 * comes from.
 * @throws ScorelineError `scope_missing`
 */
export function requireSameOrigin({ headers }: Asked): void {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  // Behind a proxy, the host may be another one, so a browser's own word counts first.
  if (site === undefined ? isFrom(origin, host) : site === 'same-origin') return;
  throw new ScorelineError(
    'scope_missing',
    `Expected a request from a page of this service; got one from ${JSON.stringify(String(origin).slice(0, 100))}.`,
  );
}

function isFrom(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
