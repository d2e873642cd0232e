// Errors are pages for people only: programs get the same documents as ever.

import { describe, expect, test } from 'vitest';
import { openScene } from './http-scene.js';

const firefox = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
const chromium =
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8';

function open(url: string, accept: string | undefined, method = 'GET'): Promise<Response> {
  return fetch(url, { method, headers: accept === undefined ? {} : { accept } });
}

describe('an error', () => {
  test.each([firefox, chromium, 'text/html', 'application/json;q=0.5, text/html'])(
    'is a page for a browser: %s',
    async (accept) => {
      const { url } = await openScene();
      const answer = await open(`${url}/v1/nothing`, accept);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([
        404,
        'text/html; charset=utf-8',
      ]);
      expect(answer.headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; style-src/,
      );
      const page = await answer.text();
      expect(page).toContain('<h1>There is no such address</h1>');
      expect(page).toContain('href="../docs/errors#not_found"');
      expect(page).toContain(answer.headers.get('x-request-id'));
    },
  );

  test.each([
    undefined,
    '*/*',
    'application/json',
    'application/json, text/html;q=0.9, */*',
    'text/html;q=0, */*',
  ])('is a document for a program: %s', async (accept) => {
    const { url } = await openScene();
    const answer = await open(`${url}/v1/nothing`, accept);
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(answer.headers.get('content-security-policy')).toBe(
      "default-src 'none';frame-ancestors 'none'",
    );
    expect(await answer.text()).toBe(
      '{"type":"urn:scoreline:error:not_found","title":"There is no such address","status":404,"code":"not_found","detail":"There is nothing at GET /v1/nothing. Try POST /score, POST /v1/models/{model}/score, POST /v2/models/{model}/infer, GET /v1/models, GET /docs."}',
    );
  });

  test('says where metrics are', async () => {
    const { url } = await openScene();
    expect(await (await open(`${url}/metrics`, '*/*')).json()).toMatchObject({
      code: 'not_found',
      detail: expect.stringContaining(
        'There is nothing at GET /metrics. Metrics have a port of their own',
      ),
    });
  });

  test('is a document for what a browser sends by itself', async () => {
    const { url } = await openScene();
    const answer = await open(`${url}/v1/nothing`, firefox, 'POST');
    expect(answer.headers.get('content-type')).toContain('json');
    const head = await open(`${url}/v1/nothing`, firefox, 'HEAD');
    expect([head.status, await head.text()]).toEqual([404, '']);
  });

  test('shows what a request holds as text, and leads home from any depth', async () => {
    const { url } = await openScene();
    const page = await (await open(`${url}/a/b/<script>alert(1)</script>`, firefox)).text();
    expect(page).not.toContain('<script');
    const deep = await (await open(`${url}${'/x'.repeat(2000)}`, firefox)).text();
    expect(deep.length).toBeLessThan(20_000);
    const here = await (await open(`${url}/nothing`, firefox)).text();
    expect(here).toContain('href="./docs/errors#not_found"');
  });
});
