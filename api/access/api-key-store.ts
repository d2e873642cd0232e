// API keys in Redis: one hash of records, a version that each record that is written replaces, and the times of last
// use. `npm run keys` writes the records, the API instances read them.
//
// Versions are random: a Redis that has lost its data would count from 1 again, and an instance that has seen
// that number before would keep the keys of then. A removal writes none, so a full Redis takes it: that there is a record
// less tells of it.

import { randomUUID } from 'node:crypto';
import { ScorelineError } from '../../shared/errors.js';
import type { Keys } from '../../shared/redis/keys.js';
import { type Redis, repliesOf, scoredMembersOf } from '../../shared/redis/redis.js';
import { shown } from '../../shared/shown.js';
import { type ApiKeyRecord, describeFault, parseApiKeyRecord } from './api-key-record.js';

interface StoredApiKeys {
  readonly version: string;
  readonly records: readonly ApiKeyRecord[];
  /** For each record that cannot be read: its id and what is wrong with it. */
  readonly faults: readonly { readonly id: string; readonly fault: string }[];
}

export class ApiKeyStore {
  readonly #redis: Redis;
  readonly #keys: Keys;

  constructor(redis: Redis, keys: Keys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  /** Resolves to a text that changes with the records. */
  async readVersion(): Promise<string> {
    const { apiKeys, apiKeysVersion } = this.#keys;
    const pipeline = this.#redis.pipeline().get(apiKeysVersion).hlen(apiKeys);
    return toVersion((await repliesOf(pipeline)) as [string | null, number]);
  }

  /** Reads the version, and then records that are no older. */
  async read(): Promise<StoredApiKeys> {
    const { apiKeys, apiKeysVersion } = this.#keys;
    const [version, texts] = (await repliesOf(
      this.#redis.pipeline().get(apiKeysVersion).hgetall(apiKeys),
    )) as [string | null, Record<string, string>];
    const records: ApiKeyRecord[] = [];
    const faults: { id: string; fault: string }[] = [];
    for (const [id, text] of Object.entries(texts)) {
      try {
        records.push(parseApiKeyRecord(JSON.parse(text)));
      } catch (thrown) {
        faults.push({ id, fault: describeFault(thrown) });
      }
    }
    return { version: toVersion([version, Object.keys(texts).length]), records, faults };
  }

  /** Adds the record, or replaces the one with its id. */
  async write(record: ApiKeyRecord): Promise<void> {
    const { apiKeys, apiKeysVersion } = this.#keys;
    await repliesOf(
      this.#redis
        .multi()
        .hset(apiKeys, record.id, JSON.stringify(record))
        .set(apiKeysVersion, randomUUID()),
    );
  }

  /**
   * Replaces a record by what `change` returns for it. If another command has changed it meanwhile, `change` is
   * called again with the newer record. Resolves to the record that was written.
   * @throws ScorelineError `key_unknown` when there is none with this id; `configuration_invalid` when it cannot be read
   */
  async update(id: string, change: (record: ApiKeyRecord) => ApiKeyRecord): Promise<ApiKeyRecord> {
    const { apiKeys, apiKeysVersion } = this.#keys;
    for (;;) {
      // Bytes, because a text that is not UTF-8 would never be the one in Redis.
      const found = await this.#redis.hgetBuffer(apiKeys, id);
      if (found === null) throw noSuchKey(id);
      const next = change(readRecord(id, found.toString()));
      const parameters = [id, found, JSON.stringify(next), randomUUID()];
      const names = [apiKeys, apiKeysVersion];
      const wasWritten = await this.#redis.eval(replaceScript, 2, ...names, ...parameters);
      if (wasWritten === 1) return next;
    }
  }

  /**
   * Removes a record.
   * @throws ScorelineError `key_unknown` when there is none with this id
   */
  async remove(id: string): Promise<void> {
    const { apiKeys, apiKeysUsed } = this.#keys;
    // A full Redis takes no transactions.
    const pipeline = this.#redis.pipeline().hdel(apiKeys, id).zrem(apiKeysUsed, id);
    const [removed] = await repliesOf(pipeline);
    if (removed === 0) throw noSuchKey(id);
  }

  /**
   * Keeps when keys were used, in milliseconds since the epoch, by id. A later time stays: an instance that Redis was
   * away from keeps its times after others.
   */
  async writeUses(uses: ReadonlyMap<string, number>): Promise<void> {
    const scores = [...uses].flatMap(([id, at]) => [at, id]);
    if (scores.length > 0) await this.#redis.zadd(this.#keys.apiKeysUsed, 'GT', ...scores);
  }

  async readUses(): Promise<ReadonlyMap<string, number>> {
    const found = await this.#redis.zrange(this.#keys.apiKeysUsed, 0, '-1', 'WITHSCORES');
    return new Map(scoredMembersOf(found));
  }
}

function toVersion([version, records]: readonly [string | null, number]): string {
  return `${version} ${records}`;
}

function readRecord(id: string, text: string): ApiKeyRecord {
  try {
    return parseApiKeyRecord(JSON.parse(text));
  } catch (thrown) {
    throw new ScorelineError(
      'configuration_invalid',
      `The record ${id} cannot be read: ${describeFault(thrown)}`,
    );
  }
}

export function noSuchKey(id: string): ScorelineError {
  return new ScorelineError(
    'key_unknown',
    `Expected the id of a key, as "npm run keys -- list" shows it; there is none ${shown(id)}.`,
  );
}

// Replaces a record, unless it is not the expected one any more.
// KEYS: the records, their version. ARGV: the id, the record that is expected, the next one, the next version.
const replaceScript = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[4])
return 1
`;
