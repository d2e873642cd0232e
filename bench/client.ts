// An HTTP client on a raw socket, to 127.0.0.1 only. Light, since it runs on the cores it measures.

import { connect, type Socket } from 'node:net';

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

/** A client that keeps its connection where the server does, and opens another where not. */
export function makeClient(port: number): Client {
  let socket: Socket | undefined;

  const open = async (): Promise<Socket> => {
    if (socket === undefined || socket.destroyed) socket = await openSocket(port);
    return socket;
  };
  return {
    open: async () => {
      await open();
    },
    ask: async (request) => {
      const connection = await open();
      const answer = await exchange(connection, request);
      if (answer.isLast) connection.destroy();
      return answer;
    },
    close: () => socket?.destroy(),
  };
}

function exchange(socket: Socket, request: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const end = (settle: () => void) => {
      socket.off('data', onData);
      socket.off('close', onClose);
      settle();
    };
    const onData = (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const answer = decodeAnswer(received);
      if (answer) end(() => resolve(answer));
    };
    const onClose = () => end(() => reject(new Error('The server has closed the connection.')));
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.write(request);
  });
}

function openSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
    // Later errors end in 'close', which an exchange waits for.
    socket.on('error', reject);
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
