import { type Logger, pino } from 'pino';

export type { Logger };

const seldomMs = 1000;

/**
 * Logs JSON lines to standard output: `error` is for the operator, `debug` for developers. Each
 * line is written before the call returns, because a process's last line says why it ended.
 */
export function makeLogger(options: { role: string; level: string }): Logger {
  const base = { role: options.role, pid: process.pid };
  return pino({ level: options.level, base }, pino.destination({ fd: 1, sync: true }));
}

/**
 * Keeps one fault from filling the log: writes at most one line a second. `leftOut` in the next
 * line counts the suppressed ones.
 */
export function makeSeldom(write: (fields: object, message: string) => void): typeof write {
  let lastAt = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return (fields, message) => {
    const at = performance.now();
    if (at - lastAt < seldomMs) {
      leftOut++;
      return;
    }
    write(leftOut === 0 ? fields : { ...fields, leftOut }, message);
    lastAt = at;
    leftOut = 0;
  };
}
