// The errors of calls. None holds the key or the input of the call.

import type { Problem } from './answers.js';

/** The codes of errors that the client itself finds. docs/errors.md has those of the service. */
export type ClientErrorCode =
  /** The connection could not be made, or was lost. */
  | 'connection_failed'
  /** The time limit of the call (`timeoutMs`) is over. */
  | 'timed_out'
  /** The answer is not one of the service: it comes from a proxy, or from something else. */
  | 'answer_unexpected'
  /** The job has passed its deadline, or its result is no longer kept. */
  | 'job_expired';

export interface ErrorParts {
  readonly code: string;
  readonly status?: number | undefined;
  readonly problem?: Problem | undefined;
  readonly requestId?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly isRetryable?: boolean;
  readonly cause?: unknown;
}

/** A call that failed. Its message says what was expected, what came, and what to do. */
export class ScorelineError extends Error {
  /** What is wrong: a code of docs/errors.md, or a `ClientErrorCode`. It does not change, so test it. */
  readonly code: string;
  /** The status of the answer; undefined if there was none. */
  readonly status: number | undefined;
  /** The problem document (RFC 9457) of the service, if it sent one. */
  readonly problem: Problem | undefined;
  /** The id of the request, which the log of the service names. */
  readonly requestId: string | undefined;
  /** When the service wants to be asked again, if it said so. */
  readonly retryAfterMs: number | undefined;
  /** Whether the same call may succeed later. The client has tried it again already, within its limits. */
  readonly isRetryable: boolean;

  constructor(message: string, parts: ErrorParts) {
    super(message, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = 'ScorelineError';
    this.code = parts.code;
    this.status = parts.status;
    this.problem = parts.problem;
    this.requestId = parts.requestId;
    this.retryAfterMs = parts.retryAfterMs;
    this.isRetryable = parts.isRetryable ?? false;
  }
}

/** An answer that is not one of the service, or not this version of it. */
export function answerUnexpected(
  message: string,
  more: Omit<ErrorParts, 'code'> = {},
): ScorelineError {
  return new ScorelineError(message, { code: 'answer_unexpected', ...more });
}

/** The error of a caller's mistake, before anything is sent. */
export function misuse(expected: string, got: unknown): TypeError {
  return new TypeError(`Expected ${expected}; got ${show(got)}.`);
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  if (typeof value !== 'object' || value === null) return String(value);
  return Array.isArray(value)
    ? 'an array'
    : `an object (${value.constructor?.name ?? 'without a class'})`;
}
