import { type Logger, pino } from 'pino';

export type { Logger };

const pauseMsMin = 1000;
const pauseMsMax = 60_000;
/** Of lines that cannot be written, because the disk is full. */
const waitingBytesMax = 1024 ** 2;

/** Sends a line of the log elsewhere as well. Must not throw. */
export type SendLine = (line: string) => void;

/**
 * Logs JSON lines to standard output: `error` is for the operator, `debug` for developers. Each
 * line is written before the call returns, because a process's last line says why it ended. Lines that cannot be written
 * are tried again with the next one, and end no process. Those beyond a megabyte are lost.
 */
export function makeLogger(options: {
  role: string;
  level: string;
  send?: SendLine | undefined;
}): Logger {
  const { role, level, send } = options;
  const base = { role, pid: process.pid };
  const output = pino.destination({ fd: 1, sync: true, maxLength: waitingBytesMax });
  output.on('error', () => {});
  const write = (line: string) => {
    output.write(line);
    send?.(line);
  };
  return pino({ level, base }, send ? { write } : output);
}

export type Seldom = (fields: object, message: string) => void;

interface Pause {
  ms: number;
  endsAtMs: number;
  leftOut: number;
}

/**
 * Keeps one fault from filling the log, however long it lasts and however many parts of the process
 * meet it. After a line, others with the same message are suppressed for a second. If they keep
 * coming, each pause is twice as long as the one before, up to a minute. `leftOut` in the next line
 * counts the suppressed ones.
 */
export function makeSeldom(
  log: Logger,
  level: 'warn' | 'error' = 'warn',
  now = () => performance.now(),
): Seldom {
  const pauses = pausesOf(log);
  return (fields, message) => {
    const atMs = now();
    const last = pauses.get(message) ?? { ms: 0, endsAtMs: Number.NEGATIVE_INFINITY, leftOut: 0 };
    if (atMs < last.endsAtMs) {
      last.leftOut++;
      return;
    }
    const { leftOut } = last;
    log[level](leftOut === 0 ? fields : { ...fields, leftOut }, message);
    const keepsComing = atMs - last.endsAtMs < last.ms;
    const ms = keepsComing ? Math.min(2 * last.ms, pauseMsMax) : pauseMsMin;
    pauses.set(message, { ms, endsAtMs: atMs + ms, leftOut: 0 });
  };
}

/** The pauses of a process, by message. The text of a message is never made up at run time. */
const allPauses = new WeakMap<Logger, Map<string, Pause>>();

function pausesOf(log: Logger): Map<string, Pause> {
  const known = allPauses.get(log) ?? new Map<string, Pause>();
  allPauses.set(log, known);
  return known;
}
