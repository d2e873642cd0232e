// The TypeScript client as others get it: packed and installed, in Node and in a browser.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openBrowser, whyNoBrowser } from '../browser.js';
import { openRedis, root, type Service, startService, type TestRedis } from '../harness.js';
import { photograph } from '../integration/photographs.js';
import { createKey } from '../keys-command.js';
import { compile, installClient } from '../packed-client.js';

const run = promisify(execFile);

let directory: string;
let page: Awaited<ReturnType<typeof openPage>>;
let redis: TestRedis;
let service: Service;
let key: string;

beforeAll(async () => {
  [directory, redis] = await Promise.all([installClient(), openRedis()]);
  page = await openPage();
  service = await startService({
    redisUrl: redis.url,
    environment: { AUTH: 'keys', CORS_ORIGINS: page.origin },
  });
  key = await createKey([service.url], { REDIS_URL: redis.url }, 'page');
});

afterAll(async () => {
  await page?.close();
  await service?.close();
  await redis?.close();
  if (directory) rmSync(directory, { recursive: true, force: true });
});

/** What both platforms do with the client. Lines that are wrong on purpose prove that the types are looked at. */
const program = `
import {
  ScorelineClient, ScorelineError,
  type ClassPrediction, type Inference, type Score, type SucceededJob,
} from 'scoreline/client';

export async function tryAll(url: string, key: string, picture: Blob): Promise<unknown> {
  const client = new ScorelineClient({ url, key });
  const score: Score<ClassPrediction> = await client.score<ClassPrediction>(
    'efficientnet-lite0', picture, { top: 1 },
  );
  const [best] = score.predictions;
  const inference: Inference = await client.infer('faq-matcher', {
    inputs: [{ name: 'text', shape: [1], data: ['copy an object'] }],
  });
  const { probabilities } = inference.outputs;
  const job = await client.submit('faq-matcher', 'copy an object', { top: 1 });
  let last: string | undefined;
  for await (const event of client.events(job)) {
    if (event.type === 'state') last = event.job.state;
  }
  const ended: SucceededJob<Score> = await client.wait(job, { timeoutMs: 60_000 });
  const { jobs } = await client.jobs({ state: 'succeeded' });
  const { models } = await client.models();
  const failure: unknown = await client.score('nobody', 'text').catch((error: unknown) => error);
  const controller = new AbortController();
  controller.abort(new Error('aborted'));
  const aborted: unknown = await client
    .score('faq-matcher', 'text', { signal: controller.signal })
    .catch((error: unknown) => (error as Error).message);
  // @ts-expect-error: an input is something
  client.score('faq-matcher', undefined).catch(() => {});
  // @ts-expect-error: there is no such option
  client.score('faq-matcher', 'text', { topmost: 1 }).catch(() => {});
  // @ts-expect-error: the result of a job of tensors is no score
  const wrong = async (): Promise<Score> => (await client.wait(await client.submitTensors('m', { inputs: [] }))).result;
  return {
    best: best?.label,
    floats: probabilities?.datatype === 'FP32' && probabilities.data instanceof Float32Array,
    last,
    result: ended.result.predictions.length,
    listed: jobs.map(({ id }) => id).includes(job.id),
    models: models.map(({ name }) => name),
    failure: failure instanceof ScorelineError && [failure.code, failure.requestId?.length],
    aborted,
  };
}
`;
const expected = {
  best: 'Siamese cat, Siamese',
  floats: true,
  last: 'succeeded',
  result: 1,
  listed: true,
  models: ['faq-matcher', 'efficientnet-lite0'],
  failure: ['model_not_found', 32],
  aborted: 'aborted',
};

test('is checked with module nodenext, and works in Node', async () => {
  const code = `${program}
import { openAsBlob } from 'node:fs';
const [url = '', file = ''] = process.argv.slice(2);
console.log(JSON.stringify(await tryAll(url, process.env.KEY ?? '', await openAsBlob(file))));
`;
  const file = await compile(directory, { name: 'program', code, resolution: 'nodenext' });
  const photo = path.join(root, 'test/photographs/siamese-cat.jpg');
  const env = { ...process.env, KEY: key };
  const { stdout } = await run(process.execPath, [file, service.url, photo], { env });
  expect(JSON.parse(stdout)).toEqual(expected);
});

test('has types for compilers that do not read "exports", as with module commonjs before TypeScript 6', () => {
  const installed = path.join(directory, 'node_modules/scoreline');
  const { exports, typesVersions } = JSON.parse(
    readFileSync(path.join(installed, 'package.json'), 'utf8'),
  );
  expect(typesVersions['*'].client).toEqual([exports['./client'].types]);
});

describe('in a web page of another origin', () => {
  const code = `${program}
const [url = '', key = ''] = decodeURIComponent(location.hash.slice(1)).split(' ');
try {
  const picture = await (await fetch('/picture.jpg')).blob();
  await tell(await tryAll(url, key, picture));
} catch (error) {
  await tell(String(error));
}
async function tell(result: unknown): Promise<void> {
  await fetch('/result', { method: 'POST', body: JSON.stringify(result) });
}
`;
  let compiled: Promise<string> | undefined;
  const compilePage = () => {
    compiled ??= compile(directory, { name: 'page', code, resolution: 'bundler' });
    return compiled;
  };

  test('is checked with module resolution bundler, and imports nothing but itself', async () => {
    expect(readFileSync(await compilePage(), 'utf8')).toContain("from 'scoreline/client'");
  });

  test.skipIf(whyNoBrowser !== undefined)('works in Chromium (skipped without one)', async () => {
    await compilePage();
    const browser = await openBrowser();
    onTestFinished(() => browser.close());
    const tab = await browser.newPage();
    await tab.goto(`${page.origin}/#${encodeURIComponent(`${service.url} ${key}`)}`);
    expect(await page.result).toEqual(expected);
  });
});

/** Serves the page, and the files of the package as they are. Resolves `result` with what the page tells. */
async function openPage() {
  const files: Record<string, [type: string, read: () => string | Buffer]> = {
    '/': ['text/html', () => html],
    '/picture.jpg': ['image/jpeg', () => photograph('siamese-cat.jpg')],
  };
  let tell: (result: unknown) => void = () => {};
  const result = new Promise<unknown>((resolve) => {
    tell = resolve;
  });
  const server = createServer(async (request, response) => {
    const { method, url = '/' } = request;
    if (method === 'POST') tell(JSON.parse((await buffer(request)).toString()));
    const [type, read] = files[url] ?? [
      'text/javascript',
      () => (url.endsWith('.js') ? readFileSync(path.join(directory, url)) : ''),
    ];
    response.writeHead(200, { 'Content-Type': type }).end(read());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    result,
    async close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const html = `<!doctype html>
<script type="importmap">
  {"imports": {"scoreline/client": "/node_modules/scoreline/dist/client/client.js"}}
</script>
<script type="module" src="/page/page.js"></script>`;
