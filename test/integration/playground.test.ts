// How the page at `/` is served: to browsers, in the encoding that they take, with a policy of its own.

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { openPlayground } from '../../api/playground/playground.js';
import { openScene } from './http-scene.js';

const settings = { version: '1.2.3', isGuarded: true, takesKeys: true, canSignIn: true };
const playground = openPlayground({
  ...settings,
  traceUrl: '</script><script>alert(1)//{traceId}',
});
const browser = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const signIn = {
  ...{ issuer: 'https://login.example.com', clientId: 'page', scopes: [] },
  endpoints: {
    authorization: 'https://login.example.com/authorize',
    token: 'https://tokens.example.com/oauth/token',
  },
};

describe('the page at /', () => {
  test.each([
    ['a browser', browser.accept, 'text/html; charset=utf-8'],
    ['one that names HTML last', 'text/plain;q=0.5, text/html', 'text/html; charset=utf-8'],
    ['curl', '*/*', 'text/plain; charset=utf-8'],
    ['one that wants no HTML', 'text/html;q=0, */*', 'text/plain; charset=utf-8'],
    ['a program', 'application/json', 'text/plain; charset=utf-8'],
  ])('goes by what %s accepts', async (_, accept, type) => {
    const { url } = await openScene({ playground });
    const answer = await fetch(url, { headers: { accept } });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type]);
    expect(answer.headers.get('vary')).toContain('Accept');
    if (type.startsWith('text/plain')) expect(await answer.text()).toBe('Healthy');
  });

  test.each(['br', 'gzip', 'identity'])(
    'is less than 60 kB in one answer, as %s',
    async (encoding) => {
      const { url } = await openScene({ playground });
      const answer = await fetch(url, { headers: { ...browser, 'accept-encoding': encoding } });
      const bytes = Number(answer.headers.get('content-length'));
      if (encoding !== 'identity') expect(bytes).toBeLessThan(60_000);
      const text = await answer.text();
      expect(text).toMatch(/^<!doctype html>.*<\/html>\s*$/s);
      // The icon is inside, and nothing else is loaded.
      expect(text.match(/<(?:link|script|img)[^>]*(?:src|href)="(?!data:)[^"]*"/g)).toBeNull();
    },
  );

  test('has a policy that names its script, its style and the issuer, and nothing else', async () => {
    const { url } = await openScene({ playground, signIn });
    const answer = await fetch(url, { headers: browser });
    const text = await answer.text();
    const [script, style] = ['script', 'style'].map((tag) => {
      const [, inside = ''] = new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(text) ?? [];
      return createHash('sha256').update(inside).digest('base64');
    });
    const policy = `default-src 'none'; script-src 'sha256-${script}'; style-src 'sha256-${style}'; connect-src 'self' https://tokens.example.com; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
    expect(answer.headers.get('content-security-policy')).toBe(policy);
    const tag = answer.headers.get('etag') ?? '';
    const again = await fetch(url, { headers: { ...browser, 'if-none-match': tag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    expect(again.headers.get('content-security-policy')).toBe(policy);
  });

  test('takes no setting for markup', async () => {
    const { url } = await openScene({ playground });
    const text = await (await fetch(url, { headers: browser })).text();
    expect(text).not.toContain('<script>alert');
    const [, json = ''] = /id="settings">(.*?)<\/script>/.exec(text) ?? [];
    expect(JSON.parse(json)).toMatchObject({ version: '1.2.3', isGuarded: true });
  });

  test('is not there when it is switched off, and neither are its pictures', async () => {
    const { url } = await openScene();
    const answer = await fetch(url, { headers: browser });
    expect(await answer.text()).toBe('Healthy');
    expect((await fetch(`${url}/playground/cat.jpg`)).status).toBe(404);
  });

  test('has pictures, and nothing else from their folder', async () => {
    const { url } = await openScene({ playground });
    const picture = await fetch(`${url}/playground/cat.jpg`);
    expect([picture.status, picture.headers.get('content-type')]).toEqual([200, 'image/jpeg']);
    for (const name of ['dog.jpg', '..%2fpage.html', '__proto__', 'cat.jpg%00']) {
      expect((await fetch(`${url}/playground/${name}`)).status).toBe(404);
    }
    const posted = await fetch(`${url}/playground/cat.jpg`, { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('sends a browser to HTTPS where that is a must, and answers probes', async () => {
    const { url } = await openScene({
      playground,
      configuration: { HTTPS_ONLY: true, TRUST_PROXY: ['loopback'] },
    });
    const sent = await fetch(url, { headers: browser, redirect: 'manual' });
    expect(sent.status).toBe(308);
    expect((await fetch(url, { headers: { accept: '*/*' } })).status).toBe(200);
  });
});
