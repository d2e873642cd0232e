// Budgets for what happens often, such as lines of the log: the first ones of each second pass, and the others are counted.

export type Budget = ReturnType<typeof makeBudget>;

/** Makes a budget of `perSecond` events a second. */
export function makeBudget(perSecond: number) {
  let second = 0;
  let taken = 0;
  let leftOut = 0;
  return {
    /**
     * Takes one. Returns how many were left out since the last one that passed; undefined if this one is left out, too.
     * @param now milliseconds from any origin
     */
    take(now: number): number | undefined {
      const current = Math.floor(now / 1000);
      if (current !== second) taken = 0;
      second = current;
      if (taken >= perSecond) {
        leftOut++;
        return undefined;
      }
      taken++;
      const before = leftOut;
      leftOut = 0;
      return before;
    },
  };
}
