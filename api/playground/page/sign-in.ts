// Signs a person in at the issuer of access tokens, as a public client with PKCE (RFC 7636). The page leaves for the
// issuer, which sends the person back with a code, and the page gets a token for it.
//
// What a sign-in needs until its end stays in this tab, and only until then. The code proves nothing without the
// verifier, which never leaves the tab before that.

import { keep } from './kept.js';

/** What the service says at `v1/sign-in`. */
export interface SignInOffer {
  readonly issuer: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly authorizationEndpoint: string;
  readonly tokenEndpoint: string;
}

interface Begun {
  readonly state: string;
  readonly verifier: string;
  readonly redirectUri: string;
  /** The fragment of the address, which names the view. */
  readonly fragment: string;
  readonly offer: SignInOffer;
}

const answerMsMax = 10_000;
const kept = keep('sign-in', 'session');

/**
 * Asks the service how people sign in. Returns undefined if they cannot.
 * @param serviceUrl the address of the service, with a slash at its end
 */
export async function readSignInOffer(serviceUrl: string): Promise<SignInOffer | undefined> {
  const response = await fetch(new URL('v1/sign-in', serviceUrl));
  return response.ok ? ((await response.json()) as SignInOffer) : undefined;
}

/**
 * Leaves this page for the issuer, which comes back to it. Call `finishSignIn` when the page is loaded.
 * @throws Error that a person can read
 */
export async function beginSignIn(offer: SignInOffer): Promise<void> {
  const { subtle } = crypto;
  // Browsers have it where nobody in between can change the page.
  if (!subtle) {
    throw new Error('Signing in needs HTTPS, or a service on this machine. Open the page so.');
  }
  const begun: Begun = {
    ...{ state: makeSecret(), verifier: makeSecret(), offer },
    redirectUri: location.origin + location.pathname,
    fragment: location.hash,
  };
  const challenge = await subtle.digest('SHA-256', new TextEncoder().encode(begun.verifier));
  kept.write(JSON.stringify(begun));
  const address = new URL(offer.authorizationEndpoint);
  const parameters = {
    response_type: 'code',
    client_id: offer.clientId,
    redirect_uri: begun.redirectUri,
    scope: offer.scopes.join(' '),
    state: begun.state,
    code_challenge: toText(new Uint8Array(challenge)),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(parameters)) address.searchParams.set(name, value);
  location.assign(address);
}

/**
 * Ends a sign-in if the issuer has just come back to this page, and takes what it brought out of the address. Returns
 * the access token, which is shown as a key is; undefined if nobody was at the issuer. The caller keeps it, for this
 * tab only.
 * @throws Error that a person can read
 */
export async function finishSignIn(): Promise<string | undefined> {
  const brought = new URLSearchParams(location.search);
  const state = brought.get('state');
  if (state === null) return undefined;
  const begun = takeBegun();
  history.replaceState(null, '', location.pathname + (begun?.fragment ?? ''));
  const isOurs = begun?.state === state && isFrom(brought.get('iss'), begun.offer.issuer);
  if (!begun || !isOurs) throw new Error('This sign-in was not begun in this tab. Begin again.');
  const code = brought.get('code');
  if (code !== null) return fetchToken(begun, code);
  const reason = brought.get('error_description') ?? brought.get('error') ?? 'no reason';
  throw new Error(`The issuer has not signed you in: ${reason.slice(0, 200)}`);
}

async function fetchToken(begun: Begun, code: string): Promise<string> {
  const { offer, redirectUri, verifier } = begun;
  const answer = await ask(offer.tokenEndpoint, {
    grant_type: 'authorization_code',
    client_id: offer.clientId,
    redirect_uri: redirectUri,
    code_verifier: verifier,
    code,
  });
  const { access_token: token } = answer;
  if (typeof token === 'string' && token !== '') return token;
  const reason = answer.error_description ?? answer.error ?? 'no reason';
  throw new Error(`The issuer gave no token: ${String(reason).slice(0, 200)}`);
}

async function ask(
  address: string,
  parameters: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, unknown>>> {
  try {
    const response = await fetch(address, {
      method: 'POST',
      body: new URLSearchParams(parameters),
      credentials: 'omit',
      signal: AbortSignal.timeout(answerMsMax),
    });
    return await response.json();
  } catch {
    throw new Error(
      `${new URL(address).origin} does not answer this page. It must allow requests from ${location.origin}.`,
    );
  }
}

/** It counts once, whatever comes of it. */
function takeBegun(): Begun | undefined {
  const text = kept.read();
  kept.write(undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

/** Most issuers say who they are (RFC 9207), so a person is not sent on by another one. */
function isFrom(given: string | null, issuer: string): boolean {
  return given === null || given === issuer;
}

function makeSecret(): string {
  return toText(crypto.getRandomValues(new Uint8Array(32)));
}

/** Returns bytes as base64url. */
function toText(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
