// `npm run top` against a real service: as plain text, and in a terminal while a worker is killed.

import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ask,
  openRedisForAll,
  post,
  root,
  type Service,
  startService,
  waitUntil,
} from '../harness.js';

const command = path.join(root, 'dist/cli/top.js');
const model = 'faq-matcher';
const redis = await openRedisForAll();
let service: Service;
let worker: string;

beforeAll(async () => {
  service = await startService({
    redisUrl: redis.url,
    models: model,
    workers: 2,
    environment: { METRICS_PORT: '0', PROBE_PORT: '0' },
  });
  worker = `127.0.0.1:${(await service.workers[0]?.ready)?.probePort}`;
});
afterAll(() => service?.close());

const top = (...parameters: string[]) =>
  promisify(execFile)(process.execPath, [command, ...parameters]);

describe('once', () => {
  test('prints models, rates, latencies and processes as plain text', async () => {
    let isOver = false;
    const load = (async () => {
      const score = `${service.url}/v1/models/${model}/score`;
      while (!isOver) await post(score, { input: 'how do I join two arrays' });
    })();
    const { stdout } = await top('--once', '--url', service.url, '--metrics', worker);
    isOver = true;
    await load;
    expect(stdout).toMatch(/^MODEL +WORKERS +WAITING .* P50 +P95 +P99/m);
    // Two workers, some requests each second, none refused or failed, and three latencies.
    expect(stdout).toMatch(/^faq-matcher@1 +2 .* [1-9][\d.]* +0 +0 +([\d.]+ m?s +){5}[\d.]+$/m);
    expect(stdout).toContain('1 API instance seen');
    expect(stdout).toMatch(new RegExp(`^http://${worker}/metrics +worker +ready`, 'm'));
    expect(stdout).not.toContain('\u001b');
  });

  test.each([
    [
      ['--url', 'http://127.0.0.1:1'],
      /^http:\/\/127\.0\.0\.1:1\/v1\/models does not answer: .*\. Start the service there/,
    ],
    [['--url', 'example.com'], /^--url: expected an address such as https:/],
    [['--every', '0'], /^--every: expected a number from 0.2 to 60, in seconds; got 0/],
    [['--nope'], /Usage: npm run top/],
  ])('says what is wrong with %s', async (parameters, reason) => {
    await expect(top('--once', ...parameters)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(reason),
    });
  });

  test('says why there are no rates', async () => {
    const unmeasured = await startService({ redisUrl: redis.url, models: model, workers: 0 });
    try {
      await waitUntil('what waits is counted', async () => {
        const { body } = await ask(`${unmeasured.url}/v1/models`);
        return body.models[0].unanswered === 0;
      });
      const { stdout } = await top('--url', unmeasured.url, '--every', '0.2');
      expect(stdout).toMatch(/^faq-matcher@1 +2 +0 +- +- +- /m);
      expect(stdout).toMatch(/^No rates: .*METRICS_PORT is not set/m);
    } finally {
      await unmeasured.close();
    }
  });
});

/** `script` of util-linux runs a command in a terminal. */
const hasScript = spawnSync('script', ['--version']).stdout?.includes('util-linux') ?? false;
const skipped = hasScript ? '' : ' (skipped: there is no `script` of util-linux)';

describe.skipIf(!hasScript)(`in a terminal${skipped}`, () => {
  test('shows that a worker is killed, and gives the terminal back at q', async () => {
    const start = `stty cols 150 rows 40; exec node ${command} --url ${service.url} --metrics ${worker}`;
    const child = spawn('script', ['--quiet', '--return', '--command', start, '/dev/null']);
    let screen = '';
    child.stdout.on('data', (data: Buffer) => {
      screen += data.toString();
    });
    const closed = once(child, 'close');
    await waitUntil('it shows the workers', () => /faq-matcher@1.{0,20} 2/.test(screen));
    expect(screen).toContain('\u001b[?1049h\u001b[?25l');
    service.workers[0]?.kill('SIGKILL');
    await waitUntil('it shows the loss', () => screen.includes('faq-matcher@1: 2 workers, now 1'));
    await waitUntil('it shows that the process is gone', () =>
      screen.includes('does not answer any more'),
    );
    child.stdin.write('q');
    expect((await closed)[0]).toBe(0);
    expect(screen.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
  });
});
