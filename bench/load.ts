// A closed-loop load generator on raw sockets: N clients, each of which sends its next request when
// it has its answer. Light, since it runs on the cores it measures; it checks every answer.

import { connect, type Socket } from 'node:net';

export interface Load {
  /** Where to: http://127.0.0.1:PORT/path. Loopback only. */
  readonly url: string;
  readonly clients: number;
  readonly seconds: number;
  /** The body of the n-th request, and whether an answer to it is right. */
  readonly bodies: readonly string[];
  readonly isRight: (answer: string, index: number) => boolean;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly wrong: number;
}

export async function runLoad(load: Load): Promise<LoadResult> {
  const { hostname, port, pathname } = new URL(load.url);
  if (hostname !== '127.0.0.1') throw new Error('The load generator sends to 127.0.0.1 only.');
  const requests = load.bodies.map((body) => encodeRequest(pathname, body));
  const latenciesMs: number[] = [];
  let wrong = 0;
  let next = 0;
  const started = performance.now();
  const until = started + load.seconds * 1000;

  await Promise.all(
    Array.from({ length: load.clients }, async () => {
      const client = makeClient(Number(port));
      while (performance.now() < until) {
        const index = next++ % requests.length;
        const sent = performance.now();
        const answer = await client.ask(requests[index] as Buffer);
        latenciesMs.push(performance.now() - sent);
        if (answer.status !== 200 || !load.isRight(answer.body, index)) wrong++;
      }
      client.close();
    }),
  );
  const elapsedSeconds = (performance.now() - started) / 1000;
  latenciesMs.sort((a, b) => a - b);
  return {
    perSecond: (latenciesMs.length - wrong) / elapsedSeconds,
    medianMs: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    wrong,
  };
}

/** The value below which the given share of the sorted values lies. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

function encodeRequest(pathname: string, body: string): Buffer {
  const bytes = Buffer.from(body);
  const head = `POST ${pathname} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), bytes]);
}

interface Answer {
  readonly status: number;
  readonly body: string;
  /** The server closes the connection after this answer. */
  readonly isLast: boolean;
}

/** A client that keeps its connection where the server does, and opens another where not. */
function makeClient(port: number) {
  let socket: Socket | undefined;

  const ask = async (request: Buffer): Promise<Answer> => {
    socket ??= await openSocket(port);
    const answer = await exchange(socket, request);
    if (answer.isLast) {
      socket.destroy();
      socket = undefined;
    }
    return answer;
  };
  return { ask, close: () => socket?.destroy() };
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

/** The answer when it is complete; answers have a Content-Length. */
function decodeAnswer(bytes: Buffer): Answer | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
  if (Number.isNaN(length)) throw new Error(`An answer without Content-Length: ${head}`);
  if (bytes.length < headEnd + 4 + length) return undefined;
  return {
    status: Number(head.slice(9, 12)),
    body: bytes.toString('utf8', headEnd + 4),
    isLast: /^connection: close/im.test(head),
  };
}
