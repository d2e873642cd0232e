// Admission: a permit before any work. As many inputs are in flight as there are permits; the rest
// is refused at once, with the time after which a permit is likely to be free.

import { ScorelineError } from '../shared/errors.js';

const retryAfterSecondsMax = 60;

export interface Permit {
  /** Gives the permit back; a second call does nothing. */
  release(): void;
}

export interface Admission {
  /** @throws ScorelineError `overloaded` when fewer than `count` permits are free. */
  admit(count: number): Permit;
  readonly inFlight: number;
}

export function makeAdmission(options: { permitsMax: number; now: () => number }): Admission {
  const { permitsMax, now } = options;
  const drain = makeDrainRate(now);
  let inFlight = 0;

  return {
    admit(count) {
      if (inFlight + count > permitsMax) {
        const seconds = Math.ceil(inFlight / drain.perSecond());
        throw new ScorelineError(
          'overloaded',
          `Expected at most ${permitsMax} inputs in flight; there are ${inFlight} already. Ask again after the time in Retry-After.`,
          { retryAfterSeconds: Math.min(Math.max(seconds, 1), retryAfterSecondsMax) },
        );
      }
      inFlight += count;
      let released = false;
      return {
        release: () => {
          if (released) return;
          released = true;
          inFlight -= count;
          drain.add(count);
        },
      };
    },
    get inFlight() {
      return inFlight;
    },
  };
}

/** Releases per second, over the last full second and the one that runs. */
function makeDrainRate(now: () => number) {
  let windowStart = now();
  let current = 0;
  let previous = 0;
  const roll = () => {
    const elapsed = now() - windowStart;
    if (elapsed < 1000) return elapsed;
    previous = elapsed < 2000 ? current : 0;
    current = 0;
    windowStart = now();
    return 0;
  };
  return {
    add: (count: number) => {
      roll();
      current += count;
    },
    perSecond: () => {
      const elapsed = roll();
      return Math.max(1, (previous + current) / (1 + elapsed / 1000));
    },
  };
}
