/** Runs some work when its turn comes: in order, and no more than so many at a time. */
export type TakeTurn = <T>(work: () => Promise<T>) => Promise<T>;

export function makeTurns(max: number): TakeTurn {
  const waiting: (() => void)[] = [];
  let running = 0;

  return async (work) => {
    if (running < max) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      // Whoever is next runs in the place of this one.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
