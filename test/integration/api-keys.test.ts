// API keys in a real Redis and in a file, and how a process learns that they have changed.

import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dump as toYaml } from 'js-yaml';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { hashApiKey, makeApiKey, makeApiKeyId } from '../../api/access/api-key.js';
import { readApiKeyFile } from '../../api/access/api-key-file.js';
import type { ApiKeyRecord } from '../../api/access/api-key-record.js';
import { ApiKeyRing } from '../../api/access/api-key-ring.js';
import {
  type ApiKeyOrigin,
  openApiKeySource,
  originInFile,
  originInRedis,
} from '../../api/access/api-key-source.js';
import { ApiKeyStore } from '../../api/access/api-key-store.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { explain } from '../../shared/redis/redis.js';
import { openRedis, openRedisForAll, waitUntil } from '../harness.js';
import { errorOf, makeFolder } from '../unit/sample-model.js';

const keys = makeKeys('api-keys');
const redis = await openRedisForAll();
const store = new ApiKeyStore(redis.client, keys);

beforeEach(async () => {
  await redis.client.flushall();
});

function makeRecord(changes: Partial<ApiKeyRecord> = {}): { key: string; record: ApiKeyRecord } {
  const id = makeApiKeyId();
  const key = makeApiKey(id);
  const sha256 = hashApiKey(key).toString('hex');
  return { key, record: { id, name: 'billing', sha256, scopes: ['score'], ...changes } };
}

/** Opens a ring that follows an origin, and collects what is logged. */
async function openRing(origin: (log: pino.Logger) => ApiKeyOrigin) {
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => void logged.push(JSON.parse(line).msg) });
  const ring = new ApiKeyRing(undefined);
  const source = await openApiKeySource({ ring, origin: origin(log), store, log });
  onTestFinished(() => source.close());
  const knows = (key: string) => {
    try {
      return ring.find(key).scopes;
    } catch {
      return undefined;
    }
  };
  return { ring, source, logged, knows };
}

const followRedis = () => openRing((log) => originInRedis(store, log));

