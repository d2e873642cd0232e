// The estimate of how far the clock of this machine is ahead of another one. A measurement asks for
// the other time. The answer was right at some moment between question and answer, so it gives an
// interval, as wide as the round trip took. Intervals that follow each other narrow the estimate,
// until one contradicts the others: then a clock was set, and only the new one counts.

/** Clocks that agree to this are left as they are, so that times on one machine stay exact. */
const agreeMs = 20;

export class ClockEstimate {
  #lowMs = Number.NEGATIVE_INFINITY;
  #highMs = Number.POSITIVE_INFINITY;

  /** Adds a measurement; each time is in milliseconds since the epoch by its clock. */
  add(measured: { askedAtMs: number; otherMs: number; answeredAtMs: number }): void {
    const lowMs = measured.askedAtMs - measured.otherMs;
    const highMs = measured.answeredAtMs - measured.otherMs;
    const agrees = lowMs <= this.#highMs && highMs >= this.#lowMs;
    this.#lowMs = agrees ? Math.max(lowMs, this.#lowMs) : lowMs;
    this.#highMs = agrees ? Math.min(highMs, this.#highMs) : highMs;
  }

  /** How far our clock is ahead; negative if it is behind, 0 unless that is certain. */
  get aheadMs(): number {
    const isCertain = this.#lowMs > agreeMs || this.#highMs < -agreeMs;
    return isCertain ? (this.#lowMs + this.#highMs) / 2 : 0;
  }
}
