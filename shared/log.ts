import { type Logger, pino } from 'pino';

export type { Logger };

/**
 * Logs as JSON lines on standard output: `error` is for the operator, `debug` for developers. A line
 * is written before the call returns, since the last one of a process says why it has ended.
 */
export function makeLogger(options: { role: string; level: string }): Logger {
  const base = { role: options.role, pid: process.pid };
  return pino({ level: options.level, base }, pino.destination({ fd: 1, sync: true }));
}
