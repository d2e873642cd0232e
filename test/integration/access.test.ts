// Who gets in over HTTP, to what, and how often. The keys and the limits are in a real Redis.

import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Access, openAccess } from '../../api/access/access.js';
import { hashApiKey, makeApiKey, makeApiKeyId } from '../../api/access/api-key.js';
import type { ApiKeyRecord } from '../../api/access/api-key-record.js';
import { ApiKeyStore } from '../../api/access/api-key-store.js';
import { anyone, type Caller } from '../../api/access/caller.js';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import { ScorelineError } from '../../shared/errors.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { connectProducer, waitUntilReady } from '../../shared/redis/redis.js';
import { ask, openRedis, openRedisForAll, post, waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { imageModel, makeReply, openScene, openToAnyone, textModel } from './http-scene.js';

const log = pino({ level: 'silent' });
const redis = await openRedisForAll();

/** Makes keys, and opens an API that asks for them. Returns its address and the keys by name. */
async function openGuarded<Name extends string>(
  callers: Readonly<Record<Name, Partial<ApiKeyRecord>>>,
  options: Omit<NonNullable<Parameters<typeof openScene>[0]>, 'access'> = {},
) {
  const names = makeKeys(randomUUID());
  const store = new ApiKeyStore(redis.client, names);
  const keys = {} as Record<Name, string>;
  for (const [name, record] of Object.entries(callers) as [Name, Partial<ApiKeyRecord>][]) {
    const id = makeApiKeyId();
    keys[name] = makeApiKey(id);
    const sha256 = hashApiKey(keys[name]).toString('hex');
    await store.write({ id, name, sha256, scopes: ['score'], ...record });
  }
  const connection = connectProducer({ url: redis.url, name: 'test', log });
  await waitUntilReady(connection);
  const access = await openAccess({
    configuration: readConfiguration('api', { AUTH: 'keys' }),
    redis: connection,
    keys: names,
    instance: randomUUID(),
    log,
  });
  onTestFinished(async () => {
    await access.close();
    connection.disconnect();
  });
  const scene = await openScene({ models: [textModel, imageModel], ...options, access });
  return { ...scene, keys };
}

test('an API that starts waits until Redis can be asked for the keys', async () => {
  const own = await openRedis();
  onTestFinished(() => own.close());
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => void logged.push(JSON.parse(line).msg) });
  const connection = connectProducer({ url: own.url, name: 'test', log });
  onTestFinished(() => connection.disconnect());
  await waitUntilReady(connection);
  await own.stop();
  const opening = openAccess({
    configuration: readConfiguration('api', { AUTH: 'keys' }),
    ...{ redis: connection, keys: makeKeys('own'), instance: randomUUID(), log },
  });
  const message = 'the API keys cannot be read; trying again';
  await waitUntil('it is logged', () => logged.includes(message));
  await own.start();
  await (await opening).close();
});

/** Is expected to have a worker at all times. */
const busyModel = makeSampleModel({ name: 'busy', scaling: { min: 1 } });
const score = '/v1/models/text/score';
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

