// A client that writes HTTP as raw bytes, so it can send too slowly, too much or too little.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers of any form.
  readonly body: any;
  /** The length of the body. */
  readonly bytes: number;
}

export class RawClient {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #isClosed = false;

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
    });
  }

  /** Whether the server or this client has closed the connection. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether the head of a response has come that nobody has read. */
  get hasResponse(): boolean {
    return this.#received.includes('\r\n\r\n');
  }

  /** Sends the head of a POST. */
  post(path: string, headers: Readonly<Record<string, string | number>>): void {
    const lines = Object.entries({ Host: 'test', ...headers }).map(
      ([key, value]) => `${key}: ${value}`,
    );
    this.write(`POST ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  }

  write(data: string | Uint8Array): void {
    if (!this.#socket.destroyed) this.#socket.write(data);
  }

  writeChunk(data: string | Uint8Array): void {
    this.write(`${Buffer.byteLength(data).toString(16)}\r\n`);
    this.write(data);
    this.write('\r\n');
  }

  /** Writes this many bytes as fast as the server reads them, or until the connection closes. */
  async offer(bytes: number, { chunked = false } = {}): Promise<void> {
    const chunk = Buffer.alloc(65_536, 'a');
    for (let sent = 0; sent < bytes && !this.#isClosed; sent += chunk.length) {
      if (chunked) this.writeChunk(chunk);
      else this.write(chunk);
      if (this.#socket.writableNeedDrain) {
        await this.#next('drain');
      }
    }
  }

  /**
   * Reads the next response, interim or final. Rejects if the connection closes before the response
   * is complete.
   */
  async response(): Promise<RawResponse> {
    for (;;) {
      const response = this.#take();
      if (response) return response;
      if (this.#isClosed) throw new Error('The connection was closed without a response.');
      await this.#next('data');
    }
  }

  hangUp(): void {
    this.#socket.destroy();
  }

  async closed(): Promise<void> {
    if (!this.#isClosed) await this.#next('close');
  }

  /** Resolves at the next such event, or when the connection closes. */
  #next(event: 'data' | 'drain' | 'close'): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off(event, done).off('close', done);
        resolve();
      };
      this.#socket.on(event, done).on('close', done);
    });
  }

  #take(): RawResponse | undefined {
    const end = this.#received.indexOf('\r\n\r\n');
    if (end === -1) return undefined;
    const [first = '', ...lines] = this.#received.toString('latin1', 0, end).split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [
        line.slice(0, line.indexOf(':')).toLowerCase(),
        line.slice(line.indexOf(':') + 2),
      ]),
    );
    const bytes = Number(headers['content-length'] ?? 0);
    const start = end + 4;
    if (this.#received.length < start + bytes) return undefined;
    const text = this.#received.toString('utf8', start, start + bytes);
    this.#received = this.#received.subarray(start + bytes);
    const isJson = headers['content-type']?.includes('json') ?? false;
    const status = Number(first.split(' ')[1]);
    return { status, headers, body: isJson ? JSON.parse(text) : text, bytes };
  }
}
