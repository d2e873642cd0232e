// KEDA's own part of scaling: from zero, and to zero. It looks every `pollSeconds`.
//
// - A trigger is active while its metric is above the activation threshold.
// - Zero replicas and an active trigger: `min` replicas, at least one.
// - No active trigger for the cool-down: zero, if `min` is zero, however many replicas there are.
// - A ScaledObject that was never active waits for the initial cool-down from its creation instead.

export interface ActivationOptions {
  readonly min: number;
  /** The metric has to be above it. */
  readonly threshold: number;
  readonly coolDownMs: number;
  readonly initialCoolDownMs: number;
}

export class Activation {
  readonly #options: ActivationOptions;
  #activeAtMs: number | undefined;

  constructor(options: ActivationOptions) {
    this.#options = options;
  }

  /**
   * Returns how many replicas there should be. Call it once at each poll.
   * @param nowMs since the ScaledObject was made
   */
  decide(nowMs: number, metric: number, replicas: number): number {
    const { min, threshold } = this.#options;
    if (metric > threshold) {
      this.#activeAtMs = nowMs;
      return replicas === 0 ? Math.max(min, 1) : replicas;
    }
    if (min > 0) return Math.max(replicas, min);
    return replicas > 0 && this.#isCold(nowMs) ? 0 : replicas;
  }

  #isCold(nowMs: number): boolean {
    const { coolDownMs, initialCoolDownMs } = this.#options;
    if (this.#activeAtMs === undefined) return nowMs >= initialCoolDownMs;
    return nowMs > this.#activeAtMs + coolDownMs;
  }
}
