// The decoders of images take memory and time to start, so an API has them if it serves images.

import { readFileSync } from 'node:fs';
import process from 'node:process';
import { expect, onTestFinished, test } from 'vitest';
import { ask, openRedisForAll, startService } from '../harness.js';

const redis = await openRedisForAll();

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
