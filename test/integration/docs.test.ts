// How the docs are served: to everyone, with a policy of their own, and nothing else from the folder.

import { describe, expect, test } from 'vitest';
import { ScorelineError } from '../../shared/errors.js';
import { ask, post } from '../harness.js';
import { openScene } from './http-scene.js';

const closed = {
  identify: () => {
    throw new ScorelineError('unauthenticated', 'Expected a key.');
  },
  isStranger: () => true,
  limits: { admit: () => undefined, fieldsOf: () => ({ 'RateLimit-Policy': '', RateLimit: '' }) },
  delayMs: () => 0,
};

describe('the docs', () => {
  test.each([
    ['/docs', 'text/html'],
    ['/docs/access', 'text/html'],
    ['/docs/style.css', 'text/css'],
    ['/docs/page.js', 'text/javascript'],
    ['/docs/search.json', 'application/json'],
    ['/docs/peers.svg', 'image/svg+xml'],
  ])('have %s for everyone', async (path, type) => {
    const { url } = await openScene({ access: closed });
    const first = await fetch(url + path);
    expect([first.status, first.headers.get('content-type')]).toEqual([
      200,
      `${type}; charset=utf-8`,
    ]);
    expect(first.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    );
    const tag = first.headers.get('etag') ?? '';
    const again = await fetch(url + path, { headers: { 'if-none-match': tag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    const head = await fetch(url + path, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    const other = await post(url + path, {});
    expect([other.status, other.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test.each([
    '/docs/nothing',
    '/docs/index',
    '/docs/..%2f..%2fpackage.json',
    '/docs/__proto__',
    '/docs/access/',
  ])('have no %s', async (path) => {
    const { url } = await openScene();
    const { status, body } = await ask(url + path);
    expect([status, body.code]).toEqual([404, 'not_found']);
  });

  test('send those away who ask with a slash at the end, behind a prefix too', async () => {
    const { url } = await openScene();
    const answer = await fetch(`${url}/docs/`, { redirect: 'manual' });
    expect([answer.status, answer.headers.get('location')]).toEqual([308, '../docs']);
  });
});

describe('how people sign in', () => {
  const offer = { issuer: 'https://id.example.com', clientId: 'page', scopes: ['openid'] };
  const endpoints = {
    authorization: 'https://id.example.com/auth',
    token: 'https://t.example.com',
  };

  test('is said to everyone', async () => {
    const { url } = await openScene({ access: closed, signIn: { ...offer, endpoints } });
    expect((await ask(`${url}/v1/sign-in`)).body).toEqual({
      ...offer,
      authorizationEndpoint: endpoints.authorization,
      tokenEndpoint: endpoints.token,
    });
  });

  test('is not said where nobody can, or while the issuer is away', async () => {
    const none = await openScene();
    expect((await ask(`${none.url}/v1/sign-in`)).body.code).toBe('not_found');
    const away = await openScene({ signIn: { ...offer, endpoints: undefined } });
    const { status, body, headers } = await ask(`${away.url}/v1/sign-in`);
    expect([status, body.code, headers.get('retry-after')]).toEqual([
      503,
      'issuer_unavailable',
      '5',
    ]);
  });
});
