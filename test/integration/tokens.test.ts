// Access tokens of a real OIDC issuer, which runs in a process of its own.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errors, type JWK, UnsecuredJWT } from 'jose';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openIssuer } from '../../api/access/issuer.js';
import { makeTokens, type TokenRules } from '../../api/access/tokens.js';
import type { ScorelineError } from '../../shared/errors.js';
import { waitUntil } from '../harness.js';
import { makeSigningKey, openIssuerProcess, signToken, type TestIssuer } from '../issuer.js';
import { listening } from '../telemetry/server.js';

const audience = 'urn:scoreline';
/** In seconds, as tokens have their times. */
const now = () => Math.floor(Date.now() / 1000);

let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await openIssuerProcess({
    clients: { plain: {}, roles: { roles: ['Scoreline.Admin', 'Other.Role'] } },
  });
});
afterAll(() => issuer?.stop());

/** Opens what the API has of an issuer. It may ask the issuer again every 50 ms. */
async function openTokens(changes: Partial<TokenRules> = {}, from: TestIssuer = issuer) {
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => void logged.push(JSON.parse(line).msg) });
  const keys = await openIssuer({ url: from.url, log, askEveryMs: 50 });
  onTestFinished(() => keys.close());
  let looks = 0;
  const keyOf: typeof keys.keyOf = (...parameters) => {
    looks++;
    return keys.keyOf(...parameters);
  };
  const tokens = makeTokens({ ...makeRules(from), ...changes }, { keyOf });
  return { tokens, logged, looks: () => looks };
}

function makeRules(from: TestIssuer = issuer): TokenRules {
  return {
    issuer: from.url,
    audiences: [audience],
    algorithms: ['RS256', 'ES256'],
    clockSkewMs: 30_000,
    roles: { score: ['score'], jobs: ['jobs'], admin: ['admin'] },
    limits: undefined,
  };
}

/** Signs claims with the issuer's own key; those that are not given are right. */
async function makeToken(claims: Record<string, unknown> = {}, from = issuer): Promise<string> {
  const right = { iss: from.url, aud: audience, sub: 'plain', exp: now() + 600, iat: now() };
  return signToken(from.keys[0] as NonNullable<(typeof from.keys)[0]>, {
    ...right,
    scope: 'score',
    ...claims,
  });
}

async function refusalOf(finding: () => unknown): Promise<ScorelineError> {
  try {
    await finding();
  } catch (error) {
    return error as ScorelineError;
  }
  throw new Error('The token was accepted.');
}

describe('a token that the issuer gave out', () => {
  test('says who its caller is, with the scopes it was asked for', async () => {
    const { tokens } = await openTokens({ limits: { perSecond: 5 } });
    expect(await tokens.find(await issuer.fetchToken('plain'))).toEqual({
      id: 'oidc:plain',
      name: 'the subject plain',
      scopes: ['score'],
      limits: { perSecond: 5 },
    });
    const both = await issuer.fetchToken('plain', { scope: 'jobs score' });
    expect((await tokens.find(both)).scopes).toEqual(['score', 'jobs']);
  });

  test('gets its scopes from roles, under the names that the configuration has', async () => {
    const roles = { score: ['Scoreline.Score'], jobs: ['x'], admin: ['y', 'Scoreline.Admin'] };
    const { tokens } = await openTokens({ roles });
    const token = await issuer.fetchToken('roles', { scope: 'score Scoreline.Score' });
    expect((await tokens.find(token)).scopes).toEqual(['score', 'admin']);
  });

  test('has no scopes if the issuer gave it none of ours', async () => {
    const roles = { score: ['x'], jobs: ['y'], admin: ['z'] };
    const { tokens } = await openTokens({ roles });
    expect((await tokens.find(await issuer.fetchToken('roles'))).scopes).toEqual([]);
  });

  test('is refused if it is for another service', async () => {
    const { tokens } = await openTokens();
    const token = await issuer.fetchToken('plain', { audience: 'urn:other' });
    const error = await refusalOf(() => tokens.find(token));
    expect(error.code).toBe('token_invalid');
    expect(error.message).toContain('audience urn:scoreline');
  });
});

describe('a token with right claims', () => {
  test.each([
    ['a list of audiences', () => ({ aud: ['urn:other', audience] })],
    ['scopes as Entra ID has them', () => ({ scope: undefined, scp: 'score' })],
    ['scopes as a list', () => ({ scope: ['score'] })],
    ['an end that the clocks may disagree on', () => ({ exp: now() - 10 })],
    ['a beginning that the clocks may disagree on', () => ({ nbf: now() + 10 })],
  ])('is accepted with %s', async (_what, claimsNow) => {
    const { tokens } = await openTokens();
    expect((await tokens.find(await makeToken(claimsNow()))).scopes).toEqual(['score']);
  });
});