describe('without a key or a token', () => {
  test.each([
    ['POST', score],
    ['POST', '/v1/models/text/versions/1/score'],
    ['POST', '/score'],
    ['POST', '/score?model=text'],
    ['POST', '/V1/Models/text/SCORE/'],
    ['POST', '/v1/models/nope/score'],
    ['GET', '/v1/models'],
    ['GET', '/v1/models/'],
    ['GET', score],
    ['GET', '/version'],
    ['GET', '/nope'],
    ['OPTIONS', '/score'],
    ['GET', '//'],
    ['GET', '/v2/health/live/../../v1/models'],
  ])('nobody gets in: %s %s', async (method, path) => {
    const { url, submissions } = await openGuarded({});
    const { status, body, headers } = await ask(url + path, { method });
    expect([status, body.code]).toEqual([401, 'unauthenticated']);
    expect(headers.get('www-authenticate')).toBe('Bearer realm="scoreline"');
    expect(submissions).toEqual([]);
  });

  test.each(['/', '/?a=b', '/v2/health/live', '/v2/health/ready', '/v2/health/ready?x'])(
    'probes get an answer, whoever they are: %s',
    async (path) => {
      const { url } = await openGuarded({});
      expect((await ask(url + path)).status).toBe(200);
      expect((await ask(url + path, { headers: bearer('no key') })).status).toBe(200);
    },
  );

  test('the probe of readiness names no model', async () => {
    const { url } = await openScene({ models: [busyModel], workers: 0 });
    const { status, body } = await ask(`${url}/v2/health/ready`);
    expect(status).toBe(503);
    expect(body.reason).toBe('no worker yet for 1 of 1 models; see GET /v1/models');
  });

  test('the body is not read', async () => {
    const scene = await openGuarded({});
    const client = await scene.connect();
    client.post(score, { 'Content-Length': 100_000, Expect: '100-continue' });
    expect((await client.response()).status).toBe(401);
    expect(scene.admission.inFlight).toBe(0);
  });
});

describe('a key', () => {
  test.each([
    ['Authorization: Bearer', (key: string) => bearer(key)],
    ['X-API-Key', (key: string) => ({ 'x-api-key': key })],
  ])('lets its caller in by %s', async (_how, headers) => {
    const { url, keys } = await openGuarded({ billing: {} });
    const { status, body } = await post(url + score, { input: 'hello' }, headers(keys.billing));
    expect([status, body.model]).toEqual([200, 'text']);
  });

  test('that is mistyped or unknown is refused, with different advice', async () => {
    const { url, keys } = await openGuarded({ billing: {} });
    const mistyped = await post(url + score, { input: 'a' }, bearer(keys.billing.slice(0, -1)));
    const unknown = await post(url + score, { input: 'a' }, bearer(makeApiKey(makeApiKeyId())));
    expect([mistyped.status, mistyped.body.code]).toEqual([401, 'key_malformed']);
    expect([unknown.status, unknown.body.code]).toEqual([401, 'key_unknown']);
    for (const { headers } of [mistyped, unknown]) {
      expect(headers.get('www-authenticate')).toBe(
        'Bearer realm="scoreline", error="invalid_token"',
      );
    }
  });

  test('is needed where a token is shown and only keys are accepted', async () => {
    const { url } = await openGuarded({ billing: {} });
    const { status, body } = await post(url + score, { input: 'a' }, bearer('eyJ.eyJ.x'));
    expect([status, body.code]).toEqual([401, 'unauthenticated']);
    expect(body.detail).toContain('Expected an API key');
  });
});

describe('a scope', () => {
  test('is needed for each address', async () => {
    const { url, keys } = await openGuarded({
      score: {},
      jobs: { scopes: ['jobs'] },
      admin: { scopes: ['admin'] },
    });
    const statuses = async (name: keyof typeof keys) => {
      const headers = bearer(keys[name]);
      const scored = await post(url + score, { input: 'a' }, headers);
      const loose = await post(`${url}/V1/models/text/score/`, { input: 'a' }, headers);
      const listed = await ask(`${url}/v1/models`, { headers });
      return [scored.status, loose.status, listed.status];
    };
    expect(await statuses('score')).toEqual([200, 200, 200]);
    expect(await statuses('jobs')).toEqual([403, 403, 200]);
    expect(await statuses('admin')).toEqual([200, 200, 200]);
  });

  test('that is missing is named', async () => {
    const { url, keys } = await openGuarded({ jobs: { scopes: ['jobs'] } });
    const { body, headers } = await post(url + score, { input: 'a' }, bearer(keys.jobs));
    expect(body.code).toBe('scope_missing');
    expect(body.detail).toContain('the scope score or admin; jobs has jobs');
    expect(headers.get('www-authenticate')).toContain('error="insufficient_scope"');
  });
});

