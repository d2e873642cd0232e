// A client that sends lines and reads lines as they come, at its own pace.

import { type ClientRequest, type IncomingMessage, request } from 'node:http';

// biome-ignore lint/suspicious/noExplicitAny: tests look into lines of any form.
export type AnswerLine = any;

export class LineClient {
  readonly #request: ClientRequest;
  #response: IncomingMessage | undefined;
  /** What has come of the line after the last newline. */
  #text = '';
  readonly #lines: AnswerLine[] = [];
  #isEnded = false;
  #isBroken = false;

  /** @param headers besides the content type */
  constructor(
    url: string,
    { headers = {}, reads = true }: { headers?: Record<string, string>; reads?: boolean } = {},
  ) {
    this.#request = request(url, {
      method: 'POST',
      agent: false,
      headers: { 'Content-Type': 'application/x-ndjson', ...headers },
    });
    this.#request.on('error', () => {
      this.#isBroken = true;
    });
    this.#request.on('response', (response) => {
      this.#response = response;
      response.on('error', () => {
        this.#isBroken = true;
      });
      response.on('end', () => {
        this.#isEnded = true;
      });
      if (reads) this.read();
    });
    this.#request.flushHeaders();
  }

  get status(): number {
    return this.#response?.statusCode ?? 0;
  }

  get headers(): IncomingMessage['headers'] {
    return this.#response?.headers ?? {};
  }

  /** Whether the answer has come to its end. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Whether the connection broke. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** The lines so far that have their newline. */
  get lines(): readonly AnswerLine[] {
    return this.#lines;
  }

  /** Begins to read the answer. */
  read(): void {
    this.#response?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = `${this.#text}${chunk}`.split('\n');
      this.#text = lines.pop() ?? '';
      this.#lines.push(...lines.map((line) => JSON.parse(line)));
    });
  }

  /** Sends values, a line each. */
  send(...values: readonly unknown[]): void {
    this.write(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
  }

  write(bytes: string | Buffer): void {
    this.#request.write(bytes);
  }

  /** Writes this many times the same, as fast as the server reads it, or until the connection breaks. */
  async offer(bytes: string, times: number): Promise<void> {
    for (let time = 0; time < times && !this.#isBroken; time++) {
      if (this.#request.write(bytes)) continue;
      await this.#change();
    }
  }

  /** Waits until the network takes more, or the connection breaks. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#request.off('drain', done).off('close', done);
        resolve();
      };
      this.#request.on('drain', done).on('close', done);
    });
  }

  end(): void {
    this.#request.end();
  }

  hangUp(): void {
    this.#request.destroy();
  }
}
