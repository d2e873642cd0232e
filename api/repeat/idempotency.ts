// The `Idempotency-Key` of a request, and what is derived from it.
//
// A key belongs to one model and version, and stands for one request: what determines the answer
// is in its *fingerprint*. The items of the request get their ids from both, so that a repeat, at
// whichever API instance, asks for the same items; and a result can never be taken for that of
// another request, even where the record of the first one has expired.

import { createHash } from 'node:crypto';
import type { Request } from 'express';
import { ScorelineError } from '../../shared/errors.js';
import type { RawInput } from '../kinds/kinds.js';

export interface Identity {
  /** The key, within the model it belongs to. */
  readonly scope: string;
  readonly fingerprint: string;
  /** The ids of the request's items, in the order of its inputs. */
  readonly ids: readonly string[];
}

/**
 * The key a caller has set: 1 to 255 printable ASCII characters, bare or, as the standard's draft
 * has it, in double quotes. Undefined without the header.
 * @throws ScorelineError `idempotency_key_invalid`
 */
export function readIdempotencyKey(request: Request): string | undefined {
  const given = request.get('idempotency-key');
  if (given === undefined) return undefined;
  const times = request.headersDistinct['idempotency-key']?.length ?? 1;
  const [, quoted, bare] = /^(?:"([ -~]{1,255})"|(?!")([ -~]{1,255})(?<!"))$/.exec(given) ?? [];
  const key = quoted ?? bare;
  if (key !== undefined && times === 1) return key;
  const came = times > 1 ? `${times} of them` : JSON.stringify(given.slice(0, 60));
  throw new ScorelineError(
    'idempotency_key_invalid',
    `Expected one Idempotency-Key of 1 to 255 printable ASCII characters, as in Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324; got ${came}.`,
  );
}

/** Who the items of a request with a key are. `queue` is the model's. */
export function identify(
  key: string,
  request: { queue: string; top: number; inputs: readonly Pick<RawInput, 'value'>[] },
): Identity {
  const { queue, top, inputs } = request;
  const scope = hash([queue, key]);
  const fingerprint = hash([queue, String(top), ...inputs.map((input) => input.value)]);
  const ids = inputs.map((_, index) => toId(hash([scope, fingerprint, String(index)])));
  return { scope, fingerprint, ids };
}

/** SHA-256 in hexadecimal. Each part is preceded by its length, so that no two lists are alike. */
function hash(parts: readonly (string | Buffer)[]): string {
  const sha256 = createHash('sha256');
  for (const part of parts) sha256.update(`${Buffer.byteLength(part)}:`).update(part);
  return sha256.digest('hex');
}

/** A UUID of version 8 (RFC 9562), the one whose bits are the maker's own. */
function toId(digest: string): string {
  const variant = ((Number.parseInt(digest.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `8${digest.slice(13, 16)}`,
    `${variant}${digest.slice(17, 20)}`,
    digest.slice(20, 32),
  ].join('-');
}
