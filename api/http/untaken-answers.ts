// Answers that their clients have not taken yet. They are in memory until then.
//
// A client that takes nothing for too long loses its connection. If there are more bytes than the limit, so do those
// whose answers have waited longest, and the newest answer has its room.

import type { ServerResponse } from 'node:http';
import { type Logger, makeSeldom } from '../../shared/process/log.js';
import { onDeparture } from './departure.js';

export class UntakenAnswers {
  readonly #bytesMax: number;
  readonly #stallMsMax: number;
  /** The bytes of each, the oldest first. */
  readonly #answers = new Map<ServerResponse, number>();
  #bytes = 0;

  readonly #warn: ReturnType<typeof makeSeldom>;

  constructor(options: { bytesMax: number; stallMsMax: number; log: Logger }) {
    this.#warn = makeSeldom(options.log);
    this.#bytesMax = options.bytesMax;
    this.#stallMsMax = options.stallMsMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Notes that an answer is written as a whole. Most are with the system already, which then has them. */
  note(response: ServerResponse): void {
    const { socket, writableLength: bytes } = response;
    // Without a connection, nobody will take it, and nothing will tell of its end: its request was broken off.
    if (bytes === 0 || !socket || this.#answers.has(response)) return;
    this.#answers.set(response, bytes);
    this.#bytes += bytes;
    onDeparture(response, () => this.#forget(response));
    // The time begins again whenever the client takes something. It ends with the answer, because the next request may
    // be there already. It goes first: if there is none, Node then sets the time of an idle connection.
    socket.setTimeout(this.#stallMsMax);
    response.prependOnceListener('finish', () => socket.setTimeout(0));
    for (const oldest of this.#answers.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === response) return;
      this.#forget(oldest);
      oldest.destroy();
      this.#warn(
        {},
        'a connection is closed, because answers that nobody takes fill ANSWERS_BYTES_MAX',
      );
    }
  }

  #forget(response: ServerResponse): void {
    this.#bytes -= this.#answers.get(response) ?? 0;
    this.#answers.delete(response);
  }
}
