// Tests event streams over real connections, without jobs.

import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { anyone, type Caller } from '../../api/access/caller.js';
import { makeEventStreams } from '../../api/http/answers/event-streams.js';
import { ScorelineError } from '../../shared/errors.js';
import { waitUntil } from '../harness.js';
import { listenOnFreePort } from '../peer.js';

const ada: Caller = { id: 'ada', name: 'Ada', scopes: ['jobs'] };
const bob: Caller = { id: 'bob', name: 'Bob', scopes: ['jobs'] };

/** A server whose requests the test answers. */
async function openServer(options: Partial<Parameters<typeof makeEventStreams>[0]> = {}) {
  const streams = makeEventStreams({
    ...{ streamsMax: 4, callerStreamsMax: 2, access: { identify: () => ada } },
    ...options,
  });
  const server = createServer();
  const port = await listenOnFreePort(server);
  onTestFinished(() => streams.close());
  /** Sends a request. Returns the client's connection, and the answer to be written. */
  const ask = async (): Promise<{ client: Socket; response: ServerResponse }> => {
    const client = connect(port, '127.0.0.1');
    client.on('error', () => {});
    client.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n');
    const [, response] = await once(server, 'request');
    return { client, response };
  };
  const open = async (caller: Caller) => {
    const { client, response } = await ask();
    let isClosed = false;
    const stream = streams.open(caller, response, () => {
      isClosed = true;
    });
    return { client, stream, isClosed: () => isClosed };
  };
  return { streams, open };
}

function codeOf(thrown: unknown): string {
  return (thrown as { code: string }).code;
}

test('one caller has no more streams than its share, and all have no more than there are', async () => {
  const { streams, open } = await openServer();
  const first = await open(ada);
  await open(ada);
  expect(codeOf(await open(ada).catch((error) => error))).toBe('concurrency_limited');
  await open(bob);
  await open(bob);
  expect(codeOf(await open(bob).catch((error) => error))).toBe('overloaded');
  first.client.destroy();
  await waitUntil('the first is closed', first.isClosed);
  expect(streams.size).toBe(3);
  await open(ada);
});

test('where nobody says who asks, there are no shares', async () => {
  const { streams, open } = await openServer();
  for (let opened = 0; opened < 4; opened++) await open(anyone);
  expect(streams.size).toBe(4);
});

test('a silent stream has a comment now and then', async () => {
  const { open } = await openServer({ beatMs: 5 });
  const { client } = await open(ada);
  let received = '';
  client.on('data', (chunk) => {
    received += chunk;
  });
  await waitUntil('two comments have come', () => received.split('\n:\n\n').length > 2);
  expect(received).not.toMatch(/data:|id:|event:/);
});

test('a client that does not read is cut off, before and after the last event', async () => {
  const { streams, open } = await openServer({ beatMs: 20 });
  const [slow, late] = [await open(ada), await open(bob)];
  for (const { client } of [slow, late]) client.pause();
  // More than the system buffers.
  const data = 'x'.repeat(64_000_000);
  for (const { stream } of [slow, late]) stream.send({ data });
  late.stream.end();
  await waitUntil('both are cut off', () => slow.isClosed() && late.isClosed());
  expect(streams.size).toBe(0);
});

test('an old stream ends, so its client has to say again who it is', async () => {
  const { open } = await openServer({ beatMs: 1 });
  const { client, isClosed } = await open(ada);
  let received = '';
  client.on('data', (chunk) => {
    received += chunk;
  });
  await waitUntil('the stream has ended', () => received.endsWith('\r\n0\r\n\r\n') && isClosed());
});

test('closing ends the streams, and lets nobody in any more', async () => {
  const { streams, open } = await openServer();
  const { client, isClosed } = await open(ada);
  let received = '';
  client.on('data', (chunk) => {
    received += chunk;
  });
  streams.close();
  await waitUntil('the stream has ended', () => received.endsWith('\r\n0\r\n\r\n') && isClosed());
  expect(codeOf(await open(ada).catch((error) => error))).toBe('shutting_down');
  streams.close();
});

test('a stream ends when its key is revoked, and goes on when only the issuer of tokens is away', async () => {
  let fault: ScorelineError | undefined;
  const identify = async () => {
    if (fault) throw fault;
    return ada;
  };
  const { open } = await openServer({ beatMs: 20, access: { identify } });
  const { client, isClosed } = await open(ada);
  client.resume();
  fault = new ScorelineError('issuer_unavailable', 'away');
  await once(client, 'data');
  await once(client, 'data');
  await once(client, 'data');
  expect(isClosed()).toBe(false);
  fault = new ScorelineError('key_unknown', 'revoked');
  await waitUntil('the stream is over', isClosed);
});

test.each<[string, Partial<Caller>]>([
  ['other models exist for its caller', { models: ['another'] }],
  ['its caller has other scopes', { scopes: [] }],
  ['its key is that of another caller', { id: 'another' }],
])('a stream ends when %s', async (_, changes) => {
  let now: Caller = ada;
  const { open } = await openServer({ beatMs: 20, access: { identify: () => now } });
  const { client, isClosed } = await open(ada);
  await once(client, 'data');
  await once(client, 'data');
  await once(client, 'data');
  expect(isClosed()).toBe(false);
  now = { ...ada, ...changes };
  client.resume();
  await waitUntil('the stream is over', isClosed);
});
