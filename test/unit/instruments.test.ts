import { expect, test } from 'vitest';
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
