// Who gets in, with real processes: two APIs, a worker, a Redis, an OIDC issuer, and the command that makes
// keys.

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  ask,
  type LogLine,
  openRedis,
  post,
  type Service,
  serviceEnvironment,
  startProcess,
  startService,
  type TestRedis,
  waitUntil,
} from '../harness.js';
import { openIssuerProcess, type TestIssuer } from '../issuer.js';
import {
  createKey as createKnownKey,
  listStatus,
  runKeys as runKeysCommand,
} from '../keys-command.js';

const score = '/v1/models/faq-matcher/score';
const input = 'why is 0.1 + 0.2 not 0.3';
const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });

let redis: TestRedis;
let issuer: TestIssuer;
let service: Service;
let other: Awaited<ReturnType<typeof startOther>>;
const secrets: string[] = [];

beforeAll(async () => {
  [redis, issuer] = await Promise.all([
    openRedis(),
    openIssuerProcess({ clients: { plain: {}, second: {} } }),
  ]);
  const environment = {
    AUTH: 'keys,oidc',
    OIDC_ISSUER: issuer.url,
    OIDC_AUDIENCE: 'urn:scoreline',
    LOG_LEVEL: 'info',
  };
  service = await startService({ redisUrl: redis.url, models: 'faq-matcher', environment });
  other = await startOther(environment);
});
afterAll(async () => {
  await other?.close();
  await service?.close();
  await issuer?.stop();
  await redis?.close();
});

async function startOther(environment: NodeJS.ProcessEnv) {
  const log: LogLine[] = [];
  const options = { redisUrl: redis.url, models: 'faq-matcher', environment };
  const child = startProcess('api', serviceEnvironment(options), log);
  const { port } = await child.ready;
  return { url: `http://127.0.0.1:${port}`, log, close: () => child.close() };
}

const runKeys = (...parameters: string[]) =>
  runKeysCommand({ REDIS_URL: redis.url }, ...parameters);

/** Makes a key that both APIs know. */
async function createKey(name: string, ...options: string[]): Promise<string> {
  const environment = { REDIS_URL: redis.url };
  const key = await createKnownKey([service.url, other.url], environment, name, ...options);
  secrets.push(key.slice(15));
  return key;
}

const idOf = (key: string) => key.split('_')[1] as string;

describe('an API that others can reach', () => {
  test('does not start before somebody has said who gets in', async () => {
    const environment = { HOST: '0.0.0.0', AUTH: '' };
    const options = { redisUrl: redis.url, models: 'faq-matcher', environment };
    const child = startProcess('api', serviceEnvironment(options), []);
    await expect(child.ready).rejects.toThrow(/^AUTH: .*npm run keys -- create NAME.*AUTH=none/);
    expect(await child.exited).toBe(1);
  });

  test.each([
    [{ AUTH: 'none' }, 'everyone who reaches this API may do everything: AUTH=none'],
    [{ AUTH: 'keys' }, 'open to all without a key or token'],
  ])('starts with %j, and says who may do what', async (access, expected) => {
    const api = await startOther({ HOST: '0.0.0.0', LOG_LEVEL: 'info', ...access });
    onTestFinished(() => api.close());
    await waitUntil('it is logged', () => api.log.some(({ msg }) => msg.includes(expected)));
  });

  test('does not start with a faulty file of keys', async () => {
    const environment = { AUTH: 'keys', KEYS_FILE: '/nowhere/keys.yaml' };
    const options = { redisUrl: redis.url, models: 'faq-matcher', environment };
    const child = startProcess('api', serviceEnvironment(options), []);
    await expect(child.ready).rejects.toThrow(/^KEYS_FILE: expected .*ENOENT/);
  });
});

