// A recent rate. Both the amount done and the time it took decay with the same half-life, so their ratio
// follows a change, but a single batch hardly moves it.

/** The half-life of a measurement; shorter than the deadlines that depend on the rate. */
const halfLifeMs = 3000;
/** The rate counts as unknown until this much time is measured. */
const measuredMsMin = 1000;

export interface Rate {
  /** Adds a measurement: `count` were done in `elapsedMs`. */
  add(count: number, elapsedMs: number): void;
  /** How many milliseconds this many will take; undefined until the rate is known. */
  msFor(count: number): number | undefined;
}

export function makeRate(): Rate {
  let done = 0;
  let ms = 0;
  return {
    add(count, elapsedMs) {
      const kept = 0.5 ** (elapsedMs / halfLifeMs);
      done = done * kept + count;
      ms = ms * kept + elapsedMs;
    },
    msFor: (count) => (ms < measuredMsMin || done === 0 ? undefined : (count * ms) / done),
  };
}
