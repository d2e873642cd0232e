// Keeps pages of other sites from using this service through the browser of a person who is allowed to.

import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { isLoopback } from '../../../shared/configuration/access.js';
import { ScorelineError } from '../../../shared/errors.js';
import { shown } from '../../../shared/shown.js';

type Asked = Pick<IncomingMessage, 'headers'>;

/**
 * Whether the request names this machine as its host, and no proxy passed it on. A page whose name leads here
 * names another host. A proxy may write its own, as nginx does by default, but most say that they are there.
 */
export function isLocal({ headers }: Asked): boolean {
  const { host = '' } = headers;
  if (passedOnBy({ headers }) !== undefined) return false;
  if (!URL.canParse(`http://${host}`)) return false;
  return isLoopback(new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, ''));
}

const privateName = /^(?:[^.]+|.*\.(?:localhost|local|internal|test|home\.arpa))\.?$/i;

/**
 * Checks that the request names no host of the public DNS. The owner of such a name can let it lead to this
 * machine while a page of theirs is open in a browser here, and the browser takes that for the page's own server
 * (DNS rebinding). Addresses, and names that nobody can register, cannot be used so.
 * @throws ScorelineError `scope_missing`
 */
export function requirePrivateHost({ headers }: Asked): void {
  const { host = '' } = headers;
  // The URL of each request would cost more than the rest of the gate.
  const name = host.replace(/:\d*$/, '');
  if (name === '' || name.startsWith('[') || isIP(name) || privateName.test(name)) return;
  throw new ScorelineError(
    'scope_missing',
    `Expected a request to this machine, such as http://127.0.0.1/…, because AUTH is not set; got one to ${shown(host, 100)}. Behind a proxy that passes this name on, set AUTH=keys or AUTH=oidc, or AUTH=none to let everyone who reaches it do everything.`,
  );
}

/** Returns the field by which a proxy says that it passed the request on. */
export function passedOnBy({ headers }: Asked): string | undefined {
  return Object.keys(headers).find((name) =>
    /^(forwarded|via|x-forwarded-.*|x-real-ip)$/.test(name),
  );
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
    `Expected a request from a page of this service; got one from ${shown(String(origin), 100)}.`,
  );
}

function isFrom(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
