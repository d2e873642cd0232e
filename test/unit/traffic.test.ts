import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { choose, latestOf, readTraffic, shareIn, splitOf } from '../../shared/registry/traffic.js';
import { compareVersions } from '../../shared/registry/version-order.js';
import { errorOf, makeFolder } from './sample-model.js';

const versions = ['3', '2', '1'].map((version) => ({ version }));
const [three, two, one] = versions;

test('versions are ordered by their numbers, the newest first', () => {
  const given = ['1.9', '10', '1.10', '9', '2024-01-02', '2024-01-10'];
  expect(given.toSorted(compareVersions)).toEqual([
    ...['2024-01-10', '2024-01-02', '10', '9', '1.10', '1.9'],
  ]);
});

describe('the latest version', () => {
  test('is the newest one that is no shadow, unless the file names another', () => {
    expect(latestOf(versions, {})).toBe(three);
    expect(latestOf(versions, { shadow: { version: '3', percent: 100 } })).toBe(two);
    expect(latestOf(versions, { latest: '1' })).toBe(one);
  });

  test('is one of those with a weight, also if it is the only one', () => {
    expect(latestOf(versions, { weights: { 1: 100, 2: 0 } })).toBe(one);
    expect(latestOf(versions, { weights: { 1: 100 } })).toBe(one);
    expect(latestOf(versions, { weights: { 1: 90, 2: 10 } })).toBe(two);
    expect(latestOf(versions, { weights: { 1: 90, 2: 10 }, latest: '1' })).toBe(one);
    expect(latestOf([three, one] as typeof versions, { weights: { 1: 90, 2: 10 } })).toBe(one);
  });

  test('stays the one that it was while none that the file names can be served', () => {
    expect(latestOf(versions, { latest: '4' }, '1')).toBe(one);
    expect(latestOf(versions, { weights: { 4: 1 } }, '1')).toBe(one);
  });

  test('is never one that the file does not let answer, nor a shadow', () => {
    const shadow = { version: '3', percent: 100 };
    expect(latestOf(versions, { latest: '4' })).toBeUndefined();
    expect(latestOf(versions, { weights: { 4: 1 } })).toBeUndefined();
    expect(latestOf(versions, { latest: '4', shadow }, '3')).toBeUndefined();
    expect(latestOf(versions.slice(0, 1), { shadow })).toBeUndefined();
  });
});

describe('a split', () => {
  const weights = { 1: 90, 2: 10 };

  test('shares requests by the weights', () => {
    const split = splitOf(versions, { weights });
    const counts = new Map<unknown, number>();
    for (let at = 0; at < 10_000; at++) {
      const model = choose(split as NonNullable<typeof split>, undefined);
      counts.set(model, (counts.get(model) ?? 0) + 1);
    }
    expect(counts.get(two)).toBeGreaterThan(800);
    expect(counts.get(two)).toBeLessThan(1200);
    expect(counts.get(three)).toBeUndefined();
    expect([three, two, one].map((each) => shareIn(split, each as never))).toEqual([
      ...[0, 0.1, 0.9],
    ]);
  });

  test('gives the same version to the same value, evenly over values, and keeps it while a canary grows', () => {
    const small = splitOf(versions, { weights }) as NonNullable<ReturnType<typeof splitOf>>;
    const large = splitOf(versions, { weights: { 1: 60, 2: 40 } }) as typeof small;
    const users = Array.from({ length: 5000 }, (_, at) => `user-${at}`);
    const early = users.filter((user) => choose(small, user) === two);
    expect(early.length).toBeGreaterThan(400);
    expect(early.length).toBeLessThan(600);
    expect(early.every((user) => choose(large, user) === two)).toBe(true);
    const chooseAll = () => users.map((user) => choose(small, user));
    expect(chooseAll()).toEqual(chooseAll());
    const named = ['b', 'a'].map((version) => ({ version }));
    const texts = splitOf(named, { weights: { b: 10, a: 90 } });
    expect(texts?.parts.map(({ model }) => model.version)).toEqual(['a', 'b']);
  });

  test('is none if all requests go to one version', () => {
    expect(splitOf(versions, {})).toBeUndefined();
    expect(splitOf(versions, { weights: { 1: 100, 2: 0 } })).toBeUndefined();
    expect(splitOf(versions.slice(0, 2), { weights })).toBeUndefined();
  });
});

