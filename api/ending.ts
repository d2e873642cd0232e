// The end of the wait for an answer: whether anybody still waits, and why not.
//
// It is what an AbortSignal is, without its price: a signal for each request takes 3 % of the API's
// processor time (measured). Those who need a real signal get one.

import { setMaxListeners } from 'node:events';
import type { ScorelineError } from '../shared/errors.js';

export class Ending {
  #reason: ScorelineError | undefined;
  readonly #onEnd: (() => void)[] = [];
  #controller: AbortController | undefined;

  /** Why nobody waits any more; undefined while somebody does. */
  get reason(): ScorelineError | undefined {
    return this.#reason;
  }

  /** Calls the listener when nobody waits any more. Returns what takes it off again. */
  onEnd(listener: () => void): () => void {
    this.#onEnd.push(listener);
    return () => {
      const at = this.#onEnd.indexOf(listener);
      if (at >= 0) this.#onEnd.splice(at, 1);
    };
  }

  get listeners(): number {
    return this.#onEnd.length;
  }

  /** A signal that is aborted with the reason. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      // Each input may listen. Node would take more than ten listeners for a leak, and warn.
      setMaxListeners(0, this.#controller.signal);
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Says that nobody waits any more. Only the first reason counts. */
  end(reason: ScorelineError): void {
    if (this.#reason) return;
    this.#reason = reason;
    for (const listener of [...this.#onEnd]) listener();
    this.#controller?.abort(reason);
  }

  /**
   * What the promise resolves to.
   * @throws the reason when nobody waits any more before that
   */
  async orEnd<T>(promise: Promise<T>): Promise<T> {
    // The promise may fail after its end, when nobody hears it.
    promise.catch(() => {});
    if (this.#reason) throw this.#reason;
    let takeOff = () => {};
    const ended = new Promise<never>((_resolve, reject) => {
      takeOff = this.onEnd(() => reject(this.#reason));
    });
    try {
      return await Promise.race([promise, ended]);
    } finally {
      takeOff();
    }
  }
}