describe('a token is refused', () => {
  test.each([
    ['that has expired', () => ({ exp: now() - 60 }), 'that has not expired'],
    ['that is not valid yet', () => ({ nbf: now() + 60 }), 'that is valid now'],
    ['of another issuer', () => ({ iss: 'https://other.example.org' }), 'of the issuer http://127'],
    ['for another audience', () => ({ aud: 'other' }), 'for the audience urn:scoreline'],
    ['without an audience', () => ({ aud: undefined }), 'audience'],
    ['without an end', () => ({ exp: undefined }), '"exp"'],
    ['without a subject', () => ({ sub: undefined }), '"sub"'],
    ['with an empty subject', () => ({ sub: '' }), '"sub"'],
    ['with a line break in its subject', () => ({ sub: 'a\nb' }), '"sub"'],
    ['with half a character in its subject', () => ({ sub: 'a\ud800' }), '"sub"'],
    ['with a huge subject', () => ({ sub: 'x'.repeat(256) }), '"sub"'],
  ])('%s', async (_what, claimsNow, expected) => {
    const { tokens } = await openTokens();
    const error = await refusalOf(async () => tokens.find(await makeToken(claimsNow())));
    expect(error.code).toBe('token_invalid');
    expect(error.message).toContain(expected);
  });

  test('that nobody signed', async () => {
    const { tokens } = await openTokens();
    const unsigned = new UnsecuredJWT({ sub: 'plain', scope: 'admin' })
      .setIssuer(issuer.url)
      .setAudience(audience)
      .setExpirationTime('10m')
      .encode();
    expect((await refusalOf(() => tokens.find(unsigned))).code).toBe('token_invalid');
  });

  test('whose claims were changed', async () => {
    const { tokens } = await openTokens();
    const [head, claims = '', signature] = (await makeToken()).split('.');
    const changed = JSON.parse(Buffer.from(claims, 'base64url').toString());
    changed.scope = 'admin';
    const forged = Buffer.from(JSON.stringify(changed)).toString('base64url');
    const error = await refusalOf(() => tokens.find([head, forged, signature].join('.')));
    expect(error.message).toContain('a right signature');
  });

  test('that another key of the same name signed', async () => {
    const { tokens } = await openTokens();
    const key = { ...(await makeSigningKey('RS256')), kid: String(issuer.keys[0]?.kid) };
    const claims = { iss: issuer.url, aud: audience, sub: 'plain', exp: now() + 600 };
    const error = await refusalOf(async () => tokens.find(await signToken(key, claims)));
    expect(error.message).toContain('a right signature');
  });

  test('that is signed with the public key as a shared secret', async () => {
    const { tokens } = await openTokens();
    const { kid, n } = issuer.keys[0] ?? {};
    const shared = { kty: 'oct', k: String(n), kid: String(kid), alg: 'HS256' };
    const claims = { iss: issuer.url, aud: audience, sub: 'plain', exp: now() + 600 };
    const error = await refusalOf(async () => tokens.find(await signToken(shared, claims)));
    expect(error.message).toContain('signed with RS256 or ES256');
  });

  test('that is signed with an algorithm the configuration leaves out', async () => {
    const { tokens } = await openTokens({ algorithms: ['ES256'] });
    const error = await refusalOf(async () => tokens.find(await makeToken()));
    expect(error.message).toContain('signed with ES256');
  });

  test.each(['', 'x', 'a.b.c', 'e30.e30.e30', '🙂', `${'a'.repeat(9000)}.b.c`])(
    'that is none (%#)',
    async (token) => {
      const { tokens } = await openTokens();
      const error = await refusalOf(() => tokens.find(token));
      expect(error.code).toBe('token_invalid');
      expect(error.message).toContain('something else');
    },
  );

  test('and its content is not repeated', async () => {
    const { tokens } = await openTokens();
    const claims = { aud: 'planted-audience', sub: 'planted-subject', planted: 'planted-claim' };
    const token = await makeToken(claims);
    const { message, cause } = await refusalOf(() => tokens.find(token));
    expect(message).not.toContain('planted');
    expect(message).not.toContain(token.slice(-20));
    expect(cause).toBeUndefined();
  });
});