describe('a model that a caller may not use', () => {
  test.each([
    ['/v1/models/text/score', '/v1/models/nope/score'],
    ['/v1/models/text/versions/1/score', '/v1/models/nope/versions/1/score'],
    ['/V1/models/text/score/', '/V1/models/nope/score/'],
    ['/score?model=text', '/score?model=nope'],
  ])('looks like one that is not there: %s', async (hidden, missing) => {
    const { url, keys } = await openGuarded({ images: { models: ['image'] } });
    const asked = async (path: string) => {
      const { status, body } = await post(url + path, { input: 'a' }, bearer(keys.images));
      return { status, body: { ...body, detail: body.detail.replace(/text|nope/, 'MODEL') } };
    };
    expect(await asked(hidden)).toEqual(await asked(missing));
    expect(await asked(hidden)).toMatchObject({ status: 404, body: { code: 'model_not_found' } });
    expect((await asked(hidden)).body.detail).toContain('The models here: image.');
  });

  test('is not among those that are left out either', async () => {
    const error = new ScorelineError('model_file_missing', 'It is gone.');
    const { url, keys } = await openGuarded(
      { both: { models: ['text', 'lost'] }, one: { models: ['text'] }, all: {} },
      { leftOut: [{ name: 'lost', error }] },
    );
    const leftOut = async (key: string) =>
      (await ask(`${url}/v1/models`, { headers: bearer(key) })).body.leftOut;
    const reason = 'A model file is missing';
    const lost = [{ name: 'lost', code: 'model_file_missing', reason }];
    expect(await leftOut(keys.both)).toEqual(lost);
    expect(await leftOut(keys.all)).toEqual(lost);
    expect(await leftOut(keys.one)).toEqual([]);
  });

  test('is not in the list, and not chosen for a request that names none', async () => {
    const { url, keys } = await openGuarded({
      images: { models: ['image'] },
      texts: { models: ['text'] },
      none: { models: ['gone'] },
    });
    const listed = async (key: string) => {
      const { body } = await ask(`${url}/v1/models`, { headers: bearer(key) });
      return body.models.map(({ name }: { name: string }) => name);
    };
    expect(await listed(keys.images)).toEqual(['image']);
    expect(await listed(keys.texts)).toEqual(['text']);
    expect(await listed(keys.none)).toEqual([]);
    const chosen = async (key: string) => post(`${url}/score`, { input: 'a' }, bearer(key));
    expect((await chosen(keys.texts)).status).toBe(200);
    expect((await chosen(keys.images)).body.code).toBe('input_invalid');
    expect((await chosen(keys.none)).body.code).toBe('model_not_found');
  });
});

