// Records what happens in a simulation: moments for the figures, and samples for the plot.

import type { Sample } from './outcome.js';

/** What a recorder looks at. */
export interface Observed {
  readonly nowMs: number;
  readonly arrived: number;
  readonly unanswered: number;
  readonly workers: number;
  readonly ready: number;
  readonly nodes: number;
}

export class Recorder {
  readonly samples: Sample[] = [];
  #last: Observed | undefined;
  /** Up to `#countedMs`; from then on there are `#workers`. */
  #workerMs = 0;
  #countedMs = 0;
  #workers = 0;
  #firstItemMs: number | undefined;
  #lastItemMs = 0;
  #firstReadyMs: number | undefined;
  #readyMax = 0;
  #mostReadyMs = 0;
  #noneSinceMs: number | undefined;
  workersMax = 0;

  recordItem(nowMs: number): void {
    this.#firstItemMs ??= nowMs;
    this.#lastItemMs = nowMs;
  }

  /** To be called after every change of the number of workers, ready or not. */
  recordWorkers({ nowMs, workers, ready }: Observed): void {
    this.#advance(nowMs, workers);
    this.workersMax = Math.max(this.workersMax, workers);
    if (ready > 0) this.#firstReadyMs ??= nowMs;
    if (ready > this.#readyMax) {
      this.#readyMax = ready;
      this.#mostReadyMs = nowMs;
    }
    if (workers > 0) this.#noneSinceMs = undefined;
    else this.#noneSinceMs ??= nowMs;
  }

  sample(observed: Observed): void {
    const { nowMs, arrived, unanswered, workers, ready, nodes } = observed;
    this.#advance(nowMs, workers);
    const { nowMs: lastMs, arrived: arrivedBefore } = this.#last ?? { nowMs: 0, arrived: 0 };
    const elapsedMs = nowMs - lastMs;
    const perSecond = elapsedMs === 0 ? 0 : ((arrived - arrivedBefore) / elapsedMs) * 1000;
    this.samples.push({ atSeconds: nowMs / 1000, perSecond, unanswered, workers, ready, nodes });
    this.#last = observed;
  }

  /** The mean number of workers until now. */
  get workersMean(): number {
    return this.#countedMs === 0 ? 0 : this.#workerMs / this.#countedMs;
  }

  /** Seconds from the first item until a worker was ready; 0 if one was before. */
  get firstReadySeconds(): number | undefined {
    return this.#sinceFirstItem(this.#firstReadyMs);
  }

  /** Seconds from the first item until as many workers were ready as ever were. */
  get mostReadySeconds(): number | undefined {
    return this.#readyMax === 0 ? undefined : this.#sinceFirstItem(this.#mostReadyMs);
  }

  /** Seconds from the last item until there was no worker, at the end; undefined if there never was one. */
  get noneAfterSeconds(): number | undefined {
    if (this.#noneSinceMs === undefined || this.#firstItemMs === undefined) return undefined;
    if (this.workersMax === 0) return undefined;
    return Math.max(0, this.#noneSinceMs - this.#lastItemMs) / 1000;
  }

  #advance(nowMs: number, workers: number): void {
    this.#workerMs += this.#workers * (nowMs - this.#countedMs);
    this.#countedMs = nowMs;
    this.#workers = workers;
  }

  #sinceFirstItem(ms: number | undefined): number | undefined {
    if (ms === undefined || this.#firstItemMs === undefined) return undefined;
    return Math.max(0, ms - this.#firstItemMs) / 1000;
  }
}
