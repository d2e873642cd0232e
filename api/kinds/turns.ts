/**
 * Starts work in the order of the calls, as soon as fewer than the maximum is running.
 * @throws the reason of the signal, when it is aborted before the work starts
 */
export type TakeTurn = <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;

/** @param max how much work may run at a time */
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
      // Hand the slot over, so `running` stays as it is.
      const [next] = waiting;
      if (next) next();
      else running--;
    }
  };
}
