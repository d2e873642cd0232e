// Random numbers from a seed, so that a run can be repeated.

export type Random = () => number;

/**
 * Mulberry32: a generator with 32 bits of state, even enough for choosing victims and times. The
 * name gives each use a sequence of its own: a new kind of fault does not move the others.
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

/** One of several; `at` is a random number from 0 to 1. */
export function pick<T>(values: readonly T[], at: number): T {
  const value = values[Math.floor(at * values.length)];
  if (value === undefined) throw new Error('Expected something to choose from. This is a bug.');
  return value;
}

export function shuffle<T>(values: readonly T[], random: Random): T[] {
  const shuffled = [...values];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [shuffled[other] as T, shuffled[last] as T];
  }
  return shuffled;
}
