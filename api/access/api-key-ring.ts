// The key ring: all API keys of the service in the memory of this process, and the check of a key.
//
// A look at the ring needs no Redis, so a request with a key costs a hash. The sources of keys replace
// the ring's content when it changes.
//
// Timing tells nothing about the known keys. They are found by their hash, so a key with an unknown id and
// one with a known id and a wrong secret both miss, take the same steps, and get the same answer. Nobody
// can choose a key's hash, and hashes are compared in constant time all the same.

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { ScorelineError } from '../../shared/errors.js';
import { checkApiKeyForm, hashApiKey } from './api-key.js';
import { type ApiKeyRecord, callerOf } from './api-key-record.js';
import type { Caller, CallerLimits } from './caller.js';

interface Entry {
  readonly hash: Buffer;
  /** Milliseconds since the epoch. */
  readonly validUntil: number;
  readonly caller: Caller;
  readonly use: Use;
}

/** The last use of the keys of one record. */
interface Use {
  /** Milliseconds since the epoch; 0 if this process has not seen a key yet. */
  at: number;
}

export class ApiKeyRing {
  readonly #defaults: CallerLimits | undefined;
  readonly #now: () => number;
  /** Is compared with keys that are not known. No key has this hash. */
  readonly #unknown = makeUnknownEntry();
  /** By the hash of the key in hexadecimal digits. */
  #entries: ReadonlyMap<string, Entry> = new Map();
  /** By the id of the record. */
  #uses: ReadonlyMap<string, Use> = new Map();
  #callers: readonly Caller[] = [];

  /**
   * @param defaults the limits of keys that have none of their own
   * @param now milliseconds since the epoch
   */
  constructor(defaults: CallerLimits | undefined, now: () => number = Date.now) {
    this.#defaults = defaults;
    this.#now = now;
  }

  get callers(): readonly Caller[] {
    return this.#callers;
  }

  replace(records: readonly ApiKeyRecord[]): void {
    const before = this.#uses;
    const uses = new Map(records.map(({ id }) => [id, before.get(id) ?? { at: 0 }]));
    const entries = records.flatMap((record) =>
      makeEntries(record, callerOf(record, this.#defaults), uses.get(record.id) as Use),
    );
    this.#callers = [...new Set(entries.map(({ caller }) => caller))];
    this.#uses = uses;
    this.#entries = new Map(entries.map((entry) => [entry.hash.toString('hex'), entry]));
  }

  /**
   * Returns the caller whose key this is.
   * @throws ScorelineError `key_malformed`, `key_unknown`, `key_expired`
   */
  find(key: string): Caller {
    const hash = hashApiKey(key);
    const entry = this.#entries.get(hash.toString('hex')) ?? this.#unknown;
    if (!timingSafeEqual(hash, entry.hash)) {
      // Known keys have the right form, so only others are looked at.
      checkApiKeyForm(key);
      throw unknownKey();
    }
    const now = this.#now();
    if (now >= entry.validUntil) throw expired(entry);
    entry.use.at = now;
    return entry.caller;
  }

  /** Returns when the keys of each record were used, for those used at this time or later. */
  usedSince(time: number): ReadonlyMap<string, number> {
    const used = [...this.#uses].filter(([, { at }]) => at > 0 && at >= time);
    return new Map(used.map(([id, { at }]) => [id, at]));
  }
}

/** A record has an entry for its key, and after rotations one for each key before. */
function makeEntries(record: ApiKeyRecord, caller: Caller, use: Use): Entry[] {
  const { sha256, previous = [], expiresAt } = record;
  const validUntil = expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt);
  const keys = [
    ...previous.map((key) => ({ ...key, until: Math.min(validUntil, Date.parse(key.until)) })),
    { sha256, until: validUntil },
  ];
  return keys.map((key) => ({
    ...{ hash: Buffer.from(key.sha256, 'hex'), validUntil: key.until },
    ...{ caller, use },
  }));
}

function makeUnknownEntry(): Entry {
  const caller = { id: 'unknown', name: 'unknown', scopes: [], models: [] };
  return { hash: randomBytes(32), validUntil: 0, caller, use: { at: 0 } };
}

function unknownKey(): ScorelineError {
  return new ScorelineError(
    'key_unknown',
    'Expected a key that is valid here; got one that is not. It may be of another service, or revoked: ask the operator for a new one.',
  );
}

function expired({ validUntil }: Entry): ScorelineError {
  const time = new Date(validUntil).toISOString();
  return new ScorelineError(
    'key_expired',
    `Expected a key that has not expired; this one has, at ${time}. Ask the operator for a new one.`,
  );
}