describe('a key', () => {
  test('made by the command gets in at every API, and is shown alone and once', async () => {
    const key = await createKey('billing', '--per-second', '100', '--expires', '90d');
    expect(key).toMatch(/^scl_[0-9A-Za-z]{10}_[0-9A-Za-z]{36}$/);
    for (const url of [service.url, other.url]) {
      const { status, body, headers } = await post(url + score, { input }, bearer(key));
      expect([status, body.model]).toEqual([200, 'faq-matcher']);
      expect(headers.get('ratelimit-policy')).toBe('"rate";q=100;w=1');
    }
    const { stdout } = await runKeys('list');
    expect(stdout).toContain(`${idOf(key)}  billing\n`);
    expect(stdout).not.toContain(key.slice(15));
  });

  test('for a model that is not there is made with a note', async () => {
    const { stdout, stderr } = await runKeys(
      'create',
      'typo',
      '--models',
      'faq-mather,faq-matcher',
    );
    secrets.push(stdout.slice(15));
    expect(stderr).toMatch(/^Note: \S+ has no model faq-mather\. The models there: .*faq-matcher/m);
  });

  test('that is revoked is refused at every API, without a restart', async () => {
    const key = await createKey('leaver');
    await runKeys('revoke', idOf(key));
    for (const url of [service.url, other.url]) {
      await waitUntil('the key is refused', async () => (await listStatus(url, key)) === 401);
    }
    const again = runKeys('revoke', idOf(key));
    await expect(again).rejects.toThrow(`there is none "${idOf(key)}"`);
  });

  test('may be rotated: the old one stays valid for a while, and then no more', async () => {
    const old = await createKey('rotating');
    const { stdout: next } = await runKeys('rotate', idOf(old));
    expect(idOf(next)).toBe(idOf(old));
    await waitUntil(
      'the new key is known',
      async () => (await listStatus(other.url, next)) === 200,
    );
    expect(await listStatus(other.url, old)).toBe(200);
    // The new one was lost, such as by its receiver.
    const { stdout: third } = await runKeys('rotate', idOf(old));
    await waitUntil(
      'the third key is known',
      async () => (await listStatus(other.url, third)) === 200,
    );
    expect(await listStatus(other.url, next)).toBe(200);
    expect(await listStatus(other.url, old)).toBe(200);
    const { stdout: last } = await runKeys('rotate', idOf(old), '--keep-old', '0m');
    await waitUntil(
      'the last key is known',
      async () => (await listStatus(other.url, last)) === 200,
    );
    for (const key of [old, next, third]) expect(await listStatus(other.url, key)).toBe(401);
    secrets.push(next.slice(15), third.slice(15), last.slice(15));
  });

  test.each([
    [['create'], 'Usage: npm run keys'],
    [['create', 'a', 'b'], 'Usage: npm run keys'],
    [['create', 'a;b'], 'NAME: expected 1 to 100 letters, digits, blanks and . @ : / - _; got a;b'],
    [
      ['create', 'a', '--scopes', 'all'],
      '--scopes: expected one of "score", "jobs", "admin"; got all',
    ],
    [['create', 'a', '--models', ','], '--models: expected a list of 1 or more entries; got ,'],
    [['create', 'a', '--per-second', 'many'], '--per-second: expected a number; got many'],
    [['create', 'a', '--burst', '5'], '--burst: expected --per-second with it; got 5'],
    [['create', 'a', '--concurrent', '1.5'], '--concurrent: expected a whole number; got 1.5'],
    ...['soon', '45', '2030-02-31', 'May 2040'].map((time): [string[], string] => [
      ['create', 'a', '--expires', time],
      '--expires: expected a duration such as 90d',
    ]),
    [
      ['create', 'a', '--expires', '2020-01-01'],
      '--expires: expected a time that is still to come',
    ],
    [['create', 'a', '--rate', '5'], "Unknown option '--rate'"],
    [['rotate', 'nobody'], 'there is none "nobody"'],
    [['list', 'all'], 'Usage: npm run keys'],
  ])('is not made by %j, and the fault is named', async (parameters, expected) => {
    const failed = await runKeys(...parameters).catch((error) => error);
    expect(failed.code).toBe(1);
    expect(failed.stdout).toBe('');
    expect(failed.stderr).toContain(expected);
  });
});

