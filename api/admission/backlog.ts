// The backlog of one model: its inputs in flight at this instance, those of jobs, for which no request waits, and the rate
// at which workers answer them. The rate is measured only while there is a backlog. A model that gets one request a minute
// answers one a minute, but could do more.

import type { Traffic } from './peers.js';
import { makeRate } from './rate.js';

/** Longer gaps between answers are cut to this, because they mean missing workers, not slow ones. */
const gapMsMax = 5000;

export class Backlog implements Traffic {
  readonly #batchMax: number;
  readonly #now: () => number;
  readonly #unanswered: () => number;
  readonly #rate = makeRate();
  #inFlight = 0;
  #ofJobs = 0;
  #answered = 0;
  /** When the last answer came during this backlog. From then to the next answer, workers are busy. */
  #answeredAt: number | undefined;
  #quietSince: number;

  /**
   * @param batchMax the batch size of the model; fewer inputs in flight than this are no backlog
   * @param now milliseconds from any origin
   * @param unanswered how many inputs of all instances are unanswered; Infinity if that is not known
   */
  constructor(batchMax: number, now: () => number, unanswered: () => number) {
    this.#batchMax = batchMax;
    this.#now = now;
    this.#unanswered = unanswered;
    this.#quietSince = now();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * How many inputs are ahead of the next one. Those of jobs count only as far as they are unanswered, since the reply to
   * one of them can be lost. One whose client still waits for it is in flight, too.
   */
  get ahead(): number {
    if (this.#ofJobs === 0) return this.#inFlight;
    const unanswered = Math.max(this.#inFlight, this.#unanswered());
    return Math.min(this.#inFlight + this.#ofJobs, unanswered);
  }

  get answered(): number {
    return this.#answered;
  }

  admit(count: number): void {
    this.#begin();
    this.#inFlight += count;
  }

  release(count: number, isScored: boolean): void {
    const hadBacklog = this.#hasBacklog;
    this.#inFlight -= count;
    this.#end(count, { isScored, hadBacklog });
  }

  admitJob(): void {
    this.#begin();
    this.#ofJobs++;
  }

  releaseJob(isScored: boolean): void {
    const hadBacklog = this.#hasBacklog;
    this.#ofJobs--;
    this.#end(1, { isScored, hadBacklog });
  }

  get #hasBacklog(): boolean {
    return this.ahead >= this.#batchMax;
  }

  #begin(): void {
    if (this.#inFlight + this.#ofJobs === 0) this.#quietSince = this.#now();
  }

  #end(count: number, { isScored, hadBacklog }: { isScored: boolean; hadBacklog: boolean }) {
    if (isScored) {
      this.#answered += count;
      this.#quietSince = this.#now();
    }
    if (!hadBacklog) this.#answeredAt = undefined;
    else if (isScored) this.#measure(count);
    // With nothing left, workers are idle until the next request, also where one input or request fills a batch.
    if (this.#inFlight + this.#ofJobs === 0) this.#answeredAt = undefined;
  }

  #measure(count: number): void {
    const at = this.#now();
    if (this.#answeredAt !== undefined) {
      this.#rate.add(count, Math.min(at - this.#answeredAt, gapMsMax));
    }
    this.#answeredAt = at;
  }

  /** How long the workers need for so many inputs; undefined until the rate is known. */
  msFor(count: number): number | undefined {
    return this.#rate.msFor(count);
  }

  /** How long the inputs in flight have waited without any answer; 0 if there are none. */
  quietMs(): number {
    return this.#inFlight + this.#ofJobs === 0 ? 0 : this.#now() - this.#quietSince;
  }
}
