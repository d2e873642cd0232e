// Rounds: something that is done again and again, never twice at a time. One that fails, such as without Redis, is
// left to the next.

/** What the log says of a look at the folder of models that failed. */
export const lookFailed = 'looking for changed models failed; trying again';

export class Rounds {
  readonly #everyMs: number;
  readonly #act: () => Promise<void>;
  readonly #onFailure: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param everyMs from the start of a round to that of the next */
  constructor(
    everyMs: number,
    options: { act: () => Promise<void>; onFailure: (error: unknown) => void },
  ) {
    this.#everyMs = everyMs;
    this.#act = options.act;
    this.#onFailure = options.onFailure;
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
