import { type Logger, pino } from 'pino';

export type { Logger };

const seldomMs = 1000;

/**
 * Logs as JSON lines on standard output: `error` is for the operator, `debug` for developers. A line
 * is written before the call returns, since the last one of a process says why it has ended.
 */
export function makeLogger(options: { role: string; level: string }): Logger {
  const base = { role: options.role, pid: process.pid };
  return pino({ level: options.level, base }, pino.destination({ fd: 1, sync: true }));
}

/**
 * Keeps one fault from filling the log: passes a line on, and then none for a second. The next one
 * says how many were left out.
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
