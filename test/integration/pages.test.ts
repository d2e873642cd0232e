// The pages in a real browser, behind the path prefix of a proxy: the docs, an error, and signing in.

import { request as httpRequest } from 'node:http';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { findFaults, openBrowser, whyNoBrowser } from '../browser.js';
import { openRedis, startService } from '../harness.js';
import { openIssuerProcess } from '../issuer.js';
import { openPeer } from '../peer.js';
import { openScene } from './http-scene.js';

const prefix = '/ml/scoreline';
const phone = { viewport: { width: 360, height: 740 } };

let browser: Browser;
beforeAll(async () => {
  if (whyNoBrowser === undefined) browser = await openBrowser();
});
afterAll(() => browser?.close());

/** Opens a page. After the test, expects that the browser had nothing to complain of. */
async function openPage(options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', ({ message }) => faults.push(message));
  page.on('console', (line) => {
    const isStatus = line.text().startsWith('Failed to load resource');
    if (line.type() === 'error' && !isStatus) faults.push(line.text());
  });
  onTestFinished(async () => {
    await context.close();
    expect(faults).toEqual([]);
  });
  return page;
}

/** Puts a proxy with a path prefix in front of an API without a queue. Returns the address behind the prefix. */
async function openBehindPrefix(): Promise<string> {
  const { port } = await openScene({ models: [] });
  const proxy = await openPeer((answer, asked) => {
    const { method, headers, url = '' } = asked;
    if (!url.startsWith(prefix)) return void answer.writeHead(404).end();
    const place = { port, path: url.slice(prefix.length) || '/' };
    const passed = httpRequest({ ...place, method, headers, agent: false }, (answered) => {
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(answer);
    });
    asked.pipe(passed);
  });
  return `${proxy.url}${prefix}`;
}

function overflowOf(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - innerWidth');
}

describe.skipIf(whyNoBrowser)('the docs', () => {
  test('are found by searching with the keyboard', async () => {
    const url = await openBehindPrefix();
    const page = await openPage();
    await page.goto(`${url}/docs`);
    await page.keyboard.press('/');
    await page.keyboard.type('fair shar');
    await page.waitForSelector('#hits a');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${url}/docs/access#fair-shares`);
    expect(await page.textContent('h1')).toBe('Who gets in, and how much each may use');
    await page.keyboard.press('/');
    await page.keyboard.type('xyzzy');
    await page.waitForFunction("document.querySelector('#found').textContent !== ''");
    expect(await page.textContent('#hits')).toBe('Nothing has “xyzzy”.');
    await page.keyboard.press('Escape');
    expect(await page.isVisible('#hits')).toBe(false);
  });

  test('lead from chapter to chapter, and back to the first', async () => {
    const url = await openBehindPrefix();
    const page = await openPage();
    await page.goto(`${url}/docs/`);
    expect(page.url()).toBe(`${url}/docs`);
    await page.click('.neighbours [rel=next]');
    await page.waitForURL(`${url}/docs/playground`);
    await page.click('.chapters a:text("Overview")');
    await page.waitForURL(`${url}/docs`);
    await page.click('.views a:text("API")');
    await page.waitForURL(`${url}/docs/api`);
    expect(await page.title()).toBe('Scoreline API');
  });

  test('fit a phone, where the chapters are behind a button', async () => {
    const url = await openBehindPrefix();
    const page = await openPage(phone);
    for (const chapter of ['docs', 'docs/configuration', 'docs/benchmarks', 'docs/api']) {
      await page.goto(`${url}/${chapter}`);
      expect(await overflowOf(page), chapter).toBeLessThanOrEqual(0);
    }
    await page.goto(`${url}/docs/jobs`);
    expect(await page.isVisible('.chapters')).toBe(false);
    await page.click('#menu');
    await page.click('.chapters a:text("Webhooks")');
    await page.waitForURL(`${url}/docs/webhooks`);
  });

  test('are dark where the system is, or a person wants it', async () => {
    const url = await openBehindPrefix();
    const page = await openPage({ colorScheme: 'dark' });
    const backOf = () =>
      page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    await page.goto(`${url}/docs`);
    const dark = await backOf();
    await page.click('#theme');
    const light = await backOf();
    expect(light).not.toBe(dark);
    await page.goto(`${url}/docs/jobs`);
    expect(await backOf()).toBe(light);
  });

  test.each(['light', 'dark'] as const)(
    'and errors have no fault that axe finds, %s',
    async (colorScheme) => {
      const url = await openBehindPrefix();
      const page = await openPage({ colorScheme });
      const places = [
        'docs/cache',
        'nothing/here',
        ...(colorScheme === 'light' ? ['docs/api'] : []),
      ];
      for (const place of places) {
        await page.goto(`${url}/${place}`);
        expect(await findFaults(page, { colours: colorScheme === 'dark' }), place).toEqual([]);
      }
    },
  );
});

describe.skipIf(whyNoBrowser)('an address that is wrong', () => {
  test('is explained, with the way to its row in the docs', async () => {
    const url = await openBehindPrefix();
    const page = await openPage(phone);
    const answer = await page.goto(`${url}/v1/models/none/such`);
    expect(answer?.status()).toBe(404);
    expect(await page.textContent('h1')).toBe('There is no such address');
    expect(await page.textContent('main')).toContain(
      'There is nothing at GET /v1/models/none/such',
    );
    expect(await page.textContent('main')).toContain(answer?.headers()['x-request-id']);
    expect(await overflowOf(page)).toBeLessThanOrEqual(0);
    await page.click('dl a');
    await page.waitForURL(`${url}/docs/errors#not_found`);
    expect(await page.textContent('tr:has(:target)')).toContain('There is no such address');
  });
});

describe.skipIf(whyNoBrowser)('signing in', () => {
  test('brings a token that the API takes, and leaves nothing in the address', async () => {
    const redis = await openRedis();
    const port = await findFreePort();
    const home = `http://127.0.0.1:${port}/`;
    const issuer = await openIssuerProcess({ clients: { page: { page: home } } });
    const service = await startService({
      ...{ redisUrl: redis.url, models: 'faq-matcher', workers: 0 },
      environment: {
        ...{ PORT: String(port), AUTH: 'oidc', OIDC_ISSUER: issuer.url },
        ...{ OIDC_AUDIENCE: 'urn:scoreline', OIDC_CLIENT_ID: 'page' },
        OIDC_CLIENT_SCOPES: 'openid,score',
      },
    });
    onTestFinished(async () => {
      await service.close();
      await issuer.stop();
      await redis.close();
    });
    const page = await openPage();
    await page.goto(`${home}#/live`);
    await page.getByLabel('Access token', { exact: true }).waitFor();
    expect(await page.textContent('dialog')).not.toContain('npm run keys');
    await page.getByRole('button', { name: 'Sign in with your account' }).click();
    await page.fill('[name=login]', 'ada');
    await page.fill('[name=password]', 'any');
    await page.click('[type=submit]');
    await page.click('[type=submit]');
    await page.waitForURL(`${home}#/live`);
    await page.locator('option', { hasText: 'faq-matcher' }).waitFor({ state: 'attached' });
    await page.getByRole('button', { name: 'Signed in' }).waitFor();
    const stored = '[Object.keys(sessionStorage), Object.keys(localStorage)]';
    expect(await page.evaluate(stored)).toEqual([['scoreline.key'], []]);

    // What another page has begun, or an old address, brings nothing.
    await page.goto(`${home}?code=stolen&state=other`);
    await page.getByText('This sign-in was not begun in this tab.').waitFor();
    expect(page.url()).toBe(home);
  });
});
