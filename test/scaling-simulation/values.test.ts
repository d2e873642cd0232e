// Tests what a file of values for the scaling simulation may say, and what is said about one that is wrong.

import path from 'node:path';
import { expect, test } from 'vitest';
import { readSimulationValues } from '../../simulate/values.js';
import { errorOf, makeFolder } from '../unit/sample-model.js';
import { goodValues } from './sample-values.js';

function read(values: object) {
  const folder = makeFolder({ 'values.yaml': values });
  return readSimulationValues(path.join(folder, 'values.yaml'));
}

const { pools, models, scenarios } = goodValues;
const { pricePerHour: _price, ...unpriced } = pools.cpu;
const { batchMs: _times, ...untimed } = models.small;
const withLoad = (load: object) => ({ scenarios: { only: { model: 'small', load } } });
const withPoints = (...points: [number, number][]) =>
  withLoad({ points: points.map(([atSeconds, perSecond]) => ({ atSeconds, perSecond })) });

test('reads shapes, points and clients', () => {
  const load = (given: object) => read({ ...goodValues, ...withLoad(given) }).scenarios.only?.load;
  expect(load({ shape: 'steady', perSecond: 5 })).toMatchObject({ kind: 'points' });
  expect(load({ clients: 4, seconds: 60 })).toMatchObject({ kind: 'clients', quietSeconds: 0 });
  const points = [
    { atSeconds: 0, perSecond: 1 },
    { atSeconds: 60, perSecond: 1 },
    { atSeconds: 60, perSecond: 9 },
    { atSeconds: 90, perSecond: 0 },
  ];
  expect(load({ points })).toEqual({ kind: 'points', points });
});

test.each([
  [
    'a price is missing',
    { pools: { cpu: unpriced } },
    /pools\.cpu\.pricePerHour: expected the price of a machine for an hour.*got nothing/,
  ],
  [
    'a price is negative',
    { pools: { cpu: { ...pools.cpu, pricePerHour: -1 } } },
    /pools\.cpu\.pricePerHour: .*got -1/,
  ],
  [
    'a price is a text',
    { pools: { cpu: { ...pools.cpu, pricePerHour: '0.19 USD' } } },
    /pricePerHour: expected the price.*got "0.19 USD"/,
  ],
  [
    'there is no pool with GPUs for a model on one',
    { models: { small: { ...models.small, device: 'gpu' } } },
    /pools\.gpu: expected a pool, because small needs a gpu; got nothing/,
  ],
  [
    'a pool has a key that is not known',
    { pools: { cpu: { ...pools.cpu, spot: true } } },
    /pools\.cpu\.spot: /,
  ],
  [
    'a pool has fewer machines at most than at least',
    { pools: { cpu: { ...pools.cpu, nodesMin: 9 } } },
    /pools\.cpu\.nodesMax: expected nodesMin <= nodesMax/,
  ],
  [
    'batch times are missing',
    { models: { small: untimed } },
    /models\.small\.batchMs: expected the time of a batch by its size.*got nothing/,
  ],
  [
    'batch times are empty',
    { models: { small: { ...models.small, batchMs: {} } } },
    /models\.small\.batchMs: expected the time of a batch of 1/,
  ],
  [
    'a batch time is zero',
    { models: { small: { ...models.small, batchMs: { 1: 0 } } } },
    /models\.small\.batchMs\.1: .*got 0/,
  ],
  [
    'a batch size is none',
    { models: { small: { ...models.small, batchMs: { 1: 4, many: 9 } } } },
    /models\.small\.batchMs\.many: expected a batch size/,
  ],
  [
    'scaling is wrong',
    { models: { small: { ...models.small, scaling: { min: 5, max: 2 } } } },
    /models\.small\.scaling: expected min <= max/,
  ],
  [
    'a rate is negative',
    withPoints([0, 5], [60, -1]),
    /load\.points\.1\.perSecond: expected items a second, 0 or more; got -1/,
  ],
  [
    'times are out of order',
    withPoints([0, 5], [60, 5], [30, 5]),
    /load\.points\.2\.atSeconds: expected a time no earlier than that of the point before it, 60; got 30/,
  ],
  [
    'the first point is not the beginning',
    withPoints([5, 5], [60, 5]),
    /load\.points\.0\.atSeconds: expected 0, the beginning; got 5/,
  ],
  ['there is one point', withPoints([0, 5]), /load\.points: expected at least two points/],
  [
    'all points are at the beginning',
    withPoints([0, 5], [0, 6]),
    /load\.points: expected a time after 0/,
  ],
  [
    'a shape is unknown',
    withLoad({ shape: 'square', perSecond: 5 }),
    /load\.shape: .*got "square"/,
  ],
  [
    'a shape has no peak',
    withLoad({ shape: 'day' }),
    /load: expected either shape and perSecond, or points, or clients/,
  ],
  [
    'a load is two things',
    withLoad({ shape: 'day', perSecond: 5, clients: 3, seconds: 9 }),
    /load: expected either shape and perSecond/,
  ],
  ['a load is nothing', withLoad({}), /load: expected either shape and perSecond/],
  [
    'a load is larger than anybody waits for',
    withLoad({ shape: 'day', perSecond: 1_000_000 }),
    /load: expected at most 20000000 items in all/,
  ],
  [
    'a scenario names no model',
    { scenarios: { only: { ...scenarios.only, model: 'nobody' } } },
    /scenarios\.only\.model: expected one of the models, small; got "nobody"/,
  ],
  ['there is no scenario', { scenarios: {} }, /scenarios: expected at least one scenario/],
  [
    'there is a schedule, which is not simulated',
    {
      models: {
        small: {
          ...models.small,
          scaling: { schedule: [{ from: '08:00', to: '18:00', timezone: 'UTC', workers: 1 }] },
        },
      },
    },
    /models\.small\.scaling\.schedule: expected none/,
  ],
  [
    'a load is longer than a month',
    withPoints([0, 0], [1e10, 0]),
    /load\.points\.1\.atSeconds: expected at most 2678400 seconds/,
  ],
  [
    'clients are too many',
    withLoad({ clients: 1_000_000_000, seconds: 5 }),
    /load\.clients: .*got 1000000000/,
  ],
  [
    'clients ask for too many items',
    withLoad({ clients: 5000, seconds: 100_000 }),
    /only\.load: expected at most 20000000 items in all; these may be \d+/,
  ],
  [
    'an eviction comes after the end',
    { scenarios: { only: { ...scenarios.only, evictionsAtSeconds: [5000] } } },
    /scenarios\.only\.evictionsAtSeconds: expected times before the end, 3600; got \[5000\]/,
  ],
])('says what was expected if %s', (_name, change, expected) => {
  const error = errorOf(() => read({ ...goodValues, ...change }));
  expect(error.code).toBe('configuration_invalid');
  expect(error.message).toMatch(expected);
  expect(error.message).toContain('values.yaml: line ');
});

test('reports all faults together', () => {
  const { message } = errorOf(() =>
    read({ ...goodValues, pools: { cpu: unpriced }, models: { small: untimed } }),
  );
  expect(message.split('\n')).toHaveLength(2);
});
