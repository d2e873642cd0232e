// Answers errors: with problem documents (RFC 9457), in the form of the Open Inference Protocol, or where a person
// has opened an address in a browser, with a page.

import type { ServerResponse } from 'node:http';
import {
  coerceError,
  type ErrorCode,
  errorTable,
  problemOf,
  ScorelineError,
} from '../../../shared/errors.js';
import type { Logger } from '../../../shared/process/log.js';
import { problemPagePolicy, writeProblemPage } from '../../pages/problem-page.js';
import { leaveBody } from '../body/leave.js';
import type { GatedRequest } from '../gate/gated-request.js';
import { loggedPath } from '../logged-path.js';
import { isForOperators, isKserve, pathOf } from '../paths.js';
import { requestIdOf } from '../request-id.js';
import { sendJson, sendParts } from './json.js';
import { wantsPage } from './wants-page.js';

/** Answers a request with the error that was thrown while it was being handled. */
export function answerError(thrown: unknown, response: ServerResponse): void {
  const error = toScorelineError(thrown);
  if (!response.headersSent) sendProblem(response, error);
  else {
    noteFailure(response.req, error);
    response.destroy();
  }
}

function noteFailure(request: GatedRequest, error: ScorelineError): void {
  request.failure = error;
  request.reportFailure?.();
}

/** Logs an error that is no fault of the client. */
export function logFault(log: Logger, { req }: ServerResponse, error: ScorelineError): void {
  const path = loggedPath(req);
  const requestId = requestIdOf(req);
  log.error({ requestId, code: error.code, path, err: error.cause ?? error }, error.message);
}

/**
 * Sends an error, and handles the unread body of its request. Clients of the Open Inference Protocol read
 * the key `error` of JSON; our own keys stand beside it.
 */
export function sendProblem(response: ServerResponse, error: ScorelineError): void {
  noteFailure(response.req, error);
  const { status } = errorTable[error.code];
  if (error.retryAfterSeconds !== undefined) {
    response.setHeader('Retry-After', String(error.retryAfterSeconds));
  }
  const path = pathOf(response.req);
  const challenge = challengeOf(error.code);
  if (challenge !== undefined) {
    // At a Basic one, a browser asks its user for the key. A client that knows Bearer takes the first.
    const asks = status === 401 && isForOperators(path);
    response.setHeader('WWW-Authenticate', asks ? [challenge, basicChallenge] : challenge);
  }
  leaveBody(response, () => {
    if (wantsPage(response.req)) sendPage(response, error, path);
    else if (isKserve(path)) {
      sendJson(response, { error: error.message, code: error.code, status }, { status });
    } else sendJson(response, problemOf(error), { status, type: 'application/problem+json' });
  });
}

function sendPage(response: ServerResponse, error: ScorelineError, path: string): void {
  const page = writeProblemPage(error, { path, requestId: requestIdOf(response.req) });
  const headers = {
    'Content-Type': 'text/html; charset=utf-8',
    // In the case in which answer-headers.ts has it, since it takes the place of that one.
    'content-security-policy': problemPagePolicy,
  };
  sendParts(response, [Buffer.from(page)], headers, errorTable[error.code].status);
}

const basicChallenge = 'Basic realm="scoreline", charset="UTF-8"';

/** How a client can get in, after RFC 6750. Without a key or token there is nothing wrong with one. */
function challengeOf(code: ErrorCode): string | undefined {
  const { status } = errorTable[code];
  if (code === 'https_required' || (status !== 401 && status !== 403)) return undefined;
  const scheme = 'Bearer realm="scoreline"';
  if (code === 'unauthenticated') return scheme;
  return `${scheme}, error="${status === 401 ? 'invalid_token' : 'insufficient_scope'}"`;
}

function toScorelineError(thrown: unknown): ScorelineError {
  if (thrown instanceof ScorelineError) return thrown;
  const error = coerceError(thrown) as Error & { status?: number };
  // Express throws errors with a status of its own, such as for a badly encoded path.
  if (error.status !== undefined && error.status < 500) {
    return new ScorelineError(
      'request_invalid',
      'Expected a well-formed request; its address or its body could not be decoded.',
      { cause: error },
    );
  }
  return internalError(error);
}

export function internalError(cause: unknown): ScorelineError {
  return new ScorelineError('internal_error', 'An unexpected error occurred; it has been logged.', {
    cause,
  });
}
