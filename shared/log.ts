import { type Logger, pino } from 'pino';

export type { Logger };

/** Logs as JSON lines on standard output: `error` is for the operator, `debug` for developers. */
export function makeLogger(options: { role: string; level: string }): Logger {
  return pino({ level: options.level, base: { role: options.role, pid: process.pid } });
}
