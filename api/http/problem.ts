// Problem documents (RFC 9457): what a caller is told when something goes wrong.

import type { ServerResponse } from 'node:http';
import { coerceError, errorTable, ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import { sendJson } from './json.js';
import { leaveBody } from './leave-body.js';

/** Answers a request with what was thrown while it was worked on. */
export type AnswerError = (thrown: unknown, response: ServerResponse) => void;

/** Every error becomes a problem document; those that are our fault are logged. */
export function makeAnswerError(log: Logger): AnswerError {
  return (thrown, response) => {
    const error = toScorelineError(thrown);
    const { status } = errorTable[error.code];
    if (status === 500) {
      const [path] = (response.req.url ?? '').split('?', 1);
      log.error({ code: error.code, path, err: error.cause ?? error }, error.message);
    }
    if (response.headersSent) response.destroy();
    else sendProblem(response, error);
  };
}

export function sendProblem(response: ServerResponse, error: ScorelineError): void {
  const { status, title } = errorTable[error.code];
  const problem = {
    type: `urn:scoreline:error:${error.code}`,
    title,
    status,
    code: error.code,
    detail: error.message,
  };
  if (error.retryAfterSeconds !== undefined) {
    response.setHeader('Retry-After', String(error.retryAfterSeconds));
  }
  leaveBody(response);
  sendJson(response, problem, { status, type: 'application/problem+json' });
}

function toScorelineError(thrown: unknown): ScorelineError {
  if (thrown instanceof ScorelineError) return thrown;
  const error = coerceError(thrown) as Error & { status?: number };
  // Express' own errors, such as a path that is badly encoded.
  if (error.status !== undefined && error.status < 500) {
    return new ScorelineError(
      'request_invalid',
      'The request could not be read to its end, or is not formed as its headers say.',
      { cause: error },
    );
  }
  return new ScorelineError('internal_error', 'An unexpected error; it has been logged.', {
    cause: error,
  });
}
