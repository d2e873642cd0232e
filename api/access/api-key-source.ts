// Keeps the key ring of this process up to date with where the API keys are: in Redis, or in KEYS_FILE.
//
// It asks twice a second whether anything has changed, so a change counts within a second, without a
// restart. While the source cannot be read, the last known keys count: otherwise nobody would get in,
// though nothing has changed. If Redis has lost its data, it has lost the keys, too, and nobody gets in.

import { setTimeout as delay } from 'node:timers/promises';
import { coerceError, ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import { readFileVersion, readSettledApiKeyFile } from './api-key-file.js';
import type { ApiKeyRecord } from './api-key-record.js';
import type { ApiKeyRing } from './api-key-ring.js';
import type { ApiKeyStore } from './api-key-store.js';

const lookEveryMs = 500;
/** A change counts at every API after this time, unless the machine or Redis is very slow. */
export const changeCountsWithinMs = 1000;
/** Times of last use are written this often, for people who look for unused keys. */
const keepUsesEveryMs = 10_000;

/** Where the records of API keys are. */
export interface ApiKeyOrigin {
  /** Changes whenever the records do. */
  readVersion(): Promise<string | undefined>;
  read(): Promise<{ version: string | undefined; records: readonly ApiKeyRecord[] }>;
}

/**
 * Fills the ring, and keeps it up to date.
 * @throws what the origin throws the first time
 */
export async function openApiKeySource(options: {
  ring: ApiKeyRing;
  origin: ApiKeyOrigin;
  /** Keeps the times of last use. */
  store: Pick<ApiKeyStore, 'writeUses'>;
  log: Logger;
}) {
  const { ring, origin, store, log } = options;
  const closing = new AbortController();
  const { signal } = closing;

  let { version, records } = await origin.read();
  ring.replace(records);
  /** Why the keys could not be read since they last were. */
  const faults = new Set<string>();
  const look = async () => {
    if ((await origin.readVersion()) === version) return;
    ({ version, records } = await origin.read());
    ring.replace(records);
    log.info({ keys: records.length }, 'the API keys have changed');
    if (records.length === 0) log.error('there are no API keys any more; nobody gets in with one');
  };
  const lookOn = async () => {
    while (!signal.aborted) {
      await delay(lookEveryMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      await look().then(
        () => {
          if (faults.size > 0) log.info('the API keys can be read again');
          faults.clear();
        },
        (thrown) => {
          const reason = coerceError(thrown).message;
          // An operator mends a file in steps. What Redis says while it is away differs from look to look.
          const fault = thrown instanceof ScorelineError ? reason : 'Redis';
          if (faults.has(fault)) return;
          faults.add(fault);
          log.error({ reason }, 'the API keys cannot be read; the last known ones count');
        },
      );
    }
  };

  let keptAt = 0;
  const keepUses = async () => {
    const now = Date.now();
    try {
      await store.writeUses(ring.usedSince(keptAt));
      keptAt = now;
    } catch {
      // The next round writes these uses, too.
    }
  };
  const looking = lookOn();
  const keeping = setInterval(() => void keepUses(), keepUsesEveryMs);

  return {
    /** Stops looking, and keeps the last uses. */
    close: async (): Promise<void> => {
      if (signal.aborted) return;
      closing.abort();
      clearInterval(keeping);
      await looking;
      await keepUses();
    },
  };
}

/** The origin of keys in Redis. Leaves out records that cannot be read, and logs them. */
export function originInRedis(store: ApiKeyStore, log: Logger): ApiKeyOrigin {
  return {
    readVersion: () => store.readVersion(),
    read: async () => {
      const { version, records, faults } = await store.read();
      for (const { id, fault } of faults) {
        log.error({ id, fault }, 'the record of an API key cannot be read; the key is not valid');
      }
      return { version, records };
    },
  };
}

/** The origin of keys in a file. */
export function originInFile(file: string): ApiKeyOrigin {
  return {
    readVersion: async () => readFileVersion(file),
    read: () => readSettledApiKeyFile(file),
  };
}