describe('what was found out about a token', () => {
  test('is remembered, and then known at once', async () => {
    const { tokens, looks } = await openTokens();
    const token = await makeToken();
    const caller = await tokens.find(token);
    expect(tokens.find(token)).toBe(caller);
    expect(looks()).toBe(1);
  });

  test('is found out once for all requests that come meanwhile', async () => {
    const { tokens, looks } = await openTokens();
    const token = await makeToken();
    const [first, ...others] = await Promise.all(
      Array.from({ length: 20 }, () => tokens.find(token)),
    );
    for (const other of others) expect(other).toBe(first);
    expect(looks()).toBe(1);
  });

  test('is not remembered past the end of the token', async () => {
    const { tokens } = await openTokens({ clockSkewMs: 0 });
    const token = await makeToken({ exp: now() + 3 });
    await tokens.find(token);
    await waitUntil('the token has expired', async () => {
      const finding = async () => tokens.find(token);
      return await finding().then(
        () => false,
        (error) => error.code === 'token_invalid',
      );
    });
    expect(now()).toBeGreaterThanOrEqual(Number(JSON.parse(atob(token.split('.')[1] ?? '')).exp));
  });

  test('is not remembered when it was refused', async () => {
    const { tokens, looks } = await openTokens();
    const token = await makeToken({ aud: 'other' });
    for (let count = 0; count < 2; count++) await refusalOf(() => tokens.find(token));
    expect(looks()).toBe(2);
  });
});

/** Serves the metadata of an issuer, and its keys as a text. Returns its address. */
async function publish(keys: () => string): Promise<string> {
  const server = createServer((request, response) => {
    const isMetadata = request.url?.startsWith('/.well-known');
    const metadata = { issuer: url, jwks_uri: `${url}/keys` };
    response.setHeader('Content-Type', 'application/json');
    response.end(isMetadata ? JSON.stringify(metadata) : keys());
  });
  onTestFinished(() => void server.close());
  await listening(server);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return url;
}

function publicPartOf({ d: _private, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...key }: JWK): JWK {
  return key;
}

describe('an issuer that publishes', () => {
  const openPublished = async (...keys: readonly JWK[]) => {
    const published = JSON.stringify({ keys: keys.map(publicPartOf) });
    const from = { ...issuer, url: await publish(() => published) };
    const { tokens } = await openTokens({}, from);
    return async (key: JWK) => tokens.find(await makeToken({}, { ...from, keys: [key] }));
  };

  test('two keys of one name has its tokens checked by both, and accepts no others', async () => {
    const keys = await Promise.all([0, 0, 0].map(() => makeSigningKey()));
    const [one, two, other] = keys.map((key) => ({ ...key, kid: 'same' })) as [JWK, JWK, JWK];
    const find = await openPublished(one, two);
    for (const key of [one, two]) expect((await find(key)).id).toBe('oidc:plain');
    expect((await refusalOf(() => find(other))).message).toContain('a right signature');
  });

  test.each([
    ['is too short', 'x'.repeat(171)],
    ['is none', ''],
  ])('a key that %s has its tokens refused', async (_what, n) => {
    const [key = {}] = issuer.keys;
    const find = await openPublished({ ...key, n });
    const error = await refusalOf(() => find(key));
    expect(error).toMatchObject({ code: 'token_invalid' });
    expect(error.message).toContain('a key that fits its algorithm');
  });

  test('more than anybody needs is not read to its end', async () => {
    const logged: string[] = [];
    const log = pino({}, { write: (line: string) => void logged.push(JSON.parse(line).reason) });
    const url = await publish(() => `{"keys":[]}${' '.repeat(1024 * 1024)}`);
    (await openIssuer({ url, log })).close();
    expect(logged).toEqual([`expected at most 1048576 bytes from ${url}/keys; got more`]);
  });
});

