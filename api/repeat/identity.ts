// The identity of a request with an `Idempotency-Key`.
//
// A key belongs to one caller and to one model and version, and stands for one request. The *fingerprint* of a request
// covers everything that determines its answer. Key and fingerprint determine the ids of the items, so a
// repeat asks for the same items at any API instance. A result can never be mistaken for that of another
// request, even after the record of the first request has expired.

import { createHash } from 'node:crypto';
import { makeItemId } from '../../shared/wire/item-id.js';
import type { OutputWish } from '../../shared/wire/job.js';

type Content = string | Buffer;

export interface Identity {
  /** The id of the caller. */
  readonly caller: string;
  /** A hash of the caller, the model's queue and the key. */
  readonly scope: string;
  /** A hash of everything that determines the answer. */
  readonly fingerprint: string;
  /** The ids of the request's items, in the order of its inputs. */
  readonly ids: readonly string[];
}

/** What a request asks, which determines its answer. */
export interface Asked extends OutputWish {
  /** The model's queue. */
  readonly queue: string;
  /** An input that consists of several parts has a list of them, and an input of several rows their number. */
  readonly inputs: readonly {
    readonly value: Content | readonly Content[];
    readonly rows?: number;
  }[];
  /** The address that is told of the answer, if any. */
  readonly webhook?: string | undefined;
}

/**
 * Derives the identity of a request from its key, its caller, its model and its inputs. No two callers
 * share an identity, so nobody is answered with what another caller keeps.
 * @param request what is asked, and the id of the caller
 */
export function identify(key: string, request: Asked & { readonly caller: string }): Identity {
  const { caller, queue, inputs } = request;
  const scope = hash([caller, queue, key]);
  const fingerprint = fingerprintOf(request);
  const ids = inputs.map(({ rows = 1 }, index) =>
    makeItemId(toId(hash([scope, fingerprint, String(index)])), rows),
  );
  return { caller, scope, fingerprint, ids };
}

/** Returns a hash of everything that determines the answer to a request. */
export function fingerprintOf({ queue, top, outputs, inputs, webhook }: Asked): string {
  const wanted = top === undefined ? JSON.stringify(outputs ?? 'all') : String(top);
  const whole = webhook === undefined ? wanted : JSON.stringify([wanted, webhook]);
  return hash([queue, whole, ...inputs.flatMap(({ value }) => value)]);
}

/** SHA-256 in hexadecimal. The length precedes each part, so no two lists hash the same bytes. */
export function hash(parts: readonly Content[]): string {
  const sha256 = createHash('sha256');
  for (const part of parts) sha256.update(`${Buffer.byteLength(part)}:`).update(part);
  return sha256.digest('hex');
}

/** Formats a hash as a UUID of version 8 (RFC 9562), which leaves the bits to the application. */
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
