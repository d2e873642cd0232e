// The credential of a request: an API key or an access token.

import { ScorelineError } from '../../shared/errors.js';
import { apiKeyPrefix } from './api-key.js';

export interface Credential {
  readonly kind: 'key' | 'token';
  readonly text: string;
}

export interface CredentialHeaders {
  readonly authorization?: string | undefined;
  readonly 'x-api-key'?: string | string[] | undefined;
}

const basic = /^Basic +([A-Za-z0-9+/]+=*) *$/i;
const bearer = /^Bearer +(\S+) *$/i;
/** API keys, tokens (whose heads are JSON objects in base64), and the user and password of an address. */
const anyCredential = new RegExp(
  `(?<=${apiKeyPrefix})\\w+|(?<=eyJ)[\\w-]*(?:\\.[\\w-]*)+|(?<=//)[^/@]*(?=@)`,
  'g',
);

/** Returns a text for the log, in which each credential ends after the sign that it is one. */
export function hideCredentials(text: string): string {
  return text.replace(anyCredential, '…');
}

/** Whether a request shows something that `readCredential` reads, right or wrong. */
export function showsCredential(headers: CredentialHeaders): boolean {
  const { authorization, 'x-api-key': apiKey } = headers;
  return apiKey !== undefined || (authorization !== undefined && bearer.test(authorization));
}

/**
 * Reads `Authorization: Bearer …`, which holds a key or a token, or `X-API-Key`, which holds a key.
 * Other schemes of Authorization may be there for a proxy.
 * @throws ScorelineError `unauthenticated` when there is none, or both
 */
export function readCredential(headers: CredentialHeaders): Credential {
  const { authorization, 'x-api-key': apiKey } = headers;
  const [, shown] = (authorization !== undefined && bearer.exec(authorization)) || [];
  if (apiKey === undefined) {
    if (shown === undefined) throw unauthenticated(authorization);
    return { kind: shown.startsWith(apiKeyPrefix) ? 'key' : 'token', text: shown };
  }
  if (shown !== undefined) {
    throw new ScorelineError(
      'unauthenticated',
      'Expected a key or a token in one header; got both Authorization: Bearer and X-API-Key. Leave one out.',
    );
  }
  const text = String(apiKey).trim();
  // Node joins those that come several times.
  if (text.includes(',')) {
    throw new ScorelineError(
      'unauthenticated',
      'Expected one X-API-Key; got several. Leave out all but one.',
    );
  }
  return { kind: 'key', text };
}

/**
 * Reads the key or token that a browser has asked its user for, as a password. Returns the headers as if it
 * had come in another way.
 */
export function withPassword(headers: CredentialHeaders): CredentialHeaders {
  const [, encoded] = basic.exec(headers.authorization ?? '') ?? [];
  if (encoded === undefined || headers['x-api-key'] !== undefined) return headers;
  const [, password] = /^[^:]*:(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
  return { authorization: `Bearer ${password?.trim()}` };
}

function unauthenticated(authorization: string | undefined): ScorelineError {
  const got = authorization === undefined ? 'neither' : 'another form of Authorization';
  return new ScorelineError(
    'unauthenticated',
    `Expected Authorization: Bearer with a key or a token, or X-API-Key with a key; got ${got}. Ask the operator for a key.`,
  );
}