describe('an issuer', () => {
  const openOwn = async () => {
    const own = await openIssuerProcess({ keys: [await makeSigningKey()] });
    onTestFinished(() => own.stop());
    return own;
  };
  const wait = () => new Promise((resolve) => setTimeout(resolve, 60));

  test('may rotate its keys: tokens with the new one are accepted without a restart', async () => {
    const own = await openOwn();
    const { tokens } = await openTokens({}, own);
    const old = await makeToken({}, own);
    expect((await tokens.find(old)).id).toBe('oidc:plain');
    const next = await makeSigningKey();
    await own.restart([next, ...own.keys]);
    await wait();
    expect((await tokens.find(await own.fetchToken('client'))).id).toBe('oidc:client');
    expect((await tokens.find(await makeToken({ sub: 'other' }, own))).id).toBe('oidc:other');
  });

  test('may withdraw a key: tokens with it are refused once the keys were read again', async () => {
    const own = await openOwn();
    const { tokens } = await openTokens({}, own);
    await own.restart([await makeSigningKey()]);
    await wait();
    await tokens.find(await own.fetchToken('client'));
    await wait();
    const error = await refusalOf(async () => tokens.find(await makeToken({}, own)));
    expect(error.code).toBe('token_invalid');
    expect(error.message).toContain('a key that its issuer publishes');
  });

  test('may be away: its known keys count, and others get 503 until it is back', async () => {
    const own = await openOwn();
    const { tokens, logged } = await openTokens({}, own);
    const next = await makeSigningKey();
    await own.stop();
    expect((await tokens.find(await makeToken({}, own))).id).toBe('oidc:plain');
    const claims = { iss: own.url, aud: audience, sub: 'new', exp: now() + 600 };
    const token = await signToken(next, claims);
    await wait();
    const error = await refusalOf(() => tokens.find(token));
    expect(error.code).toBe('issuer_unavailable');
    expect(error.retryAfterSeconds).toBeGreaterThan(0);
    expect((await tokens.find(await makeToken({ sub: 'again' }, own))).id).toBe('oidc:again');
    await own.restart([next]);
    await wait();
    expect((await tokens.find(token)).id).toBe('oidc:new');
    expect(logged).toEqual([
      'the keys of the token issuer cannot be read',
      'the token issuer is back',
    ]);
  });

  test('may be away at the start: tokens get 503, and are accepted when it is there', async () => {
    const own = await openOwn();
    await own.stop();
    const { tokens, logged } = await openTokens({}, own);
    const token = await makeToken({}, own);
    expect((await refusalOf(() => tokens.find(token))).code).toBe('issuer_unavailable');
    expect(logged).toEqual(['the keys of the token issuer cannot be read']);
    await own.restart(own.keys);
    await wait();
    expect((await tokens.find(token)).id).toBe('oidc:plain');
  });

  test('is asked once for many tokens with unknown keys, which wait until it may be asked again', async () => {
    const next = await makeSigningKey();
    const keys: JWK[] = [];
    let asked = 0;
    const url = await publish(() => {
      asked++;
      return JSON.stringify({ keys });
    });
    const log = pino({ level: 'silent' });
    const issuer = await openIssuer({ url, log, askEveryMs: 2000 });
    onTestFinished(() => issuer.close());

    keys.push(publicPartOf(next));
    const find = (kid = '') => issuer.keyOf({ alg: 'ES256', kid }, { payload: '', signature: '' });
    const strangers = Array.from({ length: 100 }, (_, at) => find(`${next.kid}-${at}`));
    const [rotated, ...others] = await Promise.allSettled([find(next.kid), ...strangers]);
    expect(rotated.status).toBe('fulfilled');
    for (const other of others) {
      expect(other).toMatchObject({ reason: { code: 'ERR_JWKS_NO_MATCHING_KEY' } });
    }
    expect(asked).toBe(2);
  });

  test('is waited for by a bounded number of requests, and the others may ask again', async () => {
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let checks = 0;
    const tokens = makeTokens(makeRules(), {
      keyOf: async (_header, _token, onWait) => {
        checks++;
        onWait?.();
        await answered;
        throw new errors.JWKSNoMatchingKey();
      },
    });
    const [token, other] = [await makeToken(), await makeToken({ sub: 'other' })];
    const codeOf = async (text: string) => (await refusalOf(() => tokens.find(text))).code;
    const first = codeOf(token);
    await waitUntil('it is checked', () => checks === 1);
    const waiting = Array.from({ length: 999 }, () => codeOf(token));
    const further = [codeOf(token), codeOf(other)];
    await waitUntil('both are checked', () => checks === 2);
    answer();
    expect(await Promise.all(further)).toEqual(['issuer_unavailable', 'issuer_unavailable']);
    expect(new Set(await Promise.all([first, ...waiting]))).toEqual(new Set(['token_invalid']));
    expect(await codeOf(other)).toBe('token_invalid');
  });

  test('has to name itself as the configuration does', async () => {
    const logged: { msg: string; reason: string }[] = [];
    const log = pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) });
    const url = issuer.url.replace('127.0.0.1', 'localhost');
    const keys = await openIssuer({ url, log });
    onTestFinished(() => keys.close());
    expect(logged[0]?.reason).toContain(`${issuer.url}; got ${url}`);
    const found = keys.keyOf({ alg: 'RS256' }, { payload: '', signature: '' });
    await expect(found).rejects.toMatchObject({ code: 'issuer_unavailable' });
  });
});
