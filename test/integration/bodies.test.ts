// Tests bodies that are too large, too slow or too many, or that end too early.

import { setTimeout as delay } from 'node:timers/promises';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ask, post, waitUntil } from '../harness.js';
import { openScene, type Scene, textModel } from './http-scene.js';

const mebibyte = 1024 * 1024;
const limit = 4 * mebibyte;
const path = `/v1/models/${textModel.name}/score`;
const json = { 'Content-Type': 'application/json' };
const form = { 'Content-Type': 'multipart/form-data; boundary=x' };
const raw = { 'Content-Type': 'text/plain' };
const fileHead = '--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n';

const open = (configuration = {}) =>
  openScene({ configuration: { BODY_BYTES_MAX: limit, ...configuration } });

const isDone = ({ admission, bodies }: Scene) => admission.inFlight === 0 && bodies.taken === 0;

describe('a body that is too large', () => {
  test.each([
    ['a form', form, fileHead],
    ['JSON', json, '{"input":"'],
    ['a raw body', raw, ''],
  ])('is not read to its end if it is %s of unknown length', async (_what, headers, beginning) => {
    const scene = await open();
    const client = await scene.connect();
    client.post(path, { ...headers, 'Transfer-Encoding': 'chunked' });
    if (beginning) client.writeChunk(beginning);
    const offering = client.offer(64 * mebibyte, { chunked: true });
    const { status, body } = await client.response();
    expect(status).toBe(413);
    expect(body).toMatchObject({ code: 'body_too_large', status: 413 });
    await waitUntil('nothing of it is kept', () => isDone(scene));
    await client.closed();
    await offering;
    expect(scene.bytesRead()).toBeGreaterThan(limit);
    expect(scene.bytesRead()).toBeLessThan(limit + 2 * mebibyte);
  });

  test.each([
    ['a form', form],
    ['JSON', json],
    ['a raw body', raw],
  ])(
    'is refused after its headers if it is %s that declares its length',
    async (_what, headers) => {
      const scene = await open();
      const client = await scene.connect();
      client.post(path, { ...headers, 'Content-Length': 64 * mebibyte });
      const { status, body } = await client.response();
      expect([status, body.code]).toEqual([413, 'body_too_large']);
      expect(body.detail).toContain(`${64 * mebibyte}`);
      expect(scene.bytesRead()).toBeLessThan(1000);
      await client.offer(64 * mebibyte);
      await client.closed();
      expect(scene.bytesRead()).toBeLessThan(2 * mebibyte);
    },
  );

  test('is answered even if the client reads only after it has sent everything', async () => {
    const scene = await open();
    const client = await scene.connect();
    client.post(path, { ...json, 'Content-Length': limit + 1 });
    client.write(Buffer.alloc(limit + 1, 'a'));
    expect((await client.response()).status).toBe(413);
  });

  const zeros = Buffer.alloc(64 * mebibyte);
  const fast = { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } };
  test.each([
    ['gzip', () => gzipSync(zeros)],
    ['deflate', () => deflateSync(zeros)],
    ['br', () => brotliCompressSync(zeros, fast)],
  ])('is refused when it is small only because of %s', async (encoding, compress) => {
    const scene = await open();
    const bomb = compress();
    expect(bomb.length).toBeLessThan(mebibyte);
    const client = await scene.connect();
    client.post(path, { ...json, 'Content-Encoding': encoding, 'Content-Length': bomb.length });
    client.write(bomb);
    const { status, body } = await client.response();
    expect([status, body.code]).toEqual([413, 'body_too_large']);
    await waitUntil('nothing of it is kept', () => isDone(scene));
  });

  test('is accepted if it is exactly at the limit', async () => {
    const scene = await open({ BODY_BYTES_MAX: 2000 });
    const input = 'x'.repeat(2000 - '{"input":""}'.length);
    expect((await post(`${scene.url}${path}`, { input })).status).toBe(200);
    expect((await post(`${scene.url}${path}`, { input: `${input}x` })).status).toBe(413);
  });
});

