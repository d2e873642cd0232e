// Turns: which work runs, and which waits.
//
// Running work cannot be stopped, so it keeps its turn until it has ended, even if nobody waits for it
// any more. Slow work may hold only some of the turns. The rest is for work that ends soon.
//
// Work starts in the order of arrival, with two exceptions. Quick work passes slow work that has to wait for
// slow work. Work that takes little memory passes work that has to wait for memory.

export interface TurnOptions {
  /** Gives up the wait for a turn when it is aborted. */
  readonly signal: AbortSignal;
  readonly isSlow?: boolean;
  /** How much memory the work may take. 0 if it is too little to be counted. */
  readonly bytes?: number;
}

/** How much work there is. */
export interface Load {
  readonly running: number;
  readonly waiting: number;
  readonly max: number;
}

interface Work {
  readonly isSlow: boolean;
  readonly bytes: number;
}

interface Waiting extends Work {
  start(): void;
}

export class Turns {
  readonly #max: number;
  readonly #slowMax: number;
  readonly #bytesMax: number;
  #running = 0;
  #slowRunning = 0;
  #bytesRunning = 0;
  readonly #waiting = new Set<Waiting>();

  /**
   * @param max how much work may run at a time
   * @param slowMax how much of it may be slow
   * @param bytesMax how much memory all of it may take. Work that needs more runs when no other counted work does.
   */
  constructor({
    max,
    slowMax = max,
    bytesMax = Number.POSITIVE_INFINITY,
  }: {
    max: number;
    slowMax?: number;
    bytesMax?: number;
  }) {
    this.#max = max;
    this.#slowMax = slowMax;
    this.#bytesMax = bytesMax;
  }

  get load(): Load {
    return { running: this.#running, waiting: this.#waiting.size, max: this.#max };
  }

  /**
   * Runs work in its turn.
   * @throws the reason of the signal, when it is aborted before the work starts
   */
  async take<T>(
    run: () => Promise<T>,
    { signal, isSlow = false, bytes = 0 }: TurnOptions,
  ): Promise<T> {
    signal.throwIfAborted();
    const work = { isSlow, bytes };
    if (this.#mayStart(work) && !(bytes > 0 && this.#isMemoryAwaited())) this.#count(work, 1);
    else await this.#wait(work, signal);
    try {
      signal.throwIfAborted();
      return await run();
    } finally {
      this.#count(work, -1);
      this.#startNext();
    }
  }

  #mayStart(work: Work): boolean {
    return this.#hasTurn(work) && this.#hasMemory(work);
  }

  #hasTurn({ isSlow }: Work): boolean {
    return this.#running < this.#max && !(isSlow && this.#slowRunning >= this.#slowMax);
  }

  #hasMemory({ bytes }: Work): boolean {
    if (bytes === 0 || this.#bytesRunning === 0) return true;
    return this.#bytesRunning + bytes <= this.#bytesMax;
  }

  /** Whether somebody waits for nothing but memory. Others must not take it away meanwhile. */
  #isMemoryAwaited(): boolean {
    return [...this.#waiting].some((each) => this.#hasTurn(each) && !this.#hasMemory(each));
  }

  #count({ isSlow, bytes }: Work, change: 1 | -1): void {
    this.#running += change;
    this.#bytesRunning += change * bytes;
    if (isSlow) this.#slowRunning += change;
  }

  #wait(work: Work, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        ...work,
        start: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      const leave = () => {
        this.#waiting.delete(waiting);
        reject(signal.reason);
        // Others may have waited because this one was first.
        this.#startNext();
      };
      this.#waiting.add(waiting);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** Gives what has become free to the first that may have it. */
  #startNext(): void {
    let isMemoryAwaited = false;
    for (const waiting of this.#waiting) {
      if (!this.#hasTurn(waiting) || (waiting.bytes > 0 && isMemoryAwaited)) continue;
      if (!this.#hasMemory(waiting)) {
        isMemoryAwaited = true;
        continue;
      }
      // Count the turn as taken before the work starts, so nobody else gets it meanwhile.
      this.#count(waiting, 1);
      this.#waiting.delete(waiting);
      waiting.start();
    }
  }
}
