// What an answer must say: computed directly beforehand, without API, queue or workers.

/** A label with its score. */
export type Ranked = readonly [label: string, score: number];

/** An answer's best labels, best first. */
export const answeredCount = 3;

/**
 * Undefined when the answer is the expected one, else what is wrong with it. `expected` holds more
 * labels than the answer, since the last digits depend on what else was in the batch, and two
 * labels of nearly the same score may then change places.
 */
export function findDifference(
  expected: readonly Ranked[],
  answered: readonly Ranked[],
  tolerance: number,
): string | undefined {
  if (answered.length !== answeredCount) {
    return `expected ${answeredCount} labels; got ${answered.length}`;
  }
  for (const [place, [label, score]] of answered.entries()) {
    const known = expected.find(([candidate]) => candidate === label);
    const best = expected[place];
    const isRight =
      known !== undefined &&
      best !== undefined &&
      Math.abs(known[1] - score) <= tolerance &&
      Math.abs(best[1] - score) <= tolerance;
    if (!isRight)
      return `expected ${show(best)} at place ${place + 1}; got ${show([label, score])}`;
  }
  return undefined;
}

/** Leaves out inputs whose answers could not be told from another one's. */
export function keepDistinct<T extends { readonly expected: readonly Ranked[] }>(
  inputs: readonly T[],
  tolerance: number,
): T[] {
  const kept: T[] = [];
  for (const input of inputs) {
    const answer = input.expected.slice(0, answeredCount);
    const isDistinct = kept.every(
      (other) => findDifference(other.expected, answer, 4 * tolerance) !== undefined,
    );
    if (isDistinct) kept.push(input);
  }
  return kept;
}

function show(ranked: Ranked | undefined): string {
  return ranked ? `${JSON.stringify(ranked[0])} at ${ranked[1]}` : 'nothing';
}
