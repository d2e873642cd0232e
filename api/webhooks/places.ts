/** The places of a host: how many attempts this process has on their way to it, and for whom. */
export class Places {
  readonly #max: number;
  readonly #held = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  get free(): number {
    return [...this.#held.values()].reduce((free, count) => free - count, this.#max);
  }

  /** How many each caller holds, by its id, without those that hold none. */
  get held(): ReadonlyMap<string, number> {
    return this.#held;
  }

  take(caller: string): void {
    this.#held.set(caller, (this.#held.get(caller) ?? 0) + 1);
  }

  leave(caller: string): void {
    const count = (this.#held.get(caller) ?? 0) - 1;
    if (count > 0) this.#held.set(caller, count);
    else this.#held.delete(caller);
  }
}
