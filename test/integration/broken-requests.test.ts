// What Node does not hand over as a request: it is answered like everything else, once, and the connection
// is closed. Over raw connections to the real server.

import { maxHeaderSize } from 'node:http';
import { describe, expect, test } from 'vitest';
import { waitUntil } from '../harness.js';
import { makeReply, openScene } from './http-scene.js';

const host = 'Host: a\r\n';
const post = `POST /v1/models/text/score HTTP/1.1\r\n${host}Content-Type: application/json\r\n`;
const get = `GET /v1/models HTTP/1.1\r\n${host}`;

describe('the answer', () => {
  test.each<[what: string, bytes: string, status: number, code: string]>([
    ['words', 'How do I sort an array?\r\n\r\n', 400, 'request_invalid'],
    ['TLS', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n', 400, 'request_invalid'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'request_invalid'],
    ['a blank in the address', `GET /a b HTTP/1.1\r\n${host}\r\n`, 400, 'request_invalid'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400, 'request_invalid'],
    ['two Hosts', `GET / HTTP/1.1\r\n${host}HOST: b\r\n\r\n`, 400, 'request_invalid'],
    [
      'two fields Authorization',
      `GET / HTTP/1.1\r\n${host}Authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n`,
      400,
      'request_invalid',
    ],
    [
      'two lengths',
      `${post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`,
      400,
      'request_invalid',
    ],
    [
      'a length and chunks',
      `${post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      ...([400, 'request_invalid'] as const),
    ],
    [
      'a chunk without a length',
      `${post}Transfer-Encoding: chunked\r\n\r\nx\r\n`,
      400,
      'request_invalid',
    ],
    ['another expectation', `${get}Expect: a cake\r\n\r\n`, 400, 'request_invalid'],
    ['long headers', `${get}X: ${'y'.repeat(2 * maxHeaderSize)}\r\n\r\n`, 431, 'headers_too_large'],
    ['a long address', `GET /${'y'.repeat(2 * maxHeaderSize)}`, 431, 'headers_too_large'],
    ['half a head', get, 408, 'request_timeout'],
    ['half a body', `${post}Content-Length: 9\r\n\r\n{"in`, 408, 'request_timeout'],
    ['CONNECT', `CONNECT a:443 HTTP/1.1\r\n${host}\r\n`, 405, 'method_not_allowed'],
  ])('to %s is a problem document', async (_what, bytes, status, code) => {
    const limits = status === 408 ? { HEADERS_MS_MAX: 1000, REQUEST_MS_MAX: 1500 } : {};
    const { connect } = await openScene({ configuration: limits });
    const client = await connect();
    client.write(Buffer.from(bytes, 'latin1'));
    const answer = await client.response();
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ status, code, type: `urn:scoreline:error:${code}` });
    expect(answer.body.detail).toMatch(/^Expected .*\.$/);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/problem+json; charset=utf-8',
      'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'x-content-type-options': 'nosniff',
      ...(status === 405 && { allow: 'GET, HEAD, POST' }),
    });
    const isReadable = code === 'request_invalid' && /Host|expectation|fields/.test(_what);
    if (!isReadable) await client.closed();
  });

  test('comes after that to a whole request before it', async () => {
    const { connect } = await openScene();
    for (const [broken, status] of [
      ['nonsense\r\n\r\n', 400],
      [`${post}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n`, 400],
      [`CONNECT a:443 HTTP/1.1\r\n${host}\r\n`, 405],
    ] as const) {
      const client = await connect();
      client.write(`${get}\r\n${broken}`);
      expect((await client.response()).status).toBe(200);
      expect((await client.response()).status).toBe(status);
      await client.closed();
    }
  });

  test('comes once: a request that is refused already gets no other', async () => {
    const { connect } = await openScene();
    const client = await connect();
    client.write(`POST /nothing HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`);
    expect((await client.response()).status).toBe(404);
    client.write('nonsense\r\n');
    await client.closed();
    await expect(client.response()).rejects.toThrow('closed without a response');
  });

  test('comes once: a route that was about to answer does not, and logs nothing', async () => {
    const { connect } = await openScene();
    const client = await connect();
    client.write(`${get}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n`);
    expect((await client.response()).status).toBe(400);
    await client.closed();
    await expect(client.response()).rejects.toThrow('closed without a response');
  });
});

