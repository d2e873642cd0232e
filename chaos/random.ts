// Random numbers from a seed. The same seed repeats a run.

/** Returns the next random number, from 0 up to but not including 1. */
export type Random = () => number;

/**
 * Makes a Mulberry32 generator. Its 32 bits of state are good enough for choosing victims and
 * times. Each name has its own sequence, so a new kind of fault does not shift the others.
 */
export function makeRandom(seed: number, name: string): Random {
  let state = seed | 0;
  for (const character of name) state = Math.imul(state ^ character.charCodeAt(0), 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Picks one of several values; `at` is a random number from 0 to 1. Throws if there are none. */
export function pick<T>(values: readonly T[], at: number): T {
  const value = values[Math.floor(at * values.length)];
  if (value === undefined) throw new Error('Expected a value to pick; got none. This is a bug.');
  return value;
}

/** Returns a shuffled copy. */
export function shuffle<T>(values: readonly T[], random: Random): T[] {
  const shuffled = [...values];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [shuffled[other] as T, shuffled[last] as T];
  }
  return shuffled;
}
