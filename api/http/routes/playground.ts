// The page at `/` for people. Programs get `Healthy` there, as the reference contract has it.

import type { Express, Request } from 'express';
import type { SignIn } from '../../access/access.js';
import type { PageEncoding, Playground } from '../../playground/playground.js';
import { acceptedCodings } from '../answers/compression.js';
import { sendParts } from '../answers/json.js';
import { wantsPage } from '../answers/wants-page.js';
import { allow } from '../gate/methods.js';

export function addPlaygroundRoutes(
  app: Express,
  options: {
    /** Undefined if the page is switched off. */
    playground?: Playground | undefined;
    /** Undefined where nobody can sign in. */
    signIn?: SignIn | undefined;
  },
): void {
  const { playground, signIn } = options;

  app.get('/', (request, response) => {
    response.vary('Accept');
    if (!playground || !wantsPage(request)) {
      response.type('text/plain').send('Healthy');
      return;
    }
    response.vary('Accept-Encoding');
    // The browser asks each time, and gets the page only if it is another one.
    // The policy is there, too, because the fields of a 304 take the place of those that the browser keeps.
    const fields = {
      ETag: playground.tag,
      'Cache-Control': 'no-cache',
      'content-security-policy': playground.policyWith(tokenOriginOf(signIn)),
    };
    if (request.headers['if-none-match']?.includes(playground.tag)) {
      response.writeHead(304, fields).end();
      return;
    }
    const encoding = chooseEncoding(request);
    sendParts(response, [playground.page(encoding)], {
      ...fields,
      'Content-Type': 'text/html; charset=utf-8',
      ...(encoding !== 'identity' && { 'Content-Encoding': encoding }),
    });
  });

  app.get('/playground/:sample', (request, response, next) => {
    const picture = playground?.sample(request.params.sample);
    if (!picture) return next();
    sendParts(response, [picture], {
      'Content-Type': 'image/jpeg',
      'Cache-Control': 'public, max-age=86400',
    });
  });

  app.all(['/', '/playground/:sample'], allow('GET', 'HEAD'));
}

/** Undefined as long as the issuer has not said where its tokens are. */
function tokenOriginOf(signIn: SignIn | undefined): string | undefined {
  const token = signIn?.endpoints?.token;
  return token === undefined ? undefined : new URL(token).origin;
}

function chooseEncoding(request: Request): PageEncoding {
  const accepted = acceptedCodings(request);
  return (['br', 'gzip'] as const).find((name) => accepted.includes(name)) ?? 'identity';
}
