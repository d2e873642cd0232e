// An HTTP client on a raw socket, to 127.0.0.1 only. Light, since it runs on the cores it measures.

import { connect } from 'node:net';

export interface Answer {
  readonly status: number;
  /** The seconds of the header Retry-After. */
  readonly retryAfterSeconds: number | undefined;
  readonly body: string;
  /** The server closes the connection after this answer. */
  readonly isLast: boolean;
}

export function encodeRequest(options: {
  pathname: string;
  body: string | Buffer;
  headers?: Readonly<Record<string, string>> | undefined;
}): Buffer {
  const body = Buffer.from(options.body);
  const headers = {
    Host: '127.0.0.1',
    'Content-Type': 'application/json',
    ...options.headers,
    'Content-Length': String(body.length),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST ${options.pathname} HTTP/1.1\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

export interface Client {
  /** Connects before the first request needs it. */
  open(): Promise<void>;
  /** One request at a time. Rejects when the connection ends before the answer is there. */
  ask(request: Buffer): Promise<Answer>;
  close(): void;
}

/** Read at a time, into memory that is kept: a new buffer for each read cost as much as the read. */
const readBytes = 16_384;

/** A client that keeps its connection where the server does, and opens another where not. */
export function makeClient(port: number): Client {
  let connection: Connection | undefined;

  const open = async (): Promise<Connection> => {
    if (connection === undefined || connection.isClosed()) connection = await connectTo(port);
    return connection;
  };
  return {
    open: async () => {
      await open();
    },
    ask: async (request) => {
      const own = await open();
      const answer = await own.exchange(request);
      if (answer.isLast) own.close();
      return answer;
    },
    close: () => connection?.close(),
  };
}

interface Connection {
  exchange(request: Buffer): Promise<Answer>;
  isClosed(): boolean;
  close(): void;
}

function connectTo(port: number): Promise<Connection> {
  let received: Buffer | undefined;
  let resolveAnswer: (answer: Answer) => void = () => {};
  let rejectAnswer: (error: Error) => void = () => {};

  const receive = (chunk: Buffer) => {
    const bytes = received ? Buffer.concat([received, chunk]) : chunk;
    const answer = decodeAnswer(bytes);
    received = answer ? undefined : Buffer.from(bytes);
    if (answer) resolveAnswer(answer);
  };

  return new Promise((resolve, reject) => {
    const buffer = Buffer.allocUnsafe(readBytes);
    const socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer,
        callback: (bytes) => {
          receive(buffer.subarray(0, bytes));
          return true;
        },
      },
    });
    // Later errors end in 'close', which an exchange waits for.
    socket.on('error', reject);
    socket.on('close', () => rejectAnswer(new Error('The server has closed the connection.')));
    socket.once('connect', () =>
      resolve({
        exchange: (request) =>
          new Promise((resolveExchange, rejectExchange) => {
            resolveAnswer = resolveExchange;
            rejectAnswer = rejectExchange;
            socket.write(request);
          }),
        isClosed: () => socket.destroyed,
        close: () => socket.destroy(),
      }),
    );
  });
}

/** The answer when it is complete; answers with a body have a Content-Length. */
function decodeAnswer(bytes: Buffer): Answer | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
  if (bytes.length < headEnd + 4 + length) return undefined;
  const retryAfter = /^retry-after: (\d+)/im.exec(head)?.[1];
  return {
    status: Number(head.slice(9, 12)),
    retryAfterSeconds: retryAfter === undefined ? undefined : Number(retryAfter),
    body: bytes.toString('utf8', headEnd + 4),
    isLast: /^connection: close/im.test(head),
  };
}