describe('a caller with limits', () => {
  test('is told about them in each answer, and gets 429 beyond them', async () => {
    const { url, keys, logged } = await openGuarded({
      slow: { perSecond: 0.1, burst: 2, concurrent: 5 },
    });
    const policy = '"rate";q=2;w=20, "concurrency";q=5;qu="concurrent-requests"';
    for (const left of [1, 0]) {
      const { status, headers } = await post(url + score, { input: 'a' }, bearer(keys.slow));
      expect([status, headers.get('ratelimit-policy')]).toEqual([200, policy]);
      // A second passes between the two requests on a slow machine.
      const seconds = left === 1 ? '1' : '([6-9]|10)';
      expect(headers.get('ratelimit')).toMatch(new RegExp(`^"rate";r=${left};t=${seconds}, `));
      expect(headers.get('retry-after')).toBeNull();
    }
    // A refusal counts for the model that the request names.
    for (const path of [score, '/score?model=text', '/v2/models/text/infer']) {
      expect((await post(url + path, { input: 'a' }, bearer(keys.slow))).status).toBe(429);
    }
    const named = () => logged.map((line) => JSON.parse(line).model);
    await waitUntil('the refusals are logged', () => named().length === 3);
    expect(named()).toEqual(['text', 'text', 'text']);
    const { status, body, headers } = await ask(`${url}/v1/models`, { headers: bearer(keys.slow) });
    expect([status, body.code]).toEqual([429, 'rate_limited']);
    expect(headers.get('ratelimit-policy')).toBe(policy);
    const seconds = Number(headers.get('retry-after'));
    expect(seconds).toBeGreaterThan(5);
    expect(seconds).toBeLessThanOrEqual(10);
    const [, left] = /"rate";r=0;t=(\d+)/.exec(headers.get('ratelimit') ?? '') ?? [];
    expect(Math.abs(Number(left) - seconds)).toBeLessThanOrEqual(1);
  });

  test('does not use up the limits of another', async () => {
    const { url, keys } = await openGuarded({
      slow: { perSecond: 0.1, burst: 1 },
      other: { perSecond: 0.1, burst: 1 },
      free: {},
    });
    const statusOf = async (key: string) =>
      (await post(url + score, { input: 'a' }, bearer(key))).status;
    expect(await statusOf(keys.slow)).toBe(200);
    expect(await statusOf(keys.slow)).toBe(429);
    expect(await statusOf(keys.other)).toBe(200);
    const { status, headers } = await post(url + score, { input: 'a' }, bearer(keys.free));
    expect([status, headers.get('ratelimit')]).toEqual([200, null]);
  });

  test('gives its slot back with the answer, also where the address is not one that scores', async () => {
    const { url, keys } = await openGuarded({ one: { concurrent: 1 } });
    for (const path of ['/v1/models', '/nope', '/version', '/v1/models']) {
      await waitUntil('there is a slot', async () => {
        const { status } = await ask(url + path, { headers: bearer(keys.one) });
        return status !== 429;
      });
      expect((await post(url + score, { input: 'a' }, bearer(keys.one))).status).toBe(200);
    }
  });

  test('gives its slot back when it hangs up, with a pipelined request behind it', async () => {
    const answers: (() => void)[] = [];
    const { url, keys, connect, submissions } = await openGuarded(
      { two: { concurrent: 2 } },
      {
        submit: ({ items }) =>
          items.map(
            ({ id }) => new Promise((resolve) => answers.push(() => resolve(makeReply(id)))),
          ),
      },
    );
    const client = await connect();
    const headers = {
      'Content-Type': 'application/json',
      'Content-Length': 15,
      ...bearer(keys.two),
    };
    for (let count = 0; count < 2; count++) {
      client.post(score, headers);
      client.write('{"input":"abc"}');
    }
    await waitUntil('the first is on its way', () => submissions.length === 1);
    const leftNow = async () => {
      const { headers } = await ask(`${url}/v1/models`, { headers: bearer(keys.two) });
      return headers.get('ratelimit');
    };
    // The one that asks takes a slot itself.
    expect(await leftNow()).toBe('"concurrency";r=0');
    client.hangUp();
    await waitUntil('its slot is free', async () => (await leftNow()) === '"concurrency";r=1');
    expect(submissions).toHaveLength(1);
    for (const answer of answers) answer();
  });

  test('gives its slot back when its request is refused for another reason', async () => {
    const { url, keys } = await openGuarded({ one: { concurrent: 1, scopes: ['jobs'] } });
    for (let count = 0; count < 5; count++) {
      const { status } = await post(url + score, { input: 'a' }, bearer(keys.one));
      expect(status).toBe(403);
    }
  });
});

