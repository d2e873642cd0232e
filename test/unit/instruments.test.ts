import { expect, test } from 'vitest';
import { makeDepartures } from '../../shared/metrics/departures.js';
import { Instruments } from '../../shared/metrics/instruments.js';
import { parseMetrics } from '../../top/exposition.js';

const name = 'scoreline_drain_seconds';
const labels = { model: 'a', version: '1' };

test('a gauge whose value becomes unknown disappears, and comes back', async () => {
  const instruments = new Instruments('api');
  let known: number | undefined;
  instruments.read('drainSeconds', () => (known === undefined ? [] : [[labels, known]]));
  const read = async () => parseMetrics((await instruments.expose()).text).get(name)?.samples;
  expect(await read()).toEqual([]);
  known = 0;
  expect(await read()).toEqual([{ name, labels, value: 0 }]);
  known = undefined;
  expect(await read()).toEqual([]);
  known = 2.5;
  expect(await read()).toEqual([{ name, labels, value: 2.5 }]);
});

test('a gauge without labels is absent, too, until its value is known', async () => {
  const instruments = new Instruments('api');
  const gauge = 'scoreline_redis_memory_max_bytes';
  const read = async () => parseMetrics((await instruments.expose()).text).get(gauge)?.samples;
  expect(await read()).toEqual([]);
  let known: number | undefined = 5;
  instruments.read('redisMemoryMaxBytes', () => (known === undefined ? [] : [[{}, known]]));
  expect(await read()).toMatchObject([{ labels: {}, value: 5 }]);
  known = undefined;
  expect(await read()).toEqual([]);
});

test('the series of a version that has left end, unless it has come back', async () => {
  const instruments = new Instruments('api');
  const versions = ['1', '2', '3'].map((version) => ({ name: 'a', version }));
  for (const { name: model, version } of versions) {
    instruments.add('requests', { model, version, route: 'native', code: 'ok' });
    instruments.observe('requestSeconds', { model, version }, 0.1);
  }
  const leave = makeDepartures(instruments, () => [{ name: 'a', version: '2' }], 0);
  for (const version of versions.slice(0, 2)) leave(version);
  const versionsIn = async (key: 'requests' | 'requestSeconds') =>
    (await instruments.seriesOf(key)).map(({ labels }) => labels.version);
  await expect.poll(() => versionsIn('requests')).toEqual(['2', '3']);
  await expect.poll(() => versionsIn('requestSeconds')).toEqual(['2', '3']);
  const { text } = await instruments.expose('openmetrics');
  expect(text).not.toContain('version="1"');
});

test('a histogram that begins again keeps what it has, unless its version was forgotten', async () => {
  const instruments = new Instruments('api');
  const labels = { model: 'a', version: '1' };
  const count = async () =>
    /request_duration_seconds_count\{.*\} (\d+)/.exec((await instruments.expose()).text)?.[1];
  instruments.begin('requestSeconds', labels);
  instruments.observe('requestSeconds', labels, 1);
  instruments.begin('requestSeconds', labels);
  expect(await count()).toBe('1');
  await instruments.forget(labels);
  expect(await count()).toBeUndefined();
  instruments.begin('requestSeconds', labels);
  expect(await count()).toBe('0');
});

test('a role has no instruments of the other', async () => {
  const families = parseMetrics((await new Instruments('worker').expose()).text);
  expect(families.has('scoreline_items_total')).toBe(true);
  expect(families.has('scoreline_requests_total')).toBe(false);
});

test('text from manifests cannot break the format', async () => {
  const instruments = new Instruments('worker');
  const text = 'a"b\\c\nd';
  instruments.add('recovered', { model: text, version: '1' });
  const { text: exposed } = await instruments.expose();
  expect(exposed).toContain('{model="a\\"b\\\\c\\nd",version="1"} 1\n');
});
