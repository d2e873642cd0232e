// A call of the client: one or several requests under one limit, with one id in the log of the service.

import { misuse } from './errors.js';
import type { Asked, Exchange } from './exchange.js';
import { type Limit, type LimitOptions, openLimit } from './limit.js';
import { randomId } from './random-id.js';
import { tryRepeatedly } from './retries.js';

export interface CallOptions extends LimitOptions {
  /** How often a request is tried again at most; 10 if unset. */
  readonly retries?: number | undefined;
  /** The id of the request in the log of the service; a random one, if unset. */
  readonly requestId?: string | undefined;
}

export interface Call {
  readonly limit: Limit;
  readonly retries: number;
  readonly requestId: string;
  /** Sends a request until it is answered, as often as it may be. */
  ask<T>(asked: Asked, read: (response: Response) => Promise<T>): Promise<T>;
  /** Ends what still runs. Can be called twice. */
  close(): void;
}

const retriesDefault = 10;

export function openCall(exchange: Exchange, options: CallOptions): Call {
  const retries = options.retries ?? retriesDefault;
  const requestId = checkId(options.requestId ?? randomId());
  if (typeof retries !== 'number' || !(retries >= 0)) {
    throw misuse('retries to be a number, 0 or more', retries);
  }
  const limit = openLimit(options);
  return {
    limit,
    retries,
    requestId,
    close: limit.close,
    ask: (asked, read) =>
      tryRepeatedly({ limit, retries }, () =>
        within(asked.answerMsMax, limit, (signal) =>
          exchange(asked.isAwaited ? tellTime(asked, limit) : asked, { signal, requestId }, read),
        ),
      ),
  };
}

/** The service would log a request with another id under one of its own. */
function checkId(id: string): string {
  if (typeof id === 'string' && /^[\w.:/+=@-]{1,128}$/.test(id)) return id;
  throw misuse('requestId to be 1 to 128 letters, digits and signs of "_.:/+=@-"', id);
}

/** Makes an attempt that has less time than its call. It fails like a lost connection. */
async function within<T>(
  timeoutMs: number | undefined,
  { signal }: Limit,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (timeoutMs === undefined) return attempt(signal);
  const own = openLimit({ signal, timeoutMs });
  try {
    return await attempt(own.signal);
  } finally {
    own.close();
  }
}

/** Tells the service how long the caller waits, so it need not work for longer. */
function tellTime(asked: Asked, limit: Limit): Asked {
  const seconds = Math.max(limit.remainingMs() / 1000, 0.001);
  if (!Number.isFinite(seconds)) return asked;
  return { ...asked, headers: { ...asked.headers, 'Request-Timeout': seconds.toFixed(3) } };
}
