// An HTTP client on a raw socket, for servers on 127.0.0.1. It is minimal because it shares its
// cores with the service it measures.

import { connect } from 'node:net';

export interface Answer {
  readonly status: number;
  /** From the Retry-After header, if there is one. */
  readonly retryAfterSeconds: number | undefined;
  readonly body: string;
  /** The server closes the connection after this answer. */
  readonly isLast: boolean;
}

/** Returns a POST as it goes over the wire. Its Content-Type is JSON unless `headers` has one. */
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
  /** Connects ahead of the first request. */
  open(): Promise<void>;
  /**
   * Sends a request. Ask only once the last answer is there. Rejects if the connection fails or
   * closes before the answer is complete.
   */
  ask(request: Buffer): Promise<Answer>;
  close(): void;
}

/** A connection reuses one buffer of this size. A new buffer per read cost as much as the read. */
const readBytes = 16_384;

const lastChunk = Buffer.from('0\r\n\r\n');

/** Makes a client that reuses its connection, and reconnects after the server has closed it. */
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
    // Only errors while connecting matter here. Later ones also emit 'close', which ends an
    // exchange.
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

/**
 * Returns the answer if it is complete. Expects a Content-Length on every answer with a body, or chunks
 * with nothing after the last.
 */
function decodeAnswer(bytes: Buffer): Answer | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const length = /^content-length: (\d+)/im.exec(head)?.[1];
  const isChunked = length === undefined && /^transfer-encoding: chunked/im.test(head);
  const isComplete = isChunked
    ? bytes.subarray(-lastChunk.length).equals(lastChunk)
    : bytes.length >= headEnd + 4 + Number(length ?? 0);
  if (!isComplete) return undefined;
  const retryAfter = /^retry-after: (\d+)/im.exec(head)?.[1];
  return {
    status: Number(head.slice(9, 12)),
    retryAfterSeconds: retryAfter === undefined ? undefined : Number(retryAfter),
    body: isChunked ? joinChunks(bytes, headEnd + 4) : bytes.toString('utf8', headEnd + 4),
    isLast: /^connection: close/im.test(head),
  };
}

function joinChunks(bytes: Buffer, start: number): string {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const length = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (!(length > 0)) return Buffer.concat(chunks).toString('utf8');
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
}
