// What every answer says to browsers and caches, and what a request must pass before anybody asks who
// sends it. Over HTTP, with the real server.

import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { makeApiKey, makeApiKeyId } from '../../api/access/api-key.js';
import { loggedPath } from '../../api/http/logged-path.js';
import { readConfiguration } from '../../shared/configuration/configuration.js';
import { ask, post, waitUntil } from '../harness.js';
import { openScene, type Scene } from './http-scene.js';

const score = '/v1/models/text/score';
const app = 'https://app.example.com';
const key = makeApiKey(makeApiKeyId());

describe('every answer', () => {
  const ways: Record<string, (scene: Scene) => Promise<{ status: number; headers: Headers }>> = {
    'to a score': ({ url }) => post(`${url}${score}`, { input: 'a' }),
    'to a list': ({ url }) => ask(`${url}/v1/models`),
    'to a probe': ({ url }) => ask(`${url}/`),
    'that refuses a body': ({ url }) => post(`${url}${score}`, { input: 1 }),
    'that refuses an address': ({ url }) => ask(`${url}/nothing`),
    'that refuses a method': ({ url }) => ask(`${url}/score`, { method: 'DELETE' }),
    'that refuses an encoding': ({ url }) => ask(`${url}/v1/models/%ff/score`, { method: 'POST' }),
    'that has no body': ({ url }) => fetch(`${url}/version`, { method: 'HEAD' }),
  };
  test.each(Object.entries(ways))(
    '%s may load nothing, is not kept, and has an id',
    async (_, send) => {
      const { headers } = await send(await openScene());
      expect(Object.fromEntries(headers)).toMatchObject({
        'content-security-policy': "default-src 'none';frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': 'no-store',
        'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      });
      for (const name of ['x-powered-by', 'server', 'etag', 'strict-transport-security']) {
        expect(headers.has(name), name).toBe(false);
      }
    },
  );
});

describe('X-Request-Id', () => {
  const idOf = async (given: string) => {
    const { url } = await openScene();
    const { headers } = await ask(`${url}/v1/models`, { headers: { 'X-Request-Id': given } });
    return headers.get('x-request-id');
  };

  test.each(['a', 'order-17/line_3', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'])(
    'is returned: %s',
    async (given) => expect(await idOf(given)).toBe(given),
  );

  test.each(['a b', '{"level":60}', 'a"b', 'x'.repeat(129), '\u00e9', key])(
    'that could mislead, or is secret, is replaced: %j',
    async (given) => expect(await idOf(given)).toMatch(/^[0-9a-f-]{36}$/),
  );

  test('stands in the log beside a fault', async () => {
    const { url, logged } = await openScene({
      submit: () => [Promise.reject(new Error('out of order'))],
    });
    const answer = await post(`${url}${score}`, { input: 'a' }, { 'X-Request-Id': 'order-17' });
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.body)).not.toContain('out of order');
    await waitUntil('the line is there', () => logged.length > 0);
    const [line] = logged.splice(0);
    expect(JSON.parse(line ?? '{}')).toMatchObject({ requestId: 'order-17', path: score });
  });
});

test('without AUTH, a page whose name leads here reads nothing', async () => {
  const { connect } = await openScene();
  for (const path of [score, '/v2/models/text/infer']) {
    const page = await connect();
    page.post(path, { Host: 'rebind.example.com:8080', 'Content-Length': 0 });
    const { status, body } = await page.response();
    expect([path, status, body.code]).toEqual([path, 403, 'scope_missing']);
    expect(JSON.stringify(body)).toContain('AUTH is not set');
  }
});

test('a request with too many header fields is refused', async () => {
  const { connect } = await openScene();
  const client = await connect();
  const many = Object.fromEntries(Array.from({ length: 120 }, (_, at) => [`X-${at}`, 'a']));
  client.post(score, { ...many, 'Content-Length': 0 });
  const { status, body } = await client.response();
  expect([status, body.code]).toEqual([400, 'request_invalid']);
  expect(body.detail).toBe('Expected at most 100 header fields; got 122.');
});

describe('a web page of another origin', () => {
  const preflight = (url: string, origin: string) =>
    ask(`${url}${score}`, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'x-api-key,content-type',
      },
    });

  test('may read nothing if no origins are named', async () => {
    const { url } = await openScene();
    for (const { headers } of [
      await preflight(url, app),
      await post(`${url}${score}`, { input: 'a' }, { Origin: app }),
    ]) {
      expect(headers.has('access-control-allow-origin')).toBe(false);
    }
  });

  test('may ask, send a key, and read answers and refusals, if its origin is named', async () => {
    const { url } = await openScene({
      configuration: { CORS_ORIGINS: ['https://x.example', app] },
    });
    const asked = await preflight(url, app);
    expect(asked.status).toBe(204);
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      'access-control-allow-origin': app,
      'access-control-allow-methods': 'GET,HEAD,POST,DELETE',
      'access-control-allow-headers': 'x-api-key,content-type',
      vary: expect.stringContaining('Origin'),
    });
    for (const input of ['a', 1]) {
      const { headers } = await post(`${url}${score}`, { input }, { Origin: app });
      expect(headers.get('access-control-allow-origin')).toBe(app);
      expect(headers.get('access-control-expose-headers')).toContain('Retry-After');
      expect(headers.has('access-control-allow-credentials')).toBe(false);
    }
  });

  test.each(['https://evil.example', 'http://app.example.com', `${app}.evil.example`, 'null'])(
    'may read nothing if it is %s',
    async (origin) => {
      const { url } = await openScene({ configuration: { CORS_ORIGINS: [app] } });
      for (const { headers } of [
        await preflight(url, origin),
        await post(`${url}${score}`, { input: 'a' }, { Origin: origin }),
      ]) {
        expect(headers.has('access-control-allow-origin')).toBe(false);
      }
    },
  );
});