describe('a traffic.yaml', () => {
  const read = (traffic: unknown) =>
    readTraffic(path.join(makeFolder({ 'a/traffic.yaml': traffic }), 'a'), ['1', '2']);

  test('may be missing', () => {
    expect(readTraffic(makeFolder({}), ['1'])).toEqual({});
  });

  test.each([
    [
      'weights:\n  1.10: 90',
      'line 2: weights.1.10: expected quotes around this key, "1.10"',
      '1.1',
    ],
    ['weights: {010: 90}', 'line 1: weights.010: expected quotes around this key, "010"', '10'],
  ])('with the key in %j is refused, since YAML reads another version', (text, beginning, end) => {
    const folder = makeFolder({ 'a/traffic.yaml': text });
    const known = ['1.10', '1.1', '010', '10'];
    const { message } = errorOf(() => readTraffic(path.join(folder, 'a'), known));
    expect(message).toContain(beginning);
    expect(message).toMatch(new RegExp(`which YAML reads as ${end}$`));
    const quoted = makeFolder({ 'a/traffic.yaml': 'weights: {"1.10": 90, 010a: 1, 10: 1}' });
    expect(readTraffic(path.join(quoted, 'a'), ['1.10', '010a', '10']).weights).toEqual({
      ...{ '1.10': 90, '010a': 1, 10: 1 },
    });
  });

  test.each([
    ['latest: 010', 'latest', '"010"; got 010, which YAML reads as 10'],
    ['latest: 1e1', 'latest', '"1e1"; got 1e1, which YAML reads as 10'],
    ['shadow: {version: 0xA}', 'shadow.version', '"0xA"; got 0xA, which YAML reads as 10'],
    ['latest: 1.10', 'latest', '"1.10"; got 1.10, which YAML reads as 1.1'],
  ])('with the value in %j is refused, since YAML reads another version', (text, key, end) => {
    const folder = makeFolder({ 'a/traffic.yaml': text });
    const known = ['1.10', '1.1', '010', '10', '1e1', '0xA'];
    const { message } = errorOf(() => readTraffic(path.join(folder, 'a'), known));
    expect(message).toContain(`line 1: ${key}: expected quotes around this value, ${end}`);
  });

  test('names versions as numbers or texts, and a header in any case', () => {
    expect(read({ latest: 2, weights: { 1: 1, 2: 1 }, sticky: { header: 'X-User' } })).toEqual({
      ...{ latest: '2', weights: { 1: 1, 2: 1 } },
      sticky: { header: 'x-user' },
    });
  });

  test.each([
    [{ latest: 3 }, 'latest: expected one of the versions in', '1, 2; got 3'],
    [{ weights: { 3: 1 } }, 'weights.3: expected one of the versions in', '1, 2'],
    [{ shadow: { version: 3 } }, 'shadow.version: expected one of the versions in', '1, 2'],
    [{ weights: { 1: 0 } }, 'weights: expected a weight above 0 for one version at least', ''],
    [{ weights: { 1: -1 } }, 'weights.1: ', 'got -1'],
    [{ shadow: { version: 2 }, weights: { 2: 1 } }, 'shadow.version: expected a version with', ''],
    [{ shadow: { version: 2 }, latest: 2 }, 'shadow.version: expected another version', ''],
    [{ sticky: { header: 'a b' } }, 'sticky.header: expected the name of a header', '"a b"'],
    [{ weight: { 1: 1 } }, 'weight: ', 'traffic.yaml'],
  ])('with %j is refused, and the error says why', (traffic, beginning, end) => {
    const { code, message } = errorOf(() => read(traffic));
    expect(code).toBe('manifest_invalid');
    expect(message).toContain(beginning);
    expect(message).toContain(end);
  });
});