describe('keys in Redis', () => {
  test('hold no secret', async () => {
    const { key, record } = makeRecord();
    await store.write(record);
    const kept = JSON.stringify(await redis.client.hgetall(keys.apiKeys));
    expect(kept).toContain(record.id);
    expect(kept).not.toContain(key.slice(15));
    expect((await store.read()).records).toEqual([record]);
  });

  test('are known to every process soon, when they are made, changed and revoked', async () => {
    const rings = [await followRedis(), await followRedis()];
    const { key, record } = makeRecord();
    await store.write(record);
    for (const { knows } of rings) await waitUntil('the key is known', () => !!knows(key));
    await store.write({ ...record, scopes: ['admin'] });
    for (const { knows } of rings) {
      await waitUntil('the change is known', () => knows(key)?.[0] === 'admin');
    }
    await store.remove(record.id);
    for (const { knows } of rings) await waitUntil('the key is not known', () => !knows(key));
    expect(rings[0]?.logged).toContain('there are no API keys any more; nobody gets in with one');
  });

  test('keep each of several changes at a time, and stay revoked', async () => {
    const { record } = makeRecord({ previous: [] });
    await store.write(record);
    const rotate = (name: string) =>
      store.update(record.id, ({ previous = [], ...rest }) => {
        const former = { sha256: hashApiKey(name).toString('hex'), until: '2100-01-01T00:00:00Z' };
        return { ...rest, previous: [...previous, former] };
      });
    await Promise.all(['one', 'two', 'three'].map(rotate));
    expect((await store.read()).records[0]?.previous).toHaveLength(3);

    const results = await Promise.allSettled([
      rotate('four'),
      store.remove(record.id),
      rotate('five'),
    ]);
    expect(results.at(-1)).toMatchObject({ reason: { code: 'key_unknown' } });
    expect((await store.read()).records).toEqual([]);
  });

  test('can be changed if they name a model that is not UTF-8', async () => {
    const { record } = makeRecord({ models: ['caf#'] });
    const bytes = Buffer.from(JSON.stringify(record).replace('caf#', 'caf\u00e9'), 'latin1');
    await redis.client.hset(keys.apiKeys, record.id, bytes);
    await store.update(record.id, (found) => ({ ...found, scopes: ['admin'] }));
    const [changed] = (await store.read()).records;
    expect(changed).toEqual({ ...record, models: ['caf\ufffd'], scopes: ['admin'] });
    await store.remove(record.id);
  });

  test('cannot be revoked when there are none with the id', async () => {
    await expect(store.remove('nothing')).rejects.toMatchObject({ code: 'key_unknown' });
  });

  test('count as they were while Redis is away, and as they are when it is back', async () => {
    const own = await openRedis();
    onTestFinished(() => own.close());
    const ownStore = new ApiKeyStore(own.client, keys);
    const [first, second] = [makeRecord(), makeRecord()];
    await ownStore.write(first.record);
    const { knows, logged } = await openRing((log) => originInRedis(ownStore, log));
    await own.stop();
    await waitUntil('the fault is logged', () =>
      logged.includes('the API keys cannot be read; the last known ones count'),
    );
    expect(knows(first.key)).toEqual(['score']);
    await own.start();
    await waitUntil('it is over', () => logged.includes('the API keys can be read again'));
    await ownStore.write(second.record);
    await ownStore.remove(first.record.id);
    await waitUntil('the changes are known', () => !!knows(second.key) && !knows(first.key));
    const faults = logged.filter((line) => line.startsWith('the API keys cannot be read'));
    expect(faults).toHaveLength(1);
  });

  test('are gone when Redis has lost them', async () => {
    const { key, record } = makeRecord();
    await store.write(record);
    const { knows } = await followRedis();
    expect(knows(key)).toEqual(['score']);
    await redis.client.flushall();
    await waitUntil('the loss is known', () => !knows(key));
  });

  test('are the new ones when Redis has lost the old ones and has others at once', async () => {
    const [former, next] = [makeRecord(), makeRecord()];
    await store.write(former.record);
    const { knows } = await followRedis();
    await Promise.all([redis.client.flushall(), store.write(next.record)]);
    await waitUntil('the new key is known', () => !!knows(next.key) && !knows(former.key));
  });

  test('that cannot be read are left out, and the log says why', async () => {
    const { key, record } = makeRecord();
    await store.write(record);
    await redis.client.hset(keys.apiKeys, 'damaged', '{"id":');
    await redis.client.hset(keys.apiKeys, 'foreign', '{"id":"foreign"}');
    const { knows, logged } = await followRedis();
    expect(knows(key)).toEqual(['score']);
    const left = 'the record of an API key cannot be read; the key is not valid';
    expect(logged).toEqual([left, left]);
  });

  test('can be revoked while Redis is full, and the reason is told why others cannot be made', async () => {
    const [first, second] = [makeRecord(), makeRecord()];
    for (const { record } of [first, second]) await store.write(record);
    const { knows } = await followRedis();
    await redis.client.config('SET', 'maxmemory', '1');
    onTestFinished(async () => void (await redis.client.config('SET', 'maxmemory', '0')));
    for (const { key, record } of [first, second]) {
      expect(knows(key)).toEqual(['score']);
      await store.remove(record.id);
      await waitUntil('the key is not known', () => !knows(key));
    }
    expect(await store.write(first.record).catch(explain)).toEqual({
      reason: expect.stringMatching(/^OOM/),
      advice: expect.stringContaining('memory of Redis is full'),
    });
    expect((await store.read()).records).toEqual([]);
  });

  test('have a last use, which is kept now and then, not for each request', async () => {
    const { key, record } = makeRecord();
    await store.write(record);
    const { ring, source } = await followRedis();
    await redis.client.config('RESETSTAT');
    const before = Date.now();
    for (let count = 0; count < 1000; count++) ring.find(key);
    await source.close();
    const uses = await store.readUses();
    expect(uses.get(record.id)).toBeGreaterThanOrEqual(before);
    expect(uses.get(record.id)).toBeLessThanOrEqual(Date.now());
    const stats = await redis.client.info('commandstats');
    expect(Number(/cmdstat_zadd:calls=(\d+)/.exec(stats)?.[1])).toBe(1);
    await store.remove(record.id);
    expect((await store.readUses()).size).toBe(0);
  });

  test('have a last use that is kept later if Redis is away', async () => {
    vi.useFakeTimers({ toFake: ['setInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { key, record } = makeRecord();
    await store.write(record);
    const writeUses = vi.spyOn(store, 'writeUses').mockRejectedValueOnce(new Error('away'));
    const { ring, source } = await followRedis();
    ring.find(key);
    vi.advanceTimersByTime(10_000);
    expect(writeUses).toHaveBeenCalledOnce();
    await source.close();
    expect([...(await store.readUses()).keys()]).toEqual([record.id]);
  });

  test('have the latest use of all processes, in whatever order these keep them', async () => {
    const [one, other] = ['one', 'other'];
    await store.writeUses(new Map([[one, 2]]));
    await store.writeUses(
      new Map([
        [one, 1],
        [other, 3],
      ]),
    );
    await store.writeUses(new Map());
    expect([...(await store.readUses())]).toEqual([
      [one, 2],
      [other, 3],
    ]);
  });
});

describe('keys in a file', () => {
  const openFile = (content: unknown) => {
    const directory = makeFolder({});
    const file = path.join(directory, 'keys.yaml');
    const write = (next: unknown) =>
      writeFileSync(file, typeof next === 'string' ? next : toYaml(next));
    write(content);
    return { directory, file, write };
  };

  test('are read, in YAML or JSON', () => {
    const { record } = makeRecord({ expiresAt: '2027-01-31T00:00:00.000Z' });
    const { file, write } = openFile([record]);
    expect(readApiKeyFile(file)).toEqual([record]);
    write(JSON.stringify([record]));
    expect(readApiKeyFile(file)).toEqual([record]);
    write('[]');
    expect(readApiKeyFile(file)).toEqual([]);
  });

  test('are known soon when the file changes, as it does in a mounted Secret', async () => {
    const [first, second] = [makeRecord(), makeRecord()];
    const { directory } = openFile('');
    // Kubernetes keeps the files in a folder of their own, and moves one link to the next folder.
    const version = (name: string, records: ApiKeyRecord[]) => {
      mkdirSync(path.join(directory, name));
      writeFileSync(path.join(directory, name, 'keys'), toYaml(records));
      symlinkSync(name, path.join(directory, 'next'));
      renameSync(path.join(directory, 'next'), path.join(directory, 'data'));
    };
    version('one', [first.record]);
    const { knows } = await openRing(() => originInFile(path.join(directory, 'data', 'keys')));
    expect(knows(first.key)).toEqual(['score']);
    version('two', [second.record]);
    await waitUntil('the change is known', () => !!knows(second.key) && !knows(first.key));
  });

  test('count only once the file is whole, since a part of a record may allow more', async () => {
    const { record } = makeRecord({
      models: ['faq-matcher'],
      expiresAt: '2027-01-31T00:00:00.000Z',
    });
    const [begun = '', rest = ''] = toYaml([record]).split(/^(?= +models)/m);
    const { file } = openFile(begun);
    const reading = originInFile(file).read();
    appendFileSync(file, rest);
    expect((await reading).records).toEqual([record]);
  });

  test('count as they were while the file is faulty', async () => {
    const { key, record } = makeRecord();
    const { file, write } = openFile([record]);
    const { knows, logged } = await openRing(() => originInFile(file));
    write('- id: [');
    await waitUntil('the fault is logged', () =>
      logged.some((line) => line.includes('last known')),
    );
    expect(knows(key)).toEqual(['score']);
    const faults = () => logged.filter((line) => line.includes('last known'));
    // Who mends it in steps is told of each fault.
    rmSync(file);
    await waitUntil('the second fault is logged', () => faults().length === 2);
    write([]);
    await waitUntil('the mended file counts', () => !knows(key));
  });

  test.each([
    ['no list', 'keys: 1', 'expected a list of records'],
    ['broken YAML', '- [', 'expected a file in YAML'],
    ['nothing', '', 'got one with a fault: expected a document'],
    ['a faulty record', [{ id: 'short' }], 'a fault in record 1: id'],
    ['a scope that is none', [{ ...makeRecord().record, scopes: ['all'] }], 'scopes.0'],
  ])('are refused with %s', (_what, content, expected) => {
    const { file } = openFile(content);
    const error = errorOf(() => readApiKeyFile(file));
    expect(error.code).toBe('configuration_invalid');
    expect(error.message).toMatch(/^KEYS_FILE: /);
    expect(error.message).toContain(expected);
  });

  test('are refused with two records of one id or one key, since one would count and the other not', () => {
    const [{ record }, { record: other }] = [makeRecord(), makeRecord()];
    const { sha256 } = record;
    const former = { sha256, until: '2027-01-31T00:00:00.000Z' };
    const ids = `${record.id} and ${other.id}`;
    for (const [second, expected] of [
      [record, `two for ${record.id}`],
      [{ ...other, sha256 }, `one for ${ids}`],
      [{ ...other, previous: [former] }, `one for ${ids}`],
    ] as const) {
      const { file } = openFile([record, second]);
      expect(errorOf(() => readApiKeyFile(file)).message).toContain(expected);
    }
  });

  test('are refused without a file to read', () => {
    const { directory } = openFile('');
    expect(errorOf(() => readApiKeyFile('/dev/null')).message).toContain('is a pipe, a device');
    const missing = path.join(directory, 'missing');
    expect(errorOf(() => readApiKeyFile(missing)).message).toContain('ENOENT');
  });
});
