// Problem documents (RFC 9457): what a caller is told when something goes wrong.

import type { ServerResponse } from 'node:http';
import type { ErrorRequestHandler } from 'express';
import { MulterError } from 'multer';
import { coerceError, errorTable, ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import { sendJson } from './json.js';

/** The last handler of the application: every error becomes a problem document. */
export function makeProblemHandler(log: Logger, bodyBytesMax: number): ErrorRequestHandler {
  return (thrown, request, response, next) => {
    const error = toScorelineError(thrown, bodyBytesMax);
    const { status } = errorTable[error.code];
    if (status === 500) {
      log.error({ code: error.code, path: request.path, err: error.cause ?? error }, error.message);
    }
    if (response.headersSent) return next(thrown);
    sendProblem(response, error);
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
  sendJson(response, problem, { status, type: 'application/problem+json' });
}

function toScorelineError(thrown: unknown, bodyBytesMax: number): ScorelineError {
  if (thrown instanceof ScorelineError) return thrown;
  const error = coerceError(thrown) as Error & { type?: string; status?: number };
  const tooLarge =
    error instanceof MulterError && /^LIMIT_(FILE_SIZE|FIELD_VALUE)$/.test(error.code);
  if (tooLarge || error.type === 'entity.too.large') {
    return new ScorelineError(
      'body_too_large',
      `Expected a body of at most ${bodyBytesMax} bytes; got more. Send a smaller input.`,
    );
  }
  if (error.type === 'entity.parse.failed') {
    return new ScorelineError(
      'invalid_json',
      'Expected a JSON body; it could not be parsed. Check quotes and commas, and that the whole body was sent.',
    );
  }
  if (error.type === 'encoding.unsupported' || error.type === 'charset.unsupported') {
    return new ScorelineError(
      'unsupported_media_type',
      'Expected a body in UTF-8, plain or compressed with gzip, deflate or br.',
    );
  }
  if (error instanceof MulterError || (error.status !== undefined && error.status < 500)) {
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