describe('a caller that takes long to be found out', () => {
  /** Opens an API whose callers are found out when the test says so. */
  const openSlow = async () => {
    const waiting: ((caller: Caller | Error) => void)[] = [];
    const access: Omit<Access, 'close'> = {
      ...openToAnyone,
      identify: () =>
        new Promise((resolve, reject) => {
          waiting.push((found) => (found instanceof Error ? reject(found) : resolve(found)));
        }),
    };
    return { ...(await openScene({ access })), waiting };
  };

  test('is answered then', async () => {
    const { url, waiting } = await openSlow();
    const answer = post(url + score, { input: 'a' });
    await waitUntil('the request waits', () => waiting.length === 1);
    waiting[0]?.(anyone);
    expect((await answer).status).toBe(200);
  });

  test('is refused then', async () => {
    const { url, waiting } = await openSlow();
    const answer = post(url + score, { input: 'a' });
    await waitUntil('the request waits', () => waiting.length === 1);
    waiting[0]?.(new ScorelineError('token_invalid', 'Expected another.'));
    expect((await answer).body.code).toBe('token_invalid');
  });

  test('costs nothing if it has left by then, alone or with pipelined requests', async () => {
    const { connect, waiting, calls, submissions, sockets } = await openSlow();
    const client = await connect();
    for (let count = 0; count < 3; count++) {
      client.post(score, { 'Content-Type': 'application/json', 'Content-Length': 15 });
      client.write('{"input":"abc"}');
    }
    await waitUntil('the first waits', () => waiting.length === 1);
    client.hangUp();
    await waitUntil('the API knows', () => sockets.every(({ destroyed }) => destroyed));
    for (const find of waiting) find(anyone);
    await new Promise((resolve) => setImmediate(resolve));
    expect({ calls: calls.size, submissions }).toEqual({ calls: 0, submissions: [] });
  });
});

test('refusals that come too fast wait for their turn, and good requests do not', async () => {
  const { url, keys, connect } = await openGuarded({ billing: {} });
  const client = await connect();
  const startedAt = performance.now();
  for (let count = 0; count < 300; count++) {
    client.write('GET /v1/models HTTP/1.1\r\nHost: test\r\nX-API-Key: scl_wrong\r\n\r\n');
  }
  expect((await client.response()).status).toBe(401);
  const { status } = await post(url + score, { input: 'a' }, bearer(keys.billing));
  expect(status).toBe(200);
  for (let count = 1; count < 300; count++) expect((await client.response()).status).toBe(401);
  // The 50 first wait for nothing, and the others are answered at a pace of 200 a second.
  expect(performance.now() - startedAt).toBeGreaterThan(900);
});

describe('the addresses of operators', () => {
  const basic = (password: string, name = 'anyone') => ({
    authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
  });

  test('let keys with the scope admin in, also as a password from a browser', async () => {
    const { url, keys } = await openGuarded({
      operator: { scopes: ['admin'] },
      client: { scopes: ['score', 'jobs'] },
    });
    const statusOf = async (headers: Record<string, string>, path = '/admin/queues') =>
      (await ask(url + path, { headers })).status;
    expect(await statusOf(bearer(keys.operator))).toBe(200);
    expect(await statusOf(basic(keys.operator))).toBe(200);
    expect(await statusOf({ ...basic('of a proxy'), 'x-api-key': keys.operator })).toBe(200);
    expect(await statusOf(basic(keys.client))).toBe(403);
    expect(await statusOf(basic(''))).toBe(401);
    expect(await statusOf(basic(makeApiKey(makeApiKeyId())))).toBe(401);
    expect(await statusOf({ authorization: 'Basic !' })).toBe(401);
    expect(await statusOf(basic(keys.operator), '/v1/models')).toBe(401);
  });

  test('make a browser ask for the key, and other addresses do not', async () => {
    const { url } = await openGuarded({});
    const challengeOf = async (path: string) =>
      (await ask(url + path)).headers.get('www-authenticate');
    expect(await challengeOf('/admin/queues')).toBe(
      'Bearer realm="scoreline", Basic realm="scoreline", charset="UTF-8"',
    );
    expect(await challengeOf('/v1/models')).toBe('Bearer realm="scoreline"');
  });
});
