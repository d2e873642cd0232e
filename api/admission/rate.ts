// The rate at which something is done, of late: what was done and the time it took both count half
// after a while, so that their ratio follows a change and is not moved by one batch.

/** Time after which what was measured counts half; less than the deadlines that depend on it. */
const halfLifeMs = 3000;
/** Time needed before the rate is believed. */
const measuredMsMin = 1000;

export interface Rate {
  add(count: number, elapsedMs: number): void;
  /** How long this many will take; undefined until the rate is known. */
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