describe('what is kept for an Idempotency-Key', () => {
  const repeatable = (credential: string, text = input, url = service.url) =>
    post(url + score, { input: text }, { ...bearer(credential), 'Idempotency-Key': 'order-17' });

  test('belongs to its caller, at every API and across a rotation', async () => {
    const key = await createKey('owner');
    const first = await repeatable(key);
    const repeat = await repeatable(key, input, other.url);
    expect(repeat.headers.get('idempotency-replayed')).toBe('true');
    expect(repeat.body).toEqual(first.body);
    const { stdout: next } = await runKeys('rotate', idOf(key));
    secrets.push(next.slice(15));
    await waitUntil(
      'the new key is known',
      async () => (await listStatus(other.url, next)) === 200,
    );
    expect((await repeatable(next, input, other.url)).body).toEqual(first.body);
  });

  test('is neither given nor shown to another caller', async () => {
    const callers = [
      await createKey('first'),
      await createKey('second'),
      await issuer.fetchToken('plain'),
      await issuer.fetchToken('second'),
    ];
    secrets.push(...callers.slice(2));
    const answers = [];
    for (const credential of callers) answers.push(await repeatable(credential));
    for (const { status, headers } of answers) {
      expect([status, headers.get('idempotency-replayed')]).toEqual([200, null]);
    }
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(callers.length);
    // Where the key is known it stands for one input; nobody else can find that out.
    const [one = '', two = ''] = callers;
    const unused = { 'Idempotency-Key': 'order-18' };
    await post(service.url + score, { input }, { ...bearer(one), ...unused });
    const guess = await post(service.url + score, { input: 'x' }, { ...bearer(two), ...unused });
    expect(guess.status).toBe(200);
    const own = await post(service.url + score, { input: 'y' }, { ...bearer(one), ...unused });
    expect(own.body.code).toBe('idempotency_key_reused');
  });
});

describe('a job', () => {
  test('exists for the caller that made it, and for nobody else', async () => {
    const owner = await createKey('submitter');
    const stranger = await createKey('stranger');
    const later = { ...bearer(owner), prefer: 'respond-async' };
    const submitted = await post(service.url + score, { input }, later);
    expect(submitted.status).toBe(202);
    const job = other.url + String(submitted.headers.get('location'));
    const never = `${other.url}/v1/jobs/00000000-0000-4000-8000-000000000000`;
    for (const method of ['GET', 'DELETE']) {
      const foreign = await ask(job, { method, headers: bearer(stranger) });
      const none = await ask(never, { method, headers: bearer(stranger) });
      expect([foreign.status, foreign.body]).toEqual([404, none.body]);
    }
    const list = (credential: string) =>
      ask(`${other.url}/v1/jobs`, { headers: bearer(credential) });
    expect((await list(stranger)).body).toEqual({ jobs: [] });
    expect((await list(owner)).body.jobs).toMatchObject([{ id: submitted.body.id }]);
    const ended = await ask(job, { headers: { ...bearer(owner), prefer: 'wait=60' } });
    expect(ended).toMatchObject({ status: 200, body: { state: 'succeeded' } });
  });
});

describe('a token of the issuer', () => {
  test('gets in beside the keys, with the scopes that it has', async () => {
    const token = await issuer.fetchToken('plain');
    const jobs = await issuer.fetchToken('plain', { scope: 'jobs' });
    secrets.push(token, jobs);
    expect((await post(service.url + score, { input }, bearer(token))).status).toBe(200);
    expect((await post(service.url + score, { input }, bearer(jobs))).body.code).toBe(
      'scope_missing',
    );
    const submitted = await post(`${service.url}${score}?async`, { input }, bearer(jobs));
    expect(submitted.status).toBe(202);
    const location = service.url + String(submitted.headers.get('location'));
    const ended = await ask(location, { headers: { ...bearer(jobs), prefer: 'wait=60' } });
    expect(ended).toMatchObject({ status: 200, body: { state: 'succeeded' } });
    const foreign = await issuer.fetchToken('plain', { audience: 'urn:other' });
    const refused = await post(service.url + score, { input }, bearer(foreign));
    expect([refused.status, refused.body.code]).toEqual([401, 'token_invalid']);
  });
});

describe('the log', () => {
  test('says who may get in, and holds no key and no token', async () => {
    const logs = [...service.log, ...other.log];
    expect(logs.map(({ msg }) => msg)).toContain('may get in with a token');
    const text = JSON.stringify(logs);
    expect(secrets.length).toBeGreaterThan(10);
    for (const secret of secrets) expect(text).not.toContain(secret);
  });
});

test('when a key was last used is kept, also by an API that ends', async () => {
  const key = await createKey('seldom');
  await other.close();
  const { stdout } = await runKeys('list');
  expect(stdout).toMatch(new RegExp(`${idOf(key)}  seldom\n.*; used 20\\d\\d-`));
});
