// Sends JSON answers with Node's own methods, because `response.json` of Express costs a tenth of a
// request's processor time.

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import type { Caller } from '../access/caller.js';
import type { Slot } from '../access/limiter.js';
import type { LimitFields } from '../access/limits.js';
import { cacheFieldsOf } from '../cache/cache-note.js';
import type { Call } from '../call.js';
import type { RequestTrace } from '../traces/request-trace.js';

/** The type of a body that has a JSON value in each line. */
export const linesType = 'application/x-ndjson';

/** A request with what the gate has found out about it. */
export type GatedRequest = IncomingMessage & {
  /** Names it in its answer and in the log; see request-id.ts. */
  id?: string;
  /** Who sends it. */
  caller?: Caller;
  /** What the caller is told about its limits, if it has any. */
  limitFields?: LimitFields;
  /** Its place among the caller's requests in flight, if the caller has limits and it is not to be scored. */
  slot?: Slot;
  /** If it is to be scored. */
  call?: Call;
  /** The models that it may be for, if it is to be scored. */
  models?: readonly Model[];
  /** The error that it was answered with. */
  failure?: ScorelineError | undefined;
  /** Tells who wants to know of failures only that there is one. */
  reportFailure?: () => void;
  /** If it is traced. */
  trace?: RequestTrace | undefined;
};

/** Sends a value as JSON, with status 200 unless another is given. */
export function sendJson(
  response: ServerResponse,
  body: object,
  head: { status?: number; type?: string } = {},
): void {
  sendJsonText(response, JSON.stringify(body), head);
}

/**
 * Sends JSON text. Adds `Idempotency-Replayed: true` if the answer was kept from an earlier request, and what
 * a caller with limits is told about them.
 */
export function sendJsonText(
  response: ServerResponse,
  text: string,
  { status = 200, type = 'application/json' } = {},
): void {
  const bytes = Buffer.byteLength(text);
  const headers: OutgoingHttpHeaders = {
    'Content-Type': `${type}; charset=utf-8`,
    'Content-Length': bytes,
  };
  addFields(headers, response);
  response.writeHead(status, headers);
  // ASCII has the same bytes in both encodings, and V8 copies latin1 as it is.
  response.end(text, bytes === text.length ? 'latin1' : 'utf8');
}

/** Sends an answer of several parts, which are not copied, with the same fields as `sendJsonText`. */
export function sendParts(
  response: ServerResponse,
  parts: readonly Uint8Array[],
  headers: OutgoingHttpHeaders,
  status = 200,
): void {
  const bytes = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const all: OutgoingHttpHeaders = { ...headers, 'Content-Length': bytes };
  addFields(all, response);
  response.writeHead(status, all);
  response.cork();
  for (const part of parts) response.write(part);
  response.end();
  response.uncork();
}

/** Sends the head of an answer that comes in lines, as they are ready. */
export function sendLinesHead(response: ServerResponse): void {
  const headers: OutgoingHttpHeaders = {
    'Content-Type': linesType,
    // Nginx would otherwise hold the lines back.
    'X-Accel-Buffering': 'no',
  };
  addFields(headers, response);
  response.writeHead(200, headers);
  response.flushHeaders();
}

function addFields(headers: OutgoingHttpHeaders, response: ServerResponse): void {
  const { call, limitFields }: GatedRequest = response.req;
  if (call?.deferral) headers['Preference-Applied'] = call.deferral.applied;
  if (call?.isReplayed) headers['Idempotency-Replayed'] = 'true';
  if (call?.cacheNote) Object.assign(headers, cacheFieldsOf(call.cacheNote));
  if (limitFields) Object.assign(headers, limitFields);
}
