// A stream of server-sent events to one client (HTML standard, section 9.2).
//
// It writes few and small events until the last one, so it does not wait for a slow client. A client that takes too
// long to read what was written is cut off, and goes on from where it was on a new connection.

import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** How long a client should wait before it connects again. */
const retryMs = 1000;
/** How many beats a client may need to read what was written. */
const lateBeatsMax = 4;
/** After so many beats a client has to connect again: another instance may be free. */
const beatsMax = 40;

export const eventStreamType = 'text/event-stream';

export const eventStreamHeaders: OutgoingHttpHeaders = {
  'Content-Type': eventStreamType,
  // Proxies must neither compress the stream, nor collect it. In lower case, this takes the place of the field that
  // every answer has.
  'cache-control': 'no-store, no-transform',
  'X-Accel-Buffering': 'no',
};

export interface ServerSentEvent {
  /** Where a client goes on after a break. Without an id, it stays where it was. */
  readonly id?: string;
  /** `message` if undefined. */
  readonly type?: string;
  /** One line. */
  readonly data: string;
}

export class EventStream {
  readonly #response: ServerResponse;
  #beats = 0;
  #lateBeats = 0;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, eventStreamHeaders);
    response.write(`retry: ${retryMs}\n\n`);
  }

  /** Those of the request. */
  get headers(): IncomingHttpHeaders {
    return this.#response.req.headers;
  }

  /** Whether the client has not read all that was written. */
  get isBehind(): boolean {
    const { writableNeedDrain, writableEnded, writableFinished } = this.#response;
    return writableEnded ? !writableFinished : writableNeedDrain;
  }

  send({ id, type, data }: ServerSentEvent): void {
    if (this.#response.writableEnded) return;
    const lines = [
      ...(id === undefined ? [] : [`id: ${id}`]),
      ...(type === undefined ? [] : [`event: ${type}`]),
    ];
    this.#response.write(`${[...lines, `data: ${data}`].join('\n')}\n\n`);
  }

  /**
   * Shows that the connection lives. Ends a stream that is old, and cuts a client off that has not read for too long.
   */
  beat(): void {
    if (++this.#beats >= beatsMax) this.end();
    this.#lateBeats = this.isBehind ? this.#lateBeats + 1 : 0;
    if (this.#lateBeats >= lateBeatsMax) this.#response.destroy();
    else if (!this.isBehind && !this.#response.writableEnded) this.#response.write(':\n\n');
  }

  /** Ends the stream. Can be called twice. */
  end(): void {
    if (!this.#response.writableEnded) this.#response.end();
  }
}
