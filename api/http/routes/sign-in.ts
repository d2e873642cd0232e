// Says how people sign in with a browser: at the issuer of access tokens, as a public client with PKCE. The page at
// `/` does it. There is nothing secret in it.

import type { Express } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import type { SignIn } from '../../access/access.js';
import { sendJson } from '../answers/json.js';
import { allow } from '../gate/methods.js';
import { signInPath } from '../paths.js';

export function addSignInRoute(app: Express, { signIn }: { signIn?: SignIn | undefined }): void {
  app.get(signInPath, (_request, response) => {
    if (!signIn) throw notOffered();
    const { issuer, clientId, scopes, endpoints } = signIn;
    if (!endpoints) throw notKnown();
    const { authorization: authorizationEndpoint, token: tokenEndpoint } = endpoints;
    sendJson(response, { issuer, clientId, scopes, authorizationEndpoint, tokenEndpoint });
  });
  app.all(signInPath, allow('GET', 'HEAD'));
}

function notOffered(): ScorelineError {
  return new ScorelineError(
    'not_found',
    'Nobody can sign in here with a browser, because OIDC_CLIENT_ID is not set.',
  );
}

function notKnown(): ScorelineError {
  return new ScorelineError(
    'issuer_unavailable',
    'Expected the token issuer to say where people sign in; it has not. Ask again.',
    { retryAfterSeconds: 5 },
  );
}
