// Sends an answer in lines, as fast as its client takes them.
//
// The lines of one turn of the event loop go out together. A client that takes nothing for too long loses its
// connection: what waits for it would otherwise stay in memory for as long as it likes.

import type { ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isGone } from '../connection/departure.js';

export class LineSink {
  readonly #response: ServerResponse;
  readonly #stallMsMax: number;
  #lines: string[] = [];
  #flushing: Promise<void> | undefined;
  #draining: Promise<void> | undefined;

  constructor(response: ServerResponse, stallMsMax: number) {
    this.#response = response;
    this.#stallMsMax = stallMsMax;
  }

  /** Sends a line. Resolves once there is room for more, or the client is gone. */
  write(line: string): Promise<void> {
    this.#lines.push(line);
    this.#flushing ??= this.#flush();
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    await nextTurn();
    const text = this.#lines.join('');
    this.#lines = [];
    this.#flushing = undefined;
    if (isGone(this.#response) || this.#response.write(text)) return;
    this.#draining ??= this.#drain();
    await this.#draining;
  }

  #drain(): Promise<void> {
    const response = this.#response;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        response.off('drain', done).off('close', done);
        this.#draining = undefined;
        resolve();
      };
      const timer = setTimeout(() => response.destroy(), this.#stallMsMax);
      response.on('drain', done).on('close', done);
    });
  }
}