describe('HTTPS_ONLY', () => {
  const configuration = { HTTPS_ONLY: true, TRUST_PROXY: ['loopback'] };
  const byHttps = { 'X-Forwarded-Proto': 'https' };

  test('redirects whoever reads, and keeps the rest of the address', async () => {
    const { url, port } = await openScene({ configuration });
    const answer = await fetch(`${url}/v1/models?a=b`, { redirect: 'manual' });
    expect(answer.status).toBe(308);
    expect(answer.headers.get('location')).toBe(`https://127.0.0.1:${port}/v1/models?a=b`);
  });

  test('refuses whoever sends', async () => {
    const { url, submissions } = await openScene({ configuration });
    const { status, body, headers } = await post(`${url}${score}`, { input: 'a' });
    expect([status, body.code]).toEqual([403, 'https_required']);
    expect(headers.has('www-authenticate')).toBe(false);
    expect(submissions).toEqual([]);
  });

  test('lets HTTPS and probes in, and tells browsers to keep to it', async () => {
    const { url } = await openScene({ configuration });
    const { status, headers } = await post(`${url}${score}`, { input: 'a' }, byHttps);
    expect(status).toBe(200);
    expect(headers.get('strict-transport-security')).toBe('max-age=31536000');
    expect((await ask(`${url}/v2/health/live`)).status).toBe(200);
  });

  test('does not believe a proxy that is not named', async () => {
    const { url } = await openScene({
      configuration: { HTTPS_ONLY: true, TRUST_PROXY: ['10.0.0.0/8'] },
    });
    expect((await post(`${url}${score}`, { input: 'a' }, byHttps)).status).toBe(403);
  });
});

describe('configuration', () => {
  const read = (environment: NodeJS.ProcessEnv) => readConfiguration('api', environment);

  test('lists are split', () => {
    const { CORS_ORIGINS, TRUST_PROXY, HTTPS_ONLY } = read({
      CORS_ORIGINS: `${app}, http://localhost:3000`,
      TRUST_PROXY: 'loopback,10.0.0.0/8,::1',
      HTTPS_ONLY: 'true',
    });
    expect([CORS_ORIGINS, TRUST_PROXY, HTTPS_ONLY]).toEqual([
      [app, 'http://localhost:3000'],
      ['loopback', '10.0.0.0/8', '::1'],
      true,
    ]);
  });

  test.each([
    ['CORS_ORIGINS', '*'],
    ['CORS_ORIGINS', 'app.example.com'],
    ['CORS_ORIGINS', `${app}/`],
    ['CORS_ORIGINS', 'null'],
    ['TRUST_PROXY', 'true'],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['TRUST_PROXY', 'proxy.example.com'],
    ['HTTPS_ONLY', 'yes'],
    ['HTTPS_ONLY', 'true'],
  ])('%s=%s is refused', (key, value) => {
    expect(() => read({ [key]: value })).toThrow(new RegExp(`^${key}: .*xpected`));
  });
});

test.each([
  ['a key', key, 'scl_…'],
  ['a key with escapes', key.replace('scl_', 's%63l%5F'), 'scl_…'],
  ['a token', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln-bmF', 'eyJ…'],
  ['a password', '/user:secret@host', '/…@host'],
  ['no secret', 'a%20b', 'a%20b'],
])('the log has a path without its query, and %s in it as that', (_what, part, expected) => {
  const pathOf = (url: string) => loggedPath({ url } as IncomingMessage);
  expect(pathOf(`/v1/${part}/score?key=a`)).toBe(`/v1/${expected}/score`);
});
