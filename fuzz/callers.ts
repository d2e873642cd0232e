// The callers of a fuzz run: API keys that may do different things, one of them expired.

import { hashApiKey, makeApiKey, makeApiKeyId } from '../api/access/api-key.js';
import type { ApiKeyRecord } from '../api/access/api-key-record.js';
import { ApiKeyStore } from '../api/access/api-key-store.js';
import { makeKeys } from '../shared/redis/keys.js';
import type { Redis } from '../shared/redis/redis.js';

export type CallerName = 'score' | 'admin' | 'jobs' | 'oneModel' | 'limited' | 'expired';

const records: Readonly<Record<CallerName, Omit<ApiKeyRecord, 'id' | 'name' | 'sha256'>>> = {
  /** Scores, and has no limits. */
  score: { scopes: ['score'] },
  admin: { scopes: ['admin'] },
  /** May not score. */
  jobs: { scopes: ['jobs'] },
  /** Is never told of another model. */
  oneModel: { scopes: ['score'], models: ['faq-matcher'] },
  /** Gets 429 now and then. */
  limited: { scopes: ['score'], perSecond: 5, burst: 10, concurrent: 1 },
  expired: { scopes: ['admin'], expiresAt: '2020-01-01T00:00:00Z' },
};

/** The keys by the names of their callers. */
export type Callers = Readonly<Record<CallerName, string>>;

export async function makeCallers(redis: Redis): Promise<Callers> {
  const store = new ApiKeyStore(redis, makeKeys('scoreline'));
  const callers: Record<string, string> = {};
  for (const [name, record] of Object.entries(records)) {
    const id = makeApiKeyId();
    const key = makeApiKey(id);
    const sha256 = hashApiKey(key).toString('hex');
    await store.write({ ...record, id, name, sha256 });
    callers[name] = key;
  }
  return callers as Record<CallerName, string>;
}