/** Opens an API whose items wait until the test answers them. */
async function openWaiting(msMax = 100) {
  const answer: (() => void)[] = [];
  const scene = await openScene({
    configuration: { HEADERS_MS_MAX: msMax, REQUEST_MS_MAX: msMax },
    submit: ({ items }) =>
      items.map(async ({ id }) => {
        await new Promise<void>((resolve) => answer.push(resolve));
        return makeReply(id);
      }),
  });
  /** Waits until the time of all requests is up that have begun: one that begins now is refused last. */
  const untilTimeIsUp = async () => {
    const later = await scene.connect();
    later.write(get);
    expect((await later.response()).status).toBe(408);
  };
  return { ...scene, answer, untilTimeIsUp };
}

test('a request that waits behind another one may wait longer than it may take to come', async () => {
  const { connect, answer, untilTimeIsUp } = await openWaiting();
  const client = await connect();
  const body = JSON.stringify({ input: 'a' });
  const long = `${' '.repeat(1_000_000)}${body}`;
  for (const each of [body, long])
    client.write(`${post}Content-Length: ${each.length}\r\n\r\n${each}`);
  await waitUntil('the first is scored', () => answer.length === 1);
  await untilTimeIsUp();
  answer[0]?.();
  expect((await client.response()).status).toBe(200);
  await waitUntil('the second is scored', () => answer.length === 2);
  answer[1]?.();
  expect((await client.response()).status).toBe(200);
});

test('requests behind many others may wait longer than they may take to come', async () => {
  const { connect, answer, untilTimeIsUp } = await openWaiting(4000);
  const client = await connect();
  const body = JSON.stringify({ input: 'a' });
  // More than one read brings. So a head is cut where reading stops.
  const many = 8000;
  const ahead = `GET /version HTTP/1.1\r\n${host}\r\n`.repeat(many);
  client.write(`${post}Content-Length: ${body.length}\r\n\r\n${body}${ahead}`);
  await waitUntil('the first is scored', () => answer.length === 1);
  await untilTimeIsUp();
  answer[0]?.();
  for (let at = 0; at <= many; at++) expect((await client.response()).status).toBe(200);
});

test.each([
  ['body', `${post}Content-Length: 100\r\n\r\n{`],
  ['head', post],
])('half a %s that waited behind another request is refused', async (_part, half) => {
  const { connect, answer, untilTimeIsUp } = await openWaiting();
  const client = await connect();
  const body = JSON.stringify({ input: 'a' });
  client.write(`${post}Content-Length: ${body.length}\r\n\r\n${body}${half}`);
  await waitUntil('the first is scored', () => answer.length === 1);
  await untilTimeIsUp();
  answer[0]?.();
  expect((await client.response()).status).toBe(200);
  expect((await client.response()).status).toBe(408);
  await client.closed();
});

describe('a request whose rest comes after its time', () => {
  const body = JSON.stringify({ input: 'a' });
  const length = `Content-Length: ${body.length}\r\n`;
  const rest = `\r\n${body}`;

  test('is not served, and the one before it keeps its answer', async () => {
    const { connect, bytesRead, submissions, answer, untilTimeIsUp } = await openWaiting();
    const client = await connect();
    client.write(`${post}${length}${rest}${post}${length}`);
    await waitUntil('the first is scored', () => answer.length === 1);
    await untilTimeIsUp();
    const before = bytesRead();
    client.write(rest);
    await waitUntil('the rest is there', () => bytesRead() === before + rest.length);
    answer[0]?.();
    expect((await client.response()).status).toBe(200);
    await client.closed();
    await expect(client.response()).rejects.toThrow('closed without a response');
    expect(submissions).toHaveLength(1);
  });

  test('is not served after it has been refused', async () => {
    const { connect, submissions } = await openWaiting();
    const client = await connect();
    client.write(`${post}${length}`);
    expect((await client.response()).status).toBe(408);
    client.write(rest);
    await client.closed();
    expect(submissions).toEqual([]);
  });
});