describe('a compressed body', () => {
  test('is read', async () => {
    const scene = await open();
    const answer = await ask(`${scene.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: new Uint8Array(gzipSync('{"input":"hello"}')),
    });
    expect(answer.status).toBe(200);
  });

  test.each([
    ['is not what it says', 'gzip', Buffer.from('{"input":"hello"}'), 400],
    ['is cut off', 'gzip', gzipSync('{"input":"hello"}').subarray(0, 20), 400],
    ['is compressed in another way', 'zstd', Buffer.from('x'), 415],
    ['is compressed twice', 'gzip, gzip', Buffer.from('x'), 415],
  ])('that %s is refused', async (_what, encoding, body, status) => {
    const scene = await open();
    const client = await scene.connect();
    client.post(path, { ...json, 'Content-Encoding': encoding, 'Content-Length': body.length });
    client.write(body);
    expect((await client.response()).status).toBe(status);
    await waitUntil('nothing of it is kept', () => isDone(scene));
  });

  test.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('of %s with more bytes behind its end harms nobody', async (encoding, compress) => {
    const scene = await open();
    // Some of them are read after the body's end has been reported, and only then found wrong.
    const mixed = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7919) >> 3));
    const more = [Buffer.alloc(10, 7), Buffer.alloc(60_000), mixed, compress('x'.repeat(1000))];
    for (const bytes of more) {
      const client = await scene.connect();
      const headers = { ...json, 'Content-Encoding': encoding, 'Transfer-Encoding': 'chunked' };
      client.post(path, headers);
      client.writeChunk(compress('{"input":"hello"}'));
      for (let from = 0; from < bytes.length; from += 20_000) {
        await delay(5);
        client.writeChunk(bytes.subarray(from, from + 20_000));
      }
      client.write('0\r\n\r\n');
      expect([200, 400]).toContain((await client.response()).status);
      await waitUntil('nothing of it is kept', () => isDone(scene));
    }
    expect((await post(`${scene.url}${path}`, { input: 'hello' })).status).toBe(200);
  });
});

describe('a client that asks before it sends its body', () => {
  const expectContinue = { Expect: '100-continue' };

  test('gets 100 Continue, and then its answer', async () => {
    const scene = await open();
    const client = await scene.connect();
    const body = '{"input":"hello"}';
    client.post(path, { ...json, ...expectContinue, 'Content-Length': body.length });
    expect((await client.response()).status).toBe(100);
    client.write(body);
    expect((await client.response()).status).toBe(200);
  });

  test.each([
    ['the body would be too large', { 'Content-Length': 64 * mebibyte }, 413],
    ['its type is not accepted', { 'Content-Length': 5, 'Content-Type': 'text/html' }, 415],
    ['its deadline is no number', { 'Content-Length': 5, 'Request-Timeout': 'soon' }, 400],
  ])('is refused without sending it where %s', async (_what, headers, status) => {
    const scene = await open();
    const client = await scene.connect();
    client.post(path, { ...json, ...expectContinue, ...headers });
    expect((await client.response()).status).toBe(status);
    await client.closed();
    expect(scene.bytesRead()).toBeLessThan(1000);
  });

  test('is refused without sending it if there is no room', async () => {
    const scene = await open({ PERMITS_MAX: 1 });
    const other = await scene.connect();
    other.post(path, { ...json, 'Content-Length': 100 });
    await waitUntil('the permit is taken', () => scene.admission.inFlight === 1);
    const client = await scene.connect();
    client.post(path, { ...json, ...expectContinue, 'Content-Length': 1000 });
    expect((await client.response()).status).toBe(429);
  });
});

describe('a refused client that would like to upgrade', () => {
  const refused = '/v1/models/nobody/score';
  const upgrade = { ...json, Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c' };

  test('gets its answer behind its body, and may then ask again', async () => {
    const scene = await open();
    const client = await scene.connect();
    client.post(refused, { ...upgrade, 'Content-Length': 100 });
    client.write('x'.repeat(50));
    await ask(`${scene.url}/v2/health/live`);
    expect(client.hasResponse).toBe(false);
    client.write('x'.repeat(50));
    expect((await client.response()).status).toBe(404);
    client.write('GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await client.response()).status).toBe(200);
  });

  test('gets its answer if it sends more than is read, or waits before it sends', async () => {
    const scene = await open();
    const client = await scene.connect();
    client.post(refused, { ...upgrade, 'Content-Length': 64 * mebibyte });
    await client.offer(2 * mebibyte);
    expect((await client.response()).status).toBe(404);
    const waiting = await scene.connect();
    waiting.post(refused, { ...upgrade, Expect: '100-continue', 'Content-Length': 100 });
    expect((await waiting.response()).status).toBe(404);
  });
});

test.each([path, `${path}?top=2`, '/score', '/score?model=text'])(
  'a request without room is refused before its body arrives, and keeps its connection: %s',
  async (address) => {
    const scene = await open({ PERMITS_MAX: 1 });
    const other = await scene.connect();
    other.post(path, { ...json, 'Content-Length': 100 });
    await waitUntil('the permit is taken', () => scene.admission.inFlight === 1);
    const client = await scene.connect();
    client.post(address, { ...json, 'Content-Length': limit });
    client.write('{');
    const { status, body, headers } = await client.response();
    expect([status, body.code, headers['retry-after']]).toEqual([429, 'overloaded', '1']);
    // The client may still send the rest of its body.
    client.write(Buffer.alloc(limit - 1, 'x'));
    client.write('GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await client.response()).status).toBe(200);
  },
);

describe('a body that arrives slowly', () => {
  /** Opens a request whose body is being read and has not arrived in full. */
  async function upload(scene: Scene, headers: Record<string, string | number> = {}) {
    const client = await scene.connect();
    client.post(path, { ...json, 'Content-Length': 1000, ...headers });
    client.write('{"input":"');
    await waitUntil('the body is being read', () => scene.bodies.taken > 0);
    expect(scene.admission.inFlight).toBe(1);
    return client;
  }

  test('holds a permit until the answer', async () => {
    const scene = await open();
    const client = await upload(scene, { 'Content-Length': 17 });
    client.write('hello"}');
    expect((await client.response()).status).toBe(200);
    await waitUntil('the permit is given back', () => isDone(scene));
  });

  test('gives its permit back when the client hangs up', async () => {
    const scene = await open();
    const client = await upload(scene);
    client.hangUp();
    await waitUntil('everything is given back', () => isDone(scene));
    expect(scene.submissions).toEqual([]);
  });

  test('gets 504 at the deadline, and its connection is closed soon after', async () => {
    const scene = await open();
    const started = performance.now();
    const client = await upload(scene, { 'Request-Timeout': '2' });
    const { status, body } = await client.response();
    expect([status, body.code]).toEqual([504, 'deadline_exceeded']);
    expect(body.detail).toContain('its body had not arrived');
    expect(performance.now() - started).toBeGreaterThan(1990);
    await waitUntil('everything is given back', () => isDone(scene));
    await client.closed();
    expect(performance.now() - started).toBeLessThan(25_000);
  });

  test('gets 504 at the deadline even if bytes keep arriving', async () => {
    const scene = await open();
    const client = await upload(scene, { 'Request-Timeout': '2' });
    const drip = setInterval(() => client.write('a'), 20);
    const { status } = await client.response();
    expect(status).toBe(504);
    await client.closed();
    clearInterval(drip);
  });

  test('gives its permit back if it is invalid', async () => {
    const scene = await open();
    const client = await upload(scene, { 'Content-Length': 17 });
    client.write('hello"]');
    const { status, body } = await client.response();
    expect([status, body.code]).toEqual([400, 'invalid_json']);
    await waitUntil('everything is given back', () => isDone(scene));
    // The connection stays open, because the body was read to its end.
    client.post(path, { ...json, 'Content-Length': 13 });
    client.write('{"input":"a"}');
    expect((await client.response()).status).toBe(200);
  });
});

describe('a broken form', () => {
  const part = '--x\r\nContent-Disposition: form-data; name="input"\r\n\r\nhello';
  const large = `${'a'.repeat(100_000)}\r\n--x--\r\n`;
  test.each([
    ['ends inside a field', part],
    ['ends inside a file', `${fileHead}hello`],
    ['ends inside its second part', `${part}\r\n${part}`],
    ['ends inside the head of a part', '--x\r\nContent-Disposition: form-'],
    ['has another boundary', part.replaceAll('--x', '--y')],
    ['is empty', ''],
    ['is garbage', 'hello'],
    ['has only an end', '--x--'],
    ['has a part without anything', '--x\r\n--x--'],
    [
      'has a part without an end of its head',
      `${fileHead}a\r\n${part.split('\r\n\r\n')[0]}\r\n${fileHead}b\r\n--x--`,
    ],
    ['ends with such a part', `${fileHead}a\r\n${part.split('\r\n\r\n')[0]}\r\n--x--`],
    ['has a large part whose boundary is broken', `${fileHead.replace('--x', '--x\f')}${large}`],
    ['has a large part without a head', `--x\r\n\r\n${large}`],
    ['has a large part that is no field', `--x\r\nContent-Disposition: inline\r\n\r\n${large}`],
    ['has a large part without a disposition', `--x\r\nX: a\r\n\r\n${large}`],
  ])('that %s is refused, and the process goes on', async (_what, text) => {
    const scene = await open();
    const client = await scene.connect();
    client.post(path, { ...form, 'Content-Length': text.length });
    client.write(text);
    const { status, body } = await client.response();
    expect([status, body.status]).toEqual([400, 400]);
    expect((await post(`${scene.url}${path}`, { input: 'hello' })).status).toBe(200);
  });

  test('that has no boundary is refused', async () => {
    const scene = await open();
    const client = await scene.connect();
    client.post(path, { 'Content-Type': 'multipart/form-data', 'Content-Length': part.length });
    client.write(part);
    expect((await client.response()).status).toBe(400);
  });

  test.each([
    ['files', 17, `${fileHead}a\r\n`, 'too_many_inputs'],
    [
      'fields',
      21,
      '--x\r\nContent-Disposition: form-data; name="f"\r\n\r\na\r\n',
      'request_invalid',
    ],
    ['files by far', 200, `${fileHead}a\r\n`, 'too_many_inputs'],
  ])('that has too many %s is refused', async (_what, count, one, code) => {
    const scene = await open({ INPUTS_PER_REQUEST_MAX: 16 });
    const client = await scene.connect();
    const text = `${one.repeat(count)}--x--\r\n`;
    client.post(path, { ...form, 'Content-Length': text.length });
    client.write(text);
    const { status, body } = await client.response();
    expect([status, body.code]).toEqual([400, code]);
  });
});

describe('many bodies at a time', () => {
  test.each([true, false])(
    'are limited by their bytes, and give all of them back (chunked: %s)',
    async (chunked) => {
      const scene = await open({ BODIES_BYTES_MAX: 10 * mebibyte });
      const clients = await Promise.all(Array.from({ length: 8 }, () => scene.connect()));
      const bytes = 3 * mebibyte;
      for (const client of clients) {
        const length = chunked
          ? { 'Transfer-Encoding': 'chunked' }
          : { 'Content-Length': bytes + 1 };
        client.post(path, { ...json, ...length });
        void client.offer(bytes, { chunked });
      }
      // Three of them fit. The others are refused while the three are read.
      const refused: (typeof clients)[number][] = [];
      for (const client of clients) {
        void client.response().then(
          ({ status, body, headers }) => {
            expect([status, body.code, headers['retry-after']]).toEqual([429, 'overloaded', '1']);
            refused.push(client);
          },
          () => {},
        );
      }
      await waitUntil('five are refused', () => refused.length === 5);
      await waitUntil('three are read', () => scene.bodies.taken === 3 * bytes);
      for (const client of clients) client.hangUp();
      await waitUntil('everything is given back', () => isDone(scene));
      expect((await post(`${scene.url}${path}`, { input: 'hello' })).status).toBe(200);
    },
  );
});
