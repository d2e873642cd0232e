// Answers that their clients have not taken yet. They are in memory until then.
//
// A client that takes nothing for too long loses its connection. If there are more bytes than the limit, so do those
// whose answers have waited longest, and the newest answer has its room. Of a connection of gRPC, only the stream of the
// answer ends.

import type { ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import { type Logger, makeSeldom } from '../../../shared/process/log.js';
import { onDeparture } from './departure.js';

type Answer = ServerResponse | ServerHttp2Stream;

export class UntakenAnswers {
  readonly #bytesMax: number;
  readonly #stallMsMax: number;
  /** The bytes of each, the oldest first. */
  readonly #answers = new Map<Answer, number>();
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
    onDeparture(response, () => this.#forget(response));
    // The time begins again whenever the client takes something. It ends with the answer, because the next request may
    // be there already. It goes first: if there is none, Node then sets the time of an idle connection.
    socket.setTimeout(this.#stallMsMax);
    response.prependOnceListener('finish', () => socket.setTimeout(0));
    this.#hold(response, bytes);
  }

  /**
   * Notes an answer of so many bytes, which a stream of HTTP/2 has been given as a whole. Node begins its time again
   * whenever the connection sends something, even for other streams.
   */
  noteStream(stream: ServerHttp2Stream, bytes: number): void {
    if (stream.destroyed || this.#answers.has(stream)) return;
    stream.once('close', () => this.#forget(stream));
    stream.setTimeout(this.#stallMsMax, () => stream.destroy());
    this.#hold(stream, bytes);
  }

  #hold(answer: Answer, bytes: number): void {
    this.#answers.set(answer, bytes);
    this.#bytes += bytes;
    for (const oldest of this.#answers.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === answer) return;
      this.#forget(oldest);
      oldest.destroy();
      this.#warn(
        {},
        'an answer is cut off, because answers that nobody takes fill ANSWERS_BYTES_MAX',
      );
    }
  }

  #forget(answer: Answer): void {
    this.#bytes -= this.#answers.get(answer) ?? 0;
    this.#answers.delete(answer);
  }
}
