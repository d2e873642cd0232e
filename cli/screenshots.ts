// Takes the pictures of the page in docs/playground.md.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { packageDirectory } from '../shared/version.js';
import { helpIfAsked } from './command.js';

helpIfAsked(`Usage: npm run screenshots

Takes the pictures of the page in docs/playground.md, of a local run. CHROMIUM names the browser.`);

const root = packageDirectory();
const desk = { width: 1280, height: 860 };
const tall = { width: 1280, height: 1270 };
const phone = { width: 390, height: 844 };
const bytesMax = 150_000;

interface Shot {
  readonly name: string;
  readonly viewport: typeof desk;
  /** The fragment of the address. */
  readonly view: string;
  readonly prepare: (page: Page) => Promise<void>;
}

const shots: readonly Shot[] = [
  { name: 'question', viewport: tall, view: '#/try/faq-matcher', prepare: askQuestion },
  { name: 'phone', viewport: phone, view: '#/try/faq-matcher', prepare: askQuestion },
  { name: 'pictures', viewport: desk, view: '#/try/efficientnet-lite0', prepare: showPictures },
  { name: 'live', viewport: desk, view: '#/live', prepare: sendBursts },
];

const folder = mkdtempSync(path.join(os.tmpdir(), 'scoreline-screenshots-'));
const service = spawn(process.execPath, [path.join(root, 'dist/cli/start.js')], {
  env: { ...process.env, REDIS_URL: '', DATA_DIR: folder, PORT: '0', WORKERS: '2' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox'],
});
try {
  const url = await readAddress();
  for (const shot of shots) await take(url, shot);
} finally {
  await browser.close();
  service.kill('SIGINT');
  if (service.exitCode === null) await once(service, 'exit');
  rmSync(folder, { recursive: true, force: true });
}

/** Returns the address that `npm start` prints, as soon as it is ready. */
async function readAddress(): Promise<string> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    service.once('exit', () => reject(new Error(`npm start has ended: ${said}`)));
    service.stdout.on('data', (chunk) => {
      said += chunk;
      if (said.includes('Press Ctrl-C')) resolve();
    });
  });
  return `${/http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0]}/`;
}

async function take(url: string, { name, viewport, view, prepare }: Shot): Promise<void> {
  const context = await browser.newContext({ viewport, reducedMotion: 'reduce' });
  const page = await context.newPage();
  await page.addInitScript(`localStorage.setItem('scoreline.help', 'closed')`);
  await page.goto(url + view);
  await prepare(page);
  const picture = await sharp(await page.screenshot())
    .webp({ quality: 85 })
    .toBuffer();
  if (picture.length > bytesMax) throw new Error(`${name} has ${picture.length} bytes.`);
  writeFileSync(path.join(root, `docs/playground-${name}.webp`), picture);
  process.stdout.write(`docs/playground-${name}.webp: ${picture.length} bytes\n`);
  await context.close();
}

async function askQuestion(page: Page): Promise<void> {
  // The first answer of a process is slower than those that follow.
  for (const example of [/^Cannot read/, /^How can I make a full copy/]) {
    const answered = page.waitForResponse(/\/score$/);
    await page.getByRole('button', { name: example }).click();
    await answered;
  }
  await page.locator('details[open] .question', { hasText: 'deep copy' }).waitFor();
}

async function showPictures(page: Page): Promise<void> {
  for (const sample of await page.locator('.sample').all()) {
    const answered = page.waitForResponse(/\/score$/);
    await sample.click();
    await answered;
  }
  await page.locator('.picture .more').nth(3).waitFor();
}

/** Some bursts with pauses between, so the charts have something to show. */
async function sendBursts(page: Page): Promise<void> {
  const send = page.getByRole('button', { name: 'Send the burst' });
  for (const [patience, count, model] of [
    ['patient', '200', /^efficientnet/],
    ['impatient', '200', /^efficientnet/],
    ['patient', '200', /^efficientnet/],
  ] as const) {
    const label = await page.locator('option', { hasText: model }).textContent();
    await page.getByLabel('Model', { exact: true }).selectOption({ label: String(label) });
    await page.getByLabel('How many').selectOption(count);
    await page.getByLabel('They').selectOption(patience);
    await page.waitForTimeout(8000);
    await send.click();
    await page.getByText(/None was lost/).waitFor({ timeout: 120_000 });
  }
  await page.waitForTimeout(4000);
}
