/** Runs work in the order asked for, with at most a fixed number running at a time. */
export type TakeTurn = <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;

/** Work that is still waiting when its signal is aborted rejects with the signal's reason. */
export function makeTurns(max: number): TakeTurn {
  const waiting = new Set<() => void>();
  let running = 0;

  const wait = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const start = () => {
        waiting.delete(start);
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        waiting.delete(start);
        reject(signal.reason);
      };
      waiting.add(start);
      signal.addEventListener('abort', leave, { once: true });
    });

  return async (work, signal) => {
    signal.throwIfAborted();
    if (running < max) running++;
    else await wait(signal);
    try {
      return await work();
    } finally {
      // The next one runs in the place of this one.
      const [next] = waiting;
      if (next) next();
      else running--;
    }
  };
}
