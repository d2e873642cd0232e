// Decoding cannot be cut short. So images that wait must not be decoded in vain, and a request keeps
// its permits until its running decodes have stopped.

import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { root, waitUntil } from '../harness.js';
import { imageModel, openScene } from './http-scene.js';

const decodesAtATime = os.availableParallelism();
const images = Math.max(16, 4 * decodesAtATime);

/** A tiny file, in base64, of an image that takes long to decode. */
let slow: string;
/** A file of an image that does not. */
let small: string;
beforeAll(async () => {
  const create = { width: 6900, height: 6900, channels: 3, background: '#336699' } as const;
  slow = (await sharp({ create }).webp({ lossless: true, effort: 0 }).toBuffer()).toString(
    'base64',
  );
  const little = { ...create, width: 64, height: 64 };
  small = (await sharp({ create: little }).png().toBuffer()).toString('base64');
});

/** Counts the pictures that begin to be decoded. */
function countDecodes(): () => number {
  let begun = 0;
  let running = 0;
  const onChange = () => {
    const { queue, process } = sharp.counters();
    const now = queue + process;
    if (now > running) begun += now - running;
    running = now;
  };
  sharp.queue.on('change', onChange);
  onTestFinished(() => {
    sharp.queue.off('change', onChange);
  });
  return () => begun;
}

/** Makes a body of slow pictures. */
const bodyOf = (names: readonly string[]) =>
  JSON.stringify({ input: Object.fromEntries(names.map((name) => [name, slow])) });
const slowNames = Array.from({ length: images - 1 }, (_, index) => `slow ${index}`);

async function send(body: string, headers: Record<string, string | number> = {}) {
  const scene = await openScene({
    models: [imageModel],
    configuration: { BODY_BYTES_MAX: 256 * 1024 * 1024, IMAGES_PER_REQUEST_MAX: images },
  });
  const decodes = countDecodes();
  const client = await scene.connect();
  const length = Buffer.byteLength(body);
  client.post('/score', {
    'Content-Type': 'application/json',
    'Content-Length': length,
    ...headers,
  });
  client.write(body);
  return { scene, client, decodes };
}

/** Waits until nothing of the request is left, and returns how many of its pictures were decoded. */
async function settled({ scene, decodes }: Awaited<ReturnType<typeof send>>): Promise<number> {
  await waitUntil('the permits are given back', () => scene.admission.inFlight === 0);
  const { queue, process } = sharp.counters();
  expect([queue, process]).toEqual([0, 0]);
  expect(scene.submissions).toEqual([]);
  return decodes();
}

describe('images that take long to decode', () => {
  test('leave turns to small ones', async () => {
    const sent = await send(bodyOf(slowNames));
    await waitUntil('some are being decoded', () => sent.decodes() > 0);
    const other = await sent.scene.connect();
    const body = JSON.stringify({ input: { small } });
    other.post('/score', { 'Content-Type': 'application/json', 'Content-Length': body.length });
    other.write(body);
    expect((await other.response()).status).toBe(200);
    expect(sent.decodes()).toBeLessThan(images / 2);
    sent.client.hangUp();
    await waitUntil('the permits are given back', () => sent.scene.admission.inFlight === 0);
  });

  const big = path.join(root, '../shared/cases/big-49mp.avif');
  test.each([
    ['WebP', () => Buffer.from(slow, 'base64')],
    ...(existsSync(big) ? [['AVIF', () => readFileSync(big)] as const] : []),
  ] as const)('are answered at their deadlines, and keep nobody else: %s', async (_what, read) => {
    const scene = await openScene({ models: [imageModel] });
    const decodes = countDecodes();
    const score = async (bytes: Uint8Array, deadlineSeconds: number) => {
      const client = await scene.connect();
      client.post('/v1/models/image/score', {
        'Content-Type': 'application/octet-stream',
        'Content-Length': bytes.length,
        'Request-Timeout': deadlineSeconds,
      });
      client.write(bytes);
      return client.response();
    };
    const first = score(read(), 30);
    first.catch(() => {});
    await waitUntil('it is being decoded', () => decodes() > 0);
    const late = await Promise.all(Array.from({ length: 5 }, () => score(read(), 0.1)));
    expect(late.map(({ status }) => status)).toEqual([504, 504, 504, 504, 504]);
    expect((await score(Buffer.from(small, 'base64'), 30)).status).toBe(200);
    // The first one, and the small one that passed it. A late one may have begun if the first was done by
    // then; those that had ended by that time never began.
    expect(decodes()).toBeLessThan(5);
    expect((await first).status).toBe(200);
  });
});

describe('one bad image of many', () => {
  test('is answered at once; running decodes keep the permits, and the rest never starts', async () => {
    const cut = Buffer.from(small, 'base64').subarray(0, 60).toString('base64');
    const input = { ...Object.fromEntries(slowNames.map((name) => [name, slow])), broken: cut };
    const sent = await send(JSON.stringify({ input }));
    const { status, body } = await sent.client.response();
    expect([status, body.code]).toEqual([400, 'image_unreadable']);
    expect(body.detail).toContain('"broken"');
    expect(sent.scene.admission.inFlight).toBe(images);
    expect(await settled(sent)).toBeLessThanOrEqual(decodesAtATime);
  });
});

describe('a request whose images wait to be decoded', () => {
  test('stops at its deadline', async () => {
    const sent = await send(bodyOf(slowNames), { 'Request-Timeout': '1' });
    const { status, body } = await sent.client.response();
    expect([status, body.code]).toEqual([504, 'deadline_exceeded']);
    expect(body.detail).toContain('the image had not been decoded');
    expect(body.detail).not.toContain('worker');
    expect(await settled(sent)).toBeLessThan(images - 1);
  });

  test('stops when its client hangs up', async () => {
    const sent = await send(bodyOf(slowNames));
    await waitUntil('some are being decoded', () => sent.decodes() > 0);
    sent.client.hangUp();
    await waitUntil('the call has ended', () => sent.scene.calls.size === 0);
    expect(sent.scene.admission.inFlight).toBe(images - 1);
    expect(await settled(sent)).toBeLessThan(images - 1);
  });

  test('stops with an answer when a shutdown runs out of time', async () => {
    const sent = await send(bodyOf(slowNames));
    await waitUntil('some are being decoded', () => sent.decodes() > 0);
    const closing = sent.scene.close(0);
    const { status, body } = await sent.client.response();
    expect([status, body.code]).toEqual([503, 'shutting_down']);
    await closing;
    expect(await settled(sent)).toBeLessThan(images - 1);
  });

  test('gives the bytes of its body back once they are decoded, before it is answered', async () => {
    let answer = () => {};
    const scene = await openScene({
      models: [imageModel],
      submit: ({ items }) =>
        items.map(
          () =>
            new Promise((_, reject) => {
              answer = () => reject(new Error('The test has seen enough.'));
            }),
        ),
    });
    const client = await scene.connect();
    const body = JSON.stringify({ input: { a: small } });
    client.post('/score', { 'Content-Type': 'application/json', 'Content-Length': body.length });
    client.write(body);
    await waitUntil('the item is sent', () => scene.submissions.length === 1);
    expect([scene.bodies.taken, scene.admission.inFlight]).toEqual([0, 1]);
    answer();
    expect((await client.response()).status).toBe(500);
    scene.logged.length = 0;
  });
});
