// The key ring: all API keys of the service in the memory of this process, and the check of a key.
//
// A look at the ring needs no Redis, so a request with a key costs a hash. The sources of keys replace
// the ring's content when it changes.
//
// Timing tells nothing about the known keys: a key with an unknown id takes the same steps as one with
// a known id and a wrong secret, and gets the same answer.

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { ScorelineError } from '../../shared/errors.js';
import { hashApiKey, readApiKeyId } from './api-key.js';
import { type ApiKeyRecord, callerOf } from './api-key-record.js';
import type { Caller, Limits } from './caller.js';

interface Entry {
  readonly hash: Buffer;
  /** The hash before the last rotation. Random where there is none, so comparing takes the same time. */
  readonly previousHash: Buffer;
  readonly previousUntil: number;
  readonly expiresAt: number;
  readonly caller: Caller;
  /** Milliseconds since the epoch; 0 if this process has not seen the key yet. */
  usedAt: number;
}

export class ApiKeyRing {
  readonly #defaults: Limits | undefined;
  readonly #now: () => number;
  readonly #unknown = makeUnknownEntry();
  #entries: ReadonlyMap<string, Entry> = new Map();

  /**
   * @param defaults the limits of keys that have none of their own
   * @param now milliseconds since the epoch
   */
  constructor(defaults: Limits | undefined, now: () => number = Date.now) {
    this.#defaults = defaults;
    this.#now = now;
  }

  get callers(): readonly Caller[] {
    return [...this.#entries.values()].map(({ caller }) => caller);
  }

  replace(records: readonly ApiKeyRecord[]): void {
    const before = this.#entries;
    this.#entries = new Map(
      records.map((record) => [
        record.id,
        makeEntry(record, this.#defaults, before.get(record.id)?.usedAt ?? 0),
      ]),
    );
  }

  /**
   * Returns the caller whose key this is.
   * @throws ScorelineError `key_malformed`, `key_unknown`, `key_expired`
   */
  find(key: string): Caller {
    const entry = this.#entries.get(readApiKeyId(key)) ?? this.#unknown;
    const given = hashApiKey(key);
    const now = this.#now();
    const isCurrent = timingSafeEqual(given, entry.hash);
    const isPrevious = timingSafeEqual(given, entry.previousHash) && now < entry.previousUntil;
    if (!isCurrent && !isPrevious) throw unknownKey();
    if (now >= entry.expiresAt) throw expired(entry);
    entry.usedAt = now;
    return entry.caller;
  }

  /** Returns when each key was used, for those used at this time or later. */
  usedSince(time: number): ReadonlyMap<string, number> {
    const used = [...this.#entries].filter(([, { usedAt }]) => usedAt > 0 && usedAt >= time);
    return new Map(used.map(([id, { usedAt }]) => [id, usedAt]));
  }
}

function makeEntry(record: ApiKeyRecord, defaults: Limits | undefined, usedAt: number): Entry {
  const { sha256, previous, expiresAt } = record;
  return {
    hash: Buffer.from(sha256, 'hex'),
    previousHash: previous ? Buffer.from(previous.sha256, 'hex') : randomBytes(32),
    previousUntil: previous ? Date.parse(previous.until) : 0,
    expiresAt: expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
    caller: callerOf(record, defaults),
    usedAt,
  };
}

/** No key has these hashes: they are random, and no key is known that hashes to them. */
function makeUnknownEntry(): Entry {
  return {
    hash: randomBytes(32),
    previousHash: randomBytes(32),
    previousUntil: 0,
    expiresAt: Number.POSITIVE_INFINITY,
    caller: { id: 'unknown', name: 'unknown', scopes: [], models: [] },
    usedAt: 0,
  };
}

function unknownKey(): ScorelineError {
  return new ScorelineError(
    'key_unknown',
    'Expected a key that is valid here; got one that is not. It may be of another service, or revoked: ask the operator for a new one.',
  );
}

function expired({ expiresAt }: Entry): ScorelineError {
  const day = new Date(expiresAt).toISOString();
  return new ScorelineError(
    'key_expired',
    `Expected a key that has not expired; this one has, at ${day}. Ask the operator to extend it or for a new one.`,
  );
}
