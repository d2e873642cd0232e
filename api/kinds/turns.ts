// Turns: which work runs, and which waits.
//
// Running work cannot be stopped, so it keeps its turn until it has ended, even if nobody waits for it
// any more. Slow work may hold only some of the turns. The rest is for work that ends soon.
//
// Work starts in the order of arrival, except that quick work passes slow work that has to wait for
// slow work.

export interface TurnOptions {
  /** Gives up the wait for a turn when it is aborted. */
  readonly signal: AbortSignal;
  readonly isSlow?: boolean;
}

interface Waiting {
  readonly isSlow: boolean;
  start(): void;
}

export class Turns {
  readonly #max: number;
  readonly #slowMax: number;
  #running = 0;
  #slowRunning = 0;
  readonly #waiting = new Set<Waiting>();

  /**
   * @param max how much work may run at a time
   * @param slowMax how much of it may be slow
   */
  constructor({ max, slowMax = max }: { max: number; slowMax?: number }) {
    this.#max = max;
    this.#slowMax = slowMax;
  }

  /**
   * Runs work in its turn.
   * @throws the reason of the signal, when it is aborted before the work starts
   */
  async take<T>(work: () => Promise<T>, { signal, isSlow = false }: TurnOptions): Promise<T> {
    signal.throwIfAborted();
    if (this.#mayStart(isSlow)) this.#count(isSlow, 1);
    else await this.#wait(isSlow, signal);
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      this.#count(isSlow, -1);
      this.#startNext();
    }
  }

  #mayStart(isSlow: boolean): boolean {
    return this.#running < this.#max && !(isSlow && this.#slowRunning >= this.#slowMax);
  }

  #count(isSlow: boolean, change: 1 | -1): void {
    this.#running += change;
    if (isSlow) this.#slowRunning += change;
  }

  #wait(isSlow: boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        isSlow,
        start: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      const leave = () => {
        this.#waiting.delete(waiting);
        reject(signal.reason);
      };
      this.#waiting.add(waiting);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** Gives the turn that has become free to the first that may have it. */
  #startNext(): void {
    for (const waiting of this.#waiting) {
      if (!this.#mayStart(waiting.isSlow)) continue;
      // Count the turn as taken before the work starts, so nobody else gets it meanwhile.
      this.#count(waiting.isSlow, 1);
      this.#waiting.delete(waiting);
      waiting.start();
      return;
    }
  }
}
