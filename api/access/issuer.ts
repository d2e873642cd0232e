// The signature keys of an OIDC issuer.
//
// They are found by discovery, fetched again every five minutes, and at once when a token names a key
// that is not among them, which is how a rotated key becomes known. If the issuer was asked a moment ago, such a
// token waits until it may be asked again: the key may be new since then. While the issuer is away, the last
// known keys count for an hour: tokens rarely live longer, and nobody gets a new one meanwhile.

import { setTimeout as delay } from 'node:timers/promises';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { ScorelineError } from '../../shared/errors.js';
import { describeFetchFailure } from '../../shared/fetch-failure.js';
import type { Logger } from '../../shared/process/log.js';

const refreshEveryMs = 300_000;
const staleMsMax = 3_600_000;
const answerMsMax = 2000;
/** The keys of large issuers have some ten thousand bytes. */
const answerBytesMax = 1024 * 1024;
/** The issuer is asked at most this often, whatever tokens come. */
const askEveryMsMin = 5000;

/** Where a browser asks a person to sign in, and where it gets a token for that. */
export interface Endpoints {
  readonly authorization: string;
  readonly token: string;
}

export interface Issuer {
  /**
   * Finds the key that a token names.
   * @param onWait is called before it waits for the issuer. What it throws ends the wait.
   * @throws ScorelineError `issuer_unavailable`
   * @throws JOSEError when the issuer has no such key
   */
  keyOf(
    ...given: [...Parameters<JWTVerifyGetKey>, onWait?: () => void]
  ): ReturnType<JWTVerifyGetKey>;
  /** Where browsers sign in, as last known; undefined if the issuer has not said so. */
  readonly endpoints: Endpoints | undefined;
  close(): void;
}

interface Known {
  readonly find: ReturnType<typeof createLocalJWKSet>;
  readonly atMs: number;
}

const address = z.url({ protocol: /^https?$/ });
const metadataSchema = z.object({
  issuer: z.string(),
  jwks_uri: address,
  authorization_endpoint: address.optional().catch(undefined),
  token_endpoint: address.optional().catch(undefined),
});

/** Asks the issuer for its keys once before it resolves, whether or not there is an answer. */
export async function openIssuer(options: {
  url: string;
  log: Logger;
  askEveryMs?: number;
}): Promise<Issuer> {
  const { url, log, askEveryMs = askEveryMsMin } = options;
  let known: Known | undefined;
  let endpoints: Endpoints | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let isAway = false;
  let asking: Promise<void> | undefined;
  let askingNext: Promise<void> | undefined;

  const ask = async () => {
    try {
      const metadata = await discover(url);
      endpoints = endpointsOf(metadata);
      const find = createLocalJWKSet((await fetchJson(metadata.jwks_uri)) as JSONWebKeySet);
      known = { find, atMs: performance.now() };
      if (isAway) log.info({ issuer: url }, 'the token issuer is back');
      isAway = false;
    } catch (thrown) {
      const reason = describeFetchFailure(thrown);
      if (!isAway)
        log.error({ issuer: url, reason }, 'the keys of the token issuer cannot be read');
      isAway = true;
    }
    askedAt = performance.now();
    asking = undefined;
  };
  const refresh = () => {
    asking ??= ask();
    return asking;
  };
  const mayNotAskForMs = () => (asking ? 0 : askedAt + askEveryMs - performance.now());
  /** Asks the issuer, unless it was asked a moment ago. */
  const refreshSoon = async () => {
    if (mayNotAskForMs() <= 0) await refresh();
  };
  /** Asks the issuer as soon as it may be asked again. */
  const refreshNext = () => {
    askingNext ??= delay(Math.max(0, mayNotAskForMs()), undefined, { ref: false })
      .then(refresh)
      .finally(() => {
        askingNext = undefined;
      });
    return askingNext;
  };
  const knownKeys = () => {
    const isUsable = known && performance.now() - known.atMs < staleMsMax;
    return isUsable ? known : undefined;
  };
  const timer = setInterval(() => void refresh(), refreshEveryMs);
  await refresh();

  return {
    keyOf: async (header, token, onWait) => {
      if (!knownKeys()) {
        onWait?.();
        await refreshSoon();
      }
      const keys = knownKeys();
      if (!keys) throw unavailable();
      try {
        return await keys.find(header, token);
      } catch (thrown) {
        if (!(thrown instanceof errors.JWKSNoMatchingKey)) throw thrown;
        onWait?.();
        await (isAway ? refreshSoon() : refreshNext());
        if (isAway) throw unavailable();
        return (knownKeys() ?? keys).find(header, token);
      }
    },
    get endpoints() {
      return endpoints;
    },
    close: () => clearInterval(timer),
  };
}

type Metadata = z.output<typeof metadataSchema>;

/** Discovers where the issuer publishes its keys, and where people sign in. */
async function discover(issuer: string): Promise<Metadata> {
  const place = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const metadata = metadataSchema.parse(await fetchJson(place));
  if (metadata.issuer !== issuer) {
    throw new Error(`OIDC_ISSUER: expected what ${place} says, ${metadata.issuer}; got ${issuer}`);
  }
  if (!isAsSafe(metadata.jwks_uri, issuer)) {
    throw new Error(`expected a jwks_uri with https; got ${metadata.jwks_uri}`);
  }
  return metadata;
}

/** Returns undefined if people cannot sign in there, which keeps no token out. */
function endpointsOf(metadata: Metadata): Endpoints | undefined {
  const { issuer, authorization_endpoint: authorization, token_endpoint: token } = metadata;
  if (authorization === undefined || token === undefined) return undefined;
  if (!isAsSafe(authorization, issuer) || !isAsSafe(token, issuer)) return undefined;
  return { authorization, token };
}

function isAsSafe(place: string, issuer: string): boolean {
  return place.startsWith('https:') || !issuer.startsWith('https:');
}

async function fetchJson(url: string): Promise<unknown> {
  const signal = AbortSignal.timeout(answerMsMax);
  const response = await fetch(url, { signal, redirect: 'error' });
  if (!response.ok) throw new Error(`expected 200 from ${url}; got ${response.status}`);
  return JSON.parse(await readText(response));
}

async function readText({ url, body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) {
      throw new Error(`expected at most ${answerBytesMax} bytes from ${url}; got more`);
    }
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

function unavailable(): ScorelineError {
  return new ScorelineError(
    'issuer_unavailable',
    'Expected the signature keys of the token issuer, to check the token; it does not answer. Ask again.',
    { retryAfterSeconds: askEveryMsMin / 1000 },
  );
}
