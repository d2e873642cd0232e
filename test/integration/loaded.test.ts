// What an API loads follows from what it serves: memory and time to start are for what is used.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ask, openRedis, root, startService, type TestRedis } from '../harness.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await openRedis();
});
afterAll(() => redis?.close());

/** Starts an API without workers. Returns its address, and the native decoders in its memory. */
async function open(models: string) {
  const service = await startService({ redisUrl: redis.url, models, workers: 0 });
  onTestFinished(() => service.close());
  const maps = () => readFileSync(`/proc/${service.api.pid}/maps`, 'utf8');
  const decoders = () =>
    ['/@img/sharp-', '/@napi-rs/image-'].filter((name) => maps().includes(name));
  return { url: service.url, decoders };
}

test.runIf(process.platform === 'linux')(
  'the decoders of images are there from the start where a model takes images',
  async () => {
    const { decoders } = await open('faq-matcher,efficientnet-lite0');
    expect(decoders()).toHaveLength(2);
  },
);

test.runIf(process.platform === 'linux')(
  'without such a model they are not, whatever comes',
  async () => {
    const { url, decoders } = await open('faq-matcher');
    const score = `${url}/v1/models/faq-matcher/score`;
    const picture = { method: 'POST', headers: { 'Content-Type': 'image/png' }, body: 'x' };
    expect((await ask(score, picture)).status).toBe(415);
    expect(decoders()).toEqual([]);
  },
);

test('the libraries of gRPC and of tokens are not loaded before they are used', () => {
  const start = JSON.stringify(path.join(root, 'dist/api/start.js'));
  // The inspector also sees the modules that `require` does not know.
  const program = `
    import { Session } from 'node:inspector';
    const session = new Session();
    session.connect();
    const urls = [];
    session.on('Debugger.scriptParsed', ({ params }) => urls.push(params.url));
    session.post('Debugger.enable');
    await import(${start});
    console.log(urls.join('\\n'));
    process.exit(0);`;
  const loaded = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
    maxBuffer: 16 * 1024 * 1024,
  });
  expect(loaded).toContain('/node_modules/bullmq/');
  expect(loaded).not.toMatch(/\/node_modules\/(@grpc|protobufjs|jose|sharp)\//);
});
