// Compares an answer with the expected one, which the harness computes beforehand by running the
// model directly, without API, queue or workers.

/** A label with its score. */
export type Ranked = readonly [label: string, score: number];

/** How many labels an answer has. They are the best ones, best first. */
export const answeredCount = 3;

/**
 * Returns undefined if the answer is the expected one, and otherwise what is wrong with it.
 * `expected` must hold more labels than the answer. The last digits of a score depend on the rest
 * of the batch, so two labels with nearly the same score may swap places.
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

/** Drops inputs whose answer is too close to that of an earlier input to tell the two apart. */
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
