// What clients do not take: answers that they do not read, and requests that they send ahead. With real connections.

import { once } from 'node:events';
import { createServer, type RequestListener, ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { oneAtATime } from '../../api/http/connection/one-at-a-time.js';
import { UntakenAnswers } from '../../api/http/connection/untaken-answers.js';
import { waitUntil } from '../harness.js';
import { listenOnFreePort } from '../peer.js';
import { makeReply, openScene } from './http-scene.js';

/** More than the system takes for a client that does not read. */
const answerBytes = 32 * 1024 * 1024;

/** Starts a server whose answers are that long, and connects clients that read nothing by themselves. */
async function openUntaken(options: {
  answers: number;
  stallMsMax?: number;
  note?: (response: ServerResponse) => void;
}) {
  const logged: string[] = [];
  const untaken = new UntakenAnswers({
    // Their heads count as well.
    bytesMax: (options.answers + 0.5) * answerBytes,
    stallMsMax: options.stallMsMax ?? 60_000,
    log: pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) }),
  });
  const { note = (response) => untaken.note(response) } = options;
  let asked = 0;
  const { connectTo } = await openServer((_request, response) => {
    asked++;
    response.end(Buffer.alloc(answerBytes));
    note(response);
  });
  const ask = async () => {
    const before = asked;
    const socket = connectTo();
    socket.write(head('/'));
    await waitUntil('its answer waits', () => asked > before);
    return socket;
  };
  return { untaken, logged, ask };
}

/** Starts a server. Returns it, and what connects clients that read nothing by themselves. */
async function openServer(serve: RequestListener) {
  const server = createServer(serve);
  const port = await listenOnFreePort(server);
  const connectTo = () =>
    connect(port, '127.0.0.1')
      .on('error', () => {})
      .pause();
  return { server, connectTo };
}

function head(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;
}

/** Reads all that is there. Resolves to whether it was a whole answer. */
async function readAnswer(socket: Socket): Promise<boolean> {
  let bytes = 0;
  let isClosed = false;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  socket.on('close', () => {
    isClosed = true;
  });
  socket.resume();
  await waitUntil('there is no more', () => bytes > answerBytes || isClosed);
  return bytes > answerBytes;
}

describe('answers that nobody takes', () => {
  test('are kept up to the limit, and then those who have waited longest lose their connections', async () => {
    const { untaken, logged, ask } = await openUntaken({ answers: 2 });
    const first = await ask();
    const second = await ask();
    const third = await ask();
    expect(untaken.bytes).toBeLessThan(2.5 * answerBytes);
    expect(await readAnswer(first)).toBe(false);
    expect(await readAnswer(second)).toBe(true);
    expect(await readAnswer(third)).toBe(true);
    await waitUntil('all is taken', () => untaken.bytes === 0);
    expect(logged.join()).toContain('ANSWERS_BYTES_MAX');
  });

  test('are counted no more once their clients are gone', async () => {
    const { untaken, ask } = await openUntaken({ answers: 9 });
    const clients = [await ask(), await ask()];
    for (const client of clients) client.destroy();
    await waitUntil('nothing is left', () => untaken.bytes === 0);
  });

  test('are counted once, and not at all without a connection', async () => {
    const { untaken, ask } = await openUntaken({
      answers: 9,
      note: (response) => {
        untaken.note(response);
        untaken.note(response);
        const cutOff = new ServerResponse(response.req);
        cutOff.end(Buffer.alloc(answerBytes));
        untaken.note(cutOff);
      },
    });
    const client = await ask();
    expect(untaken.bytes).toBeLessThan(1.5 * answerBytes);
    expect(await readAnswer(client)).toBe(true);
    await waitUntil('nothing is left', () => untaken.bytes === 0);
  });

  test('larger than the limit come to clients that read', async () => {
    const { ask } = await openUntaken({ answers: 0 });
    expect(await readAnswer(await ask())).toBe(true);
  });

  test('once taken, leave the time of the next request, or of an idle connection', async () => {
    const untaken = new UntakenAnswers({
      ...{ bytesMax: 0, stallMsMax: 60_000 },
      log: pino({ level: 'silent' }),
    });
    const timeouts: (number | undefined)[] = [];
    const later: ServerResponse[] = [];
    const { server, connectTo } = await openServer(
      oneAtATime((request, response) => {
        timeouts.push(request.socket.timeout);
        if (request.url === '/later') return void later.push(response);
        response.end(Buffer.alloc(answerBytes));
        untaken.note(response);
        timeouts.push(request.socket.timeout);
      }),
    );
    const client = connectTo();
    client.write(`${head('/long')}${head('/later')}`);
    client.resume();
    await waitUntil('the first is taken', () => later.length > 0);
    expect(timeouts.slice(1)).toEqual([60_000, 0]);
    const [{ socket } = { socket: null }] = later;
    later[0]?.end();
    await waitUntil('the connection is idle', () => socket?.timeout !== 0);
    expect(socket?.timeout).toBeGreaterThanOrEqual(server.keepAliveTimeout);
  });

  test('wait no longer than a client may pause', async () => {
    const { untaken, ask } = await openUntaken({ answers: 9, stallMsMax: 200 });
    const client = await ask();
    await waitUntil('its connection is closed', () => untaken.bytes === 0);
    expect(await readAnswer(client)).toBe(false);
  });
});

test('requests that are sent ahead are served one after the other', async () => {
  const scored: string[] = [];
  const answer: (() => void)[] = [];
  const scene = await openScene({
    submit: ({ items }) =>
      items.map(async ({ id }) => {
        scored.push(id);
        await new Promise<void>((resolve) => answer.push(resolve));
        return makeReply(id);
      }),
  });
  const client = await scene.connect();
  const body = JSON.stringify({ input: 'a' });
  const head = `POST /v1/models/text/score HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  client.write(`${head}${body}`.repeat(3));
  for (const count of [1, 2, 3]) {
    await waitUntil(`${count} are scored`, () => scored.length === count);
    // Another client is served meanwhile, so those that wait would have been.
    expect((await fetch(`${scene.url}/version`)).status).toBe(200);
    expect(scored).toHaveLength(count);
    answer.at(-1)?.();
  }
  await waitUntil('all are answered', () => scene.calls.size === 0);
});

test('requests behind the last answer of their connection are not served', async () => {
  const served: string[] = [];
  const { connectTo } = await openServer(
    oneAtATime(({ url = '' }, response) => {
      served.push(url);
      response.setHeader('Connection', 'close').end();
    }),
  );
  const client = connectTo();
  client.write(`${head('/last')}${head('/behind')}`);
  client.resume();
  await once(client, 'close');
  expect(served).toEqual(['/last']);
});

test('while many requests of a connection wait, no more of it is read', async () => {
  const served: ServerResponse[] = [];
  const { server, connectTo } = await openServer(
    oneAtATime((request, response) => {
      served.push(response);
      // Node resumes a connection whenever somebody reads a body.
      request.resume().on('end', () => served.length > 1 && response.end());
    }),
  );
  let read = 0;
  server.on('request', () => read++);
  const client = connectTo();
  const one = 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n1';
  const count = 10_000;
  client.write(one.repeat(count));
  client.resume();
  await waitUntil('many wait', () => read > 64);
  const { port } = server.address() as AddressInfo;
  for (let turn = 0; turn < 20; turn++) await fetch(`http://127.0.0.1:${port}`);
  expect(read).toBeLessThan(count / 2);
  served[0]?.end();
  await waitUntil('all are served', () => served.length > count);
});
