// The `Idempotency-Key` header of a request.

import type { IncomingMessage } from 'node:http';
import { ScorelineError } from '../../../shared/errors.js';
import { shown } from '../../../shared/shown.js';

/**
 * Reads a key of 1 to 255 printable ASCII characters, bare or in double quotes as in the IETF draft.
 * Returns undefined without the header.
 * @throws ScorelineError `idempotency_key_invalid`
 */
export function readIdempotencyKey(request: IncomingMessage): string | undefined {
  const given = request.headers['idempotency-key']?.toString();
  if (given === undefined) return undefined;
  return parseIdempotencyKey(given, request.headersDistinct['idempotency-key']?.length ?? 1);
}

/**
 * Parses a key that was given so many times.
 * @throws ScorelineError `idempotency_key_invalid`
 */
export function parseIdempotencyKey(given: string, times: number): string {
  const [, quoted, bare] = /^(?:"([ -~]{1,255})"|(?!")([ -~]{1,255})(?<!"))$/.exec(given) ?? [];
  const key = quoted ?? bare;
  if (key !== undefined && times === 1) return key;
  const got = times > 1 ? `${times} of them` : shown(given);
  throw new ScorelineError(
    'idempotency_key_invalid',
    `Expected one Idempotency-Key of 1 to 255 printable ASCII characters, as in Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324; got ${got}.`,
  );
}
