// Faults that would disturb each other take turns: a Redis cannot restart while it restarts.

/** Runs the given functions one after the other. */
export function makeTurns(): (run: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (run) => {
    last = last.then(run);
    return last;
  };
}
