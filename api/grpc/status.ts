// Errors as gRPC has them: a status code, the detail as the message, and in the trailers our own code and when
// to ask again.

import { toUSVString } from 'node:util';
import { type Metadata, type StatusObject, status as statusCodes } from '@grpc/grpc-js';
import { type ErrorCode, errorTable, ScorelineError } from '../../shared/errors.js';
import { internalError } from '../http/answers/problem.js';

/** Proxies and clients refuse long trailers. */
const detailCharactersMax = 1500;

/** The gRPC status of each HTTP status that an error may have. */
const statuses: Readonly<
  Record<(typeof errorTable)[ErrorCode]['status'], keyof typeof statusCodes>
> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  406: 'INVALID_ARGUMENT',
  408: 'DEADLINE_EXCEEDED',
  409: 'FAILED_PRECONDITION',
  410: 'NOT_FOUND',
  413: 'RESOURCE_EXHAUSTED',
  415: 'INVALID_ARGUMENT',
  422: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
  431: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** Returns the name of the gRPC status of an error. */
export function statusNameOf(code: ErrorCode): keyof typeof statusCodes {
  // The request is well-formed and would be answered, had its key not been used before.
  if (code === 'idempotency_key_reused') return 'FAILED_PRECONDITION';
  return statuses[errorTable[code].status];
}

/** Returns the number of the gRPC status of an error. */
export function statusCodeOf(code: ErrorCode): number {
  return statusCodes[statusNameOf(code)];
}

/** Returns the status of an error, with the given metadata and our own. */
export function statusOf(error: ScorelineError, metadata: Metadata): StatusObject {
  const trailers = metadata.clone();
  trailers.set('error-code', error.code);
  if (error.retryAfterSeconds !== undefined) {
    trailers.set('retry-after', String(error.retryAfterSeconds));
  }
  return {
    code: statusCodeOf(error.code),
    // A detail may quote what a client sent, cut anywhere. gRPC encodes well-formed text only.
    details: toUSVString(error.message.slice(0, detailCharactersMax)),
    metadata: trailers,
  };
}

/** Returns what was thrown as an error that a caller may see. */
export function toScorelineError(thrown: unknown): ScorelineError {
  return thrown instanceof ScorelineError ? thrown : internalError(thrown);
}
