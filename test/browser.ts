// A real browser for tests: Chromium, as Debian has it, steered by playwright-core.

import { existsSync } from 'node:fs';
import process from 'node:process';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';

// The shell is Chromium without windows. With it, a test takes half of the processor time.
const places = [
  process.env.CHROMIUM,
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const executablePath = places.find((place) => place !== undefined && existsSync(place));

/** Says why tests with a browser are left out; undefined if there is one. */
export const whyNoBrowser =
  executablePath === undefined
    ? 'no Chromium on this machine (apt-get install chromium-headless-shell, or CHROMIUM=path)'
    : undefined;

/** Starts the browser. Whoever starts it closes it. */
export function openBrowser(): Promise<Browser> {
  const args = [
    // In a container as root there is no other sandbox than the container, and /dev/shm is small.
    ...['--no-sandbox', '--disable-dev-shm-usage'],
    // Pages load nothing from elsewhere, and those of the test issuer must not wait for it.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    // Its camera is one of its own, which films a clock.
    ...['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
  ];
  return chromium.launch({ ...(executablePath && { executablePath }), args });
}

/**
 * Returns what axe finds wrong on a page.
 * @param options.colours whether it looks at the contrast of colours only, where the rest is tried in other colours
 */
export async function findFaults(page: Page, { colours = false } = {}): Promise<string[]> {
  await page.evaluate(`${axe.source};0`);
  const options = { resultTypes: ['violations'], ...(colours && { runOnly: ['color-contrast'] }) };
  return page.evaluate(
    `axe.run(${JSON.stringify(options)}).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html))`,
  );
}
