// The entrance: lines in which the inputs of requests with several inputs wait for room, one for each model and priority.
// The first in line is let in first, and a request has one input in it. So requests take turns, however many inputs each
// has and however fast each asks again.

/** How long to wait for room before asking again. */
export const askAgainMs = 50;

interface Waiting {
  /** Returns whether the input has left the line: it was let in, or has given up. */
  try(): boolean;
}

export class Entrance {
  readonly #lines = new Map<string, Set<Waiting>>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * Lets an input in as soon as those before it in its line are in, and there is room.
   * @param enter lets it in, or throws
   * @param whyOver gets what `enter` threw, and returns what ends the wait; undefined while it goes on
   * @throws what `whyOver` returns
   */
  wait<T>(
    line: string,
    enter: () => T,
    whyOver: (thrown: unknown) => unknown | undefined,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const input: Waiting = {
        try: () => {
          try {
            resolve(enter());
            return true;
          } catch (thrown) {
            const over = whyOver(thrown);
            if (over !== undefined) reject(over);
            return over !== undefined;
          }
        },
      };
      const waiting = this.#lines.get(line) ?? new Set();
      if (waiting.size === 0 && input.try()) return;
      this.#lines.set(line, waiting.add(input));
      this.#timer ??= setInterval(() => this.#askForAll(), askAgainMs);
    });
  }

  /** Asks for the first of a line: there may be room. */
  advance(line: string): void {
    for (const first of this.#lines.get(line) ?? []) {
      if (!first.try()) return;
      this.#leave(line, first);
    }
  }

  /** One with a later deadline may be let in before one whose time is too short. */
  #askForAll(): void {
    for (const [line, waiting] of this.#lines) {
      for (const each of waiting) if (each.try()) this.#leave(line, each);
    }
  }

  #leave(line: string, who: Waiting): void {
    const waiting = this.#lines.get(line);
    waiting?.delete(who);
    if (waiting?.size === 0) this.#lines.delete(line);
    if (this.#lines.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
