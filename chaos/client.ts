// An HTTP/1.1 client on a raw socket, with keep-alive and one request at a time. Unlike a real
// client it notices bytes that arrive after a complete response: the service has answered twice.

import { connect, type Socket } from 'node:net';

/** Where a service listens for HTTP. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Response {
  readonly status: number;
  /** The names are in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export type Outcome =
  | { readonly type: 'response'; readonly response: Response }
  /** The client could not connect. */
  | { readonly type: 'unreachable'; readonly reason: string }
  /** The connection ended before the response was complete. */
  | { readonly type: 'closed'; readonly reason: string }
  /** No complete response arrived in time. */
  | { readonly type: 'silence' };

export interface Client {
  /** Sends a request, and connects first if it has to. Never rejects. */
  ask(request: Buffer, withinMs: number): Promise<Outcome>;
  close(): void;
}

export function makeClient(options: { address: Address; onAnsweredTwice: () => void }): Client {
  let socket: Socket | undefined;
  let received: Buffer = Buffer.alloc(0);
  let settle: ((outcome: Outcome) => void) | undefined;

  const leave = () => {
    socket?.destroy();
    socket = undefined;
    received = Buffer.alloc(0);
  };

  const receive = (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const decoded = settle && decodeResponse(received);
    if (settle && !decoded) return;
    const rest = received.length - (decoded?.bytes ?? 0);
    received = Buffer.alloc(0);
    if (rest > 0) {
      options.onAnsweredTwice();
      leave();
    }
    if (!decoded) return;
    if (decoded.response.headers.get('connection')?.toLowerCase() === 'close') leave();
    settle?.({ type: 'response', response: decoded.response });
  };

  const open = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const opening = connect({ ...options.address, noDelay: true });
      opening.once('connect', () => resolve(opening));
      opening.once('error', reject);
      opening.on('data', (chunk) => {
        if (opening === socket) receive(chunk);
      });
      const end = (reason: string) => {
        if (opening !== socket) return;
        leave();
        settle?.({ type: 'closed', reason });
      };
      opening.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
      opening.on('end', () => end('the server ended the connection'));
      opening.on('close', () => end('the server closed the connection'));
    });

  return {
    async ask(request, withinMs) {
      try {
        socket ??= await open();
      } catch (error) {
        return { type: 'unreachable', reason: (error as NodeJS.ErrnoException).code ?? 'unknown' };
      }
      let timer: NodeJS.Timeout | undefined;
      const outcome = await new Promise<Outcome>((resolve) => {
        settle = resolve;
        timer = setTimeout(() => resolve({ type: 'silence' }), withinMs);
        socket?.write(request);
      });
      settle = undefined;
      clearTimeout(timer);
      if (outcome.type === 'silence') leave();
      return outcome;
    },
    close: leave,
  };
}

/** Returns the response if it is complete, and its length in bytes. Expects a Content-Length. */
function decodeResponse(bytes: Buffer): { response: Response; bytes: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [first = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const length = Number(headers.get('content-length') ?? 0);
  const end = headEnd + 4 + length;
  if (bytes.length < end) return undefined;
  const body = bytes.toString('utf8', headEnd + 4, end);
  return { response: { status: Number(first.slice(9, 12)), headers, body }, bytes: end };
}
