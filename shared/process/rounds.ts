// Rounds: repeated looks at what has changed, never two at a time. If one fails, the next one tries again.

import { explainOrShow, type Redis } from '../redis/redis.js';
import { type Logger, makeSeldom } from './log.js';

interface Options {
  readonly act: () => Promise<void>;
  /** From the start of a round to that of the next. */
  readonly everyMs: number;
  /** A round needs it. While it is away, its connection logs that, and failed rounds log nothing. */
  readonly redis: Pick<Redis, 'status'>;
  readonly log: Logger;
}

export class Rounds {
  readonly #act: () => Promise<void>;
  readonly #everyMs: number;
  readonly #onFailure: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ act, everyMs, redis, log }: Options) {
    this.#act = act;
    this.#everyMs = everyMs;
    const complain = makeSeldom(log);
    this.#onFailure = (error) => {
      if (redis.status !== 'ready') return;
      complain(explainOrShow(error), 'looking for changed models failed; trying again');
    };
  }

  begin(): void {
    this.#timer ??= setInterval(() => void this.now().catch(this.#onFailure), this.#everyMs);
  }

  /** Does a round now, or waits for the one that runs. Rejects if the round fails. */
  now(): Promise<void> {
    this.#running ??= this.#act().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Ends the rounds. Resolves when none runs. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running?.catch(() => {});
  }
}
