// Models that are left out. A model that cannot be served does not stop the others: the process goes
// on without it and says why, at the level `error`. It stops only if no model is left.

import { coerceError, ScorelineError } from '../errors.js';
import type { Logger } from '../process/log.js';

export interface LeftOut {
  /** The name of the model's folder. */
  readonly name: string;
  /** Undefined if it is not known, or all versions are left out. */
  readonly version?: string | undefined;
  /** The folder of the manifest, if that is the reason. */
  readonly folder?: string | undefined;
  readonly error: ScorelineError;
  /** Whether only its traffic.yaml is wrong. Its versions can be served. */
  readonly isTraffic?: boolean | undefined;
  /** The code of the reason why no worker can load it. */
  readonly fault?: string | undefined;
  /** Whether it can be read, and waits for a worker or an order. */
  readonly isWaiting?: boolean | undefined;
}

/** Returns why a model is left out, of what was thrown when it was read or loaded. */
export function whyLeftOut(name: string, thrown: unknown): ScorelineError {
  if (thrown instanceof ScorelineError) return thrown;
  const cause = coerceError(thrown);
  return new ScorelineError('internal_error', `${name}: unexpected: ${cause.message}`, { cause });
}

/** Logs a line for each model that is left out. */
export function logLeftOut(log: Logger, leftOut: readonly LeftOut[]): void {
  for (const { name, version, error, isTraffic } of leftOut) {
    const { code, message } = error;
    // A stack would repeat the message, and says something only about what nobody expected.
    const err = code === 'internal_error' ? error : { message };
    log.error(
      { model: name, ...(version !== undefined && { version }), code, err },
      isTraffic ? 'the traffic of a model cannot be read' : 'a model is left out',
    );
  }
}

/** Logs a model that is left out once, and again only if the reason has changed or was gone meanwhile. */
export class LeftOutLog {
  readonly #log: Logger;
  #known: ReadonlySet<string>;

  /** @param logged what has been logged already */
  constructor(log: Logger, logged: readonly LeftOut[]) {
    this.#log = log;
    this.#known = reasonsOf(logged);
  }

  /** @param leftOut all that are left out now */
  update(leftOut: readonly LeftOut[]): void {
    const isNew = ({ error }: LeftOut) => !this.#known.has(error.message);
    logLeftOut(this.#log, leftOut.filter(isNew));
    this.#known = reasonsOf(leftOut);
  }
}

function reasonsOf(leftOut: readonly LeftOut[]): ReadonlySet<string> {
  return new Set(leftOut.map(({ error }) => error.message));
}

/** Returns the error that stops a process without any model, with the reason of each. */
export function allLeftOut(leftOut: readonly LeftOut[]): ScorelineError {
  const [first, ...others] = leftOut.map(({ error }) => error);
  if (!first) throw new Error('No model is left out. This is a bug.');
  if (others.length === 0) return first;
  const reasons = [first, ...others].map(({ message }) => message).join('\n');
  return new ScorelineError(first.code, `No model can be served.\n${reasons}`);
}
