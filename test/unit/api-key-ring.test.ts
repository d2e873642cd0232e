import { describe, expect, test } from 'vitest';
import { hashApiKey, makeApiKey, makeApiKeyId } from '../../api/access/api-key.js';
import {
  type ApiKeyRecord,
  describeFault,
  parseApiKeyRecord,
} from '../../api/access/api-key-record.js';
import { ApiKeyRing } from '../../api/access/api-key-ring.js';
import type { CallerLimits } from '../../api/access/caller.js';
import { errorOf } from './sample-model.js';

const sha256Of = (key: string) => hashApiKey(key).toString('hex');
const start = Date.parse('2026-11-01T00:00:00Z');
const at = (seconds: number) => new Date(start + seconds * 1000).toISOString();

/** Makes a key with its record, and a ring whose clock the test sets. */
function makeRing(changes: Partial<ApiKeyRecord> = {}, defaults?: CallerLimits) {
  const id = makeApiKeyId();
  const key = makeApiKey(id);
  const record: ApiKeyRecord = {
    id,
    name: 'billing',
    sha256: sha256Of(key),
    scopes: ['score'],
    ...changes,
  };
  const clock = { now: start };
  const ring = new ApiKeyRing(defaults, () => clock.now);
  ring.replace([record]);
  return { ring, key, record, clock };
}

describe('the key ring', () => {
  test('knows the caller of a key', () => {
    const { ring, key, record } = makeRing({ models: ['faq'], scopes: ['score', 'jobs'] });
    expect(ring.find(key)).toEqual({
      id: `key:${record.id}`,
      name: 'billing',
      scopes: ['score', 'jobs'],
      models: ['faq'],
      limits: undefined,
    });
    expect(ring.callers).toEqual([ring.find(key)]);
  });

  test('answers an unknown id and a wrong secret alike', () => {
    const { ring, record } = makeRing();
    const [unknownId, wrongSecret] = [makeApiKeyId(), record.id].map((id) =>
      errorOf(() => ring.find(makeApiKey(id))),
    );
    expect(unknownId?.code).toBe('key_unknown');
    expect(wrongSecret?.code).toBe('key_unknown');
    expect(wrongSecret?.message).toBe(unknownId?.message);
  });

  test('is empty at first', () => {
    const ring = new ApiKeyRing(undefined);
    expect(errorOf(() => ring.find(makeApiKey(makeApiKeyId()))).code).toBe('key_unknown');
  });

  test('forgets a key that is not among the records any more', () => {
    const { ring, key } = makeRing();
    ring.replace([]);
    expect(errorOf(() => ring.find(key)).code).toBe('key_unknown');
    expect(ring.callers).toEqual([]);
  });

  test('accepts a key until it expires', () => {
    const { ring, key, clock } = makeRing({ expiresAt: at(60) });
    clock.now += 59_999;
    expect(ring.find(key).name).toBe('billing');
    clock.now += 1;
    const error = errorOf(() => ring.find(key));
    expect(error.code).toBe('key_expired');
    expect(error.message).toContain(at(60));
  });

  test('accepts the key before a rotation for as long as its record says', () => {
    const old = makeApiKey(makeApiKeyId());
    const { ring, key, clock } = makeRing({ previous: [{ sha256: sha256Of(old), until: at(60) }] });
    expect(ring.find(old)).toBe(ring.find(key));
    expect(ring.callers).toHaveLength(1);
    clock.now += 60_000;
    expect(errorOf(() => ring.find(old)).code).toBe('key_expired');
    expect(ring.find(key).name).toBe('billing');
  });

  test('accepts no key before a rotation for longer than the record itself', () => {
    const old = makeApiKey(makeApiKeyId());
    const previous = [{ sha256: sha256Of(old), until: at(600) }];
    const { ring, clock } = makeRing({ previous, expiresAt: at(60) });
    clock.now += 60_000;
    expect(errorOf(() => ring.find(old)).code).toBe('key_expired');
  });

  test('says when keys were used, refused ones left out', () => {
    const { ring, key, record, clock } = makeRing({ expiresAt: at(60) });
    expect(ring.usedSince(0).size).toBe(0);
    clock.now += 1000;
    ring.find(key);
    expect(ring.usedSince(0)).toEqual(new Map([[record.id, start + 1000]]));
    expect(ring.usedSince(start + 1001).size).toBe(0);
    ring.replace([record]);
    expect(ring.usedSince(0).size).toBe(1);
    clock.now += 60_000;
    errorOf(() => ring.find(key));
    expect(ring.usedSince(0)).toEqual(new Map([[record.id, start + 1000]]));
  });
});

describe('the limits of a key', () => {
  const limitsOf = (changes: Partial<ApiKeyRecord>, defaults?: CallerLimits) => {
    const { ring, key } = makeRing(changes, defaults);
    return ring.find(key).limits;
  };

  test('are none, its own, or those of the configuration', () => {
    expect(limitsOf({})).toBeUndefined();
    expect(limitsOf({ concurrent: 3 })).toMatchObject({ concurrent: 3 });
    expect(limitsOf({}, { perSecond: 5, burst: 9 })).toEqual({ perSecond: 5, burst: 9 });
  });

  test('are completed by those of the configuration, but a burst belongs to its rate', () => {
    const defaults = { perSecond: 5, burst: 9, concurrent: 2 };
    expect(limitsOf({ perSecond: 50 }, defaults)).toEqual({ perSecond: 50, concurrent: 2 });
    expect(limitsOf({ concurrent: 7 }, defaults)).toEqual({ ...defaults, concurrent: 7 });
  });
});

describe('a record', () => {
  const record = { id: 'abcdefghij', name: 'a', sha256: '0'.repeat(64), scopes: ['score'] };

  test('may have its times as YAML reads them', () => {
    const parsed = parseApiKeyRecord({ ...record, expiresAt: new Date('2027-01-31T00:00:00Z') });
    expect(parsed.expiresAt).toBe('2027-01-31T00:00:00.000Z');
  });

  test.each([
    ['no list', 'none', 'none', ''],
    ['another scope', { ...record, scopes: ['root'] }, 'scopes.0', ''],
    ['no scope', { ...record, scopes: [] }, 'scopes', ''],
    ['a short hash', { ...record, sha256: 'abc' }, 'sha256', 'abc'],
    ['a key for its hash', { ...record, sha256: 'scl_secret' }, 'sha256', 'scl_secret'],
    ['a negative rate', { ...record, perSecond: -1 }, 'perSecond', ''],
    ['a burst without a rate', { ...record, burst: 5 }, 'burst', ''],
    ['a time that is none', { ...record, expiresAt: 'soon' }, 'expiresAt', 'soon'],
    ['a field that is none', { ...record, expires: 'never' }, 'expires', ''],
    ['a name with control characters', { ...record, name: 'a\u0007b' }, 'name', ''],
  ])(
    'may not have %s, and the fault names the field, not its value',
    (_w, value, field, secret) => {
      let fault = '';
      try {
        parseApiKeyRecord(value);
      } catch (thrown) {
        fault = describeFault(thrown);
      }
      expect(fault).not.toBe('');
      if (field !== 'none') expect(fault).toContain(field);
      if (secret !== '') expect(fault).not.toContain(secret);
    },
  );
});
