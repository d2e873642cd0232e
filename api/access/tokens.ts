// Access tokens of an OIDC issuer, such as Entra ID: signed JWTs, for a caller whose roles or scopes the
// issuer knows.
//
// Checking a signature takes the time of many requests, so what came out is remembered: for a minute, and
// never past the token's own end. Tokens are remembered by their hash. Requests with a token that is
// being checked wait for that check.
//
// A check may take seconds if the issuer has to be asked. Nobody knows yet who sends the requests that wait for it, and
// anybody can make up the name of a key, so they are bounded. Checks with known keys have no part in this.

import { hash } from 'node:crypto';
import { type CryptoKey, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { scopes as allScopes, type Scope } from '../../shared/configuration/access.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Caller, CallerLimits } from './caller.js';
import type { Issuer } from './issuer.js';

const rememberedMsMax = 60_000;
const rememberedMax = 10_000;
/** The most requests that wait for the issuer. By gRPC, 5000 that had begun their bodies took 430 MB. */
const waitingMax = 1000;
/** The longest that OpenID Connect allows. */
const subjectLengthMax = 255;
/** Control characters would mislead readers of logs. Halves of characters all become the same one in Redis. */
const unfit = /[\p{Cc}\p{Cs}]/u;

export interface TokenRules {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly clockSkewMs: number;
  /** The roles or scopes of the issuer that give each of ours. */
  readonly roles: Readonly<Record<Scope, readonly string[]>>;
  readonly limits: CallerLimits | undefined;
}

interface Remembered {
  readonly caller: Caller;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** The check of a token. */
interface Check {
  readonly caller: Promise<Caller>;
  readonly wait: Wait;
}

interface Wait {
  /** How many requests wait for the check. */
  requests: number;
  /** Whether it waits for the issuer. Then its requests are among those that are bounded. */
  isForIssuer: boolean;
}

export function makeTokens(rules: TokenRules, issuer: Pick<Issuer, 'keyOf'>) {
  const remembered = new Map<string, Remembered>();
  const checking = new Map<string, Check>();
  /** How many requests wait for the issuer. */
  let waiting = 0;

  const remember = (name: string, entry: Remembered) => {
    if (remembered.size >= rememberedMax) {
      const [oldest = ''] = remembered.keys();
      remembered.delete(oldest);
    }
    remembered.set(name, entry);
  };

  const holdPlaces = (requests: number) => {
    if (waiting + requests > waitingMax) throw tooManyWait();
    waiting += requests;
  };

  const check = async (name: string, token: string, wait: Wait): Promise<Caller> => {
    const onWait = () => {
      if (wait.isForIssuer) return;
      holdPlaces(wait.requests);
      wait.isForIssuer = true;
    };
    try {
      const keyOf: JWTVerifyGetKey = (header, jws) => issuer.keyOf(header, jws, onWait);
      const payload = await verify(token, rules, keyOf);
      const caller = callerOf(payload, rules);
      const endsAt = Number(payload.exp) * 1000 + rules.clockSkewMs;
      remember(name, { caller, until: Math.min(endsAt, Date.now() + rememberedMsMax) });
      return caller;
    } finally {
      checking.delete(name);
      if (wait.isForIssuer) waiting -= wait.requests;
    }
  };

  return {
    /**
     * Returns the caller of a token, at once if the token is remembered.
     * @throws ScorelineError `token_invalid`, `issuer_unavailable`
     */
    find(token: string): Caller | Promise<Caller> {
      const name = hash('sha256', token, 'base64');
      const known = remembered.get(name);
      if (known && Date.now() < known.until) return known.caller;
      remembered.delete(name);
      const pending = checking.get(name);
      if (pending) {
        if (pending.wait.isForIssuer) holdPlaces(1);
        pending.wait.requests++;
        return pending.caller;
      }
      const wait = { requests: 1, isForIssuer: false };
      const caller = check(name, token, wait);
      checking.set(name, { caller, wait });
      return caller;
    },
  };
}

async function verify(
  token: string,
  rules: TokenRules,
  keyOf: JWTVerifyGetKey,
): Promise<JWTPayload> {
  const options = {
    issuer: rules.issuer,
    audience: [...rules.audiences],
    algorithms: [...rules.algorithms],
    clockTolerance: rules.clockSkewMs / 1000,
    requiredClaims: ['exp', 'sub'],
  };
  const verifyBy = async (key: CryptoKey) => (await jwtVerify(token, key, options)).payload;
  try {
    return (await jwtVerify(token, keyOf, options)).payload;
  } catch (thrown) {
    if (thrown instanceof ScorelineError) throw thrown;
    if (!(thrown instanceof errors.JWKSMultipleMatchingKeys)) throw invalid(thrown, rules);
    return verifyByAny(thrown, verifyBy).catch((last) => {
      throw invalid(last, rules);
    });
  }
}

/** Verifies a token that names no key, or a name that several keys have. */
async function verifyByAny(
  keys: AsyncIterable<CryptoKey>,
  verifyBy: (key: CryptoKey) => Promise<JWTPayload>,
): Promise<JWTPayload> {
  let failure: unknown = new errors.JWSSignatureVerificationFailed();
  for await (const key of keys) {
    try {
      return await verifyBy(key);
    } catch (thrown) {
      if (hasRightSignature(thrown)) throw thrown;
      failure = thrown;
    }
  }
  throw failure;
}

/** Claims are looked at after the signature. */
function hasRightSignature(thrown: unknown): boolean {
  return thrown instanceof errors.JWTExpired || thrown instanceof errors.JWTClaimValidationFailed;
}

function callerOf({ sub, roles: given, scp, scope }: JWTPayload, rules: TokenRules): Caller {
  const { roles, limits } = rules;
  const isFit = typeof sub === 'string' && sub !== '' && !unfit.test(sub);
  if (!isFit || sub.length > subjectLengthMax) {
    throw new ScorelineError(
      'token_invalid',
      `Expected a token with a "sub" of 1 to ${subjectLengthMax} characters, none of them a control character; got another.`,
    );
  }
  const has = new Set([given, scp, scope].flatMap(namesIn));
  const scopes = allScopes.filter((each) => roles[each].some((name) => has.has(name)));
  return { id: `oidc:${sub}`, name: `the subject ${sub}`, scopes, limits };
}

/** Roles are a list, scopes a text with blanks; issuers differ. */
function namesIn(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(' ');
  return Array.isArray(claim) ? claim.map(String) : [];
}

function tooManyWait(): ScorelineError {
  return new ScorelineError(
    'issuer_unavailable',
    `Expected at most ${waitingMax} requests at a time whose tokens wait for keys of the token issuer; there are as many. Ask again.`,
    { retryAfterSeconds: 5 },
  );
}

function invalid(error: unknown, rules: TokenRules): ScorelineError {
  const [expected, got] = explain(error, rules);
  return new ScorelineError(
    'token_invalid',
    `Expected ${expected}; got ${got}. Ask the issuer for a new token for this service.`,
  );
}

/** Says what was expected of a token and what came. Names claims, and never their values. */
function explain(error: unknown, { issuer, audiences, algorithms }: TokenRules): [string, string] {
  if (error instanceof errors.JWTExpired) {
    return ['a token that has not expired', 'one that has'];
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim } = error;
    if (claim === 'aud') return [`a token for the audience ${audiences.join(' or ')}`, 'another'];
    if (claim === 'iss') return [`a token of the issuer ${issuer}`, 'one of another issuer'];
    if (claim === 'nbf') return ['a token that is valid now', 'one that is not valid yet'];
    return [`a token with the claim "${claim}"`, 'one without it, or with a wrong value'];
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return [`a token signed with ${algorithms.join(' or ')}`, 'another algorithm'];
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return ['a token signed with a key that its issuer publishes', 'one signed with another'];
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return ['a token with a right signature', 'one with a wrong signature'];
  }
  if (!(error instanceof errors.JOSEError) || error instanceof errors.JWKSInvalid) {
    // The library, or Node below it, says so of a key that it cannot use.
    return [
      'a token signed with a key that fits its algorithm, such as RSA of at least 2048 bits',
      'one whose issuer publishes another under this name',
    ];
  }
  return [`a signed access token (JWT) of ${issuer}`, 'something else'];
}
