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

/** Messages, and the changes that bring them. */
const wrong: Record<string, object> = {
  'pools.cpu.pricePerHour: expected the price of a machine for an hour; 0 if it costs nothing; got nothing':
    { pools: { cpu: unpriced } },
  'pools.cpu.pricePerHour: expected the price of a machine for an hour; 0 if it costs nothing; got -1':
    { pools: { cpu: { ...pools.cpu, pricePerHour: -1 } } },
  'pools.cpu.pricePerHour: expected the price of a machine for an hour; 0 if it costs nothing; got "0.19 USD"':
    { pools: { cpu: { ...pools.cpu, pricePerHour: '0.19 USD' } } },
  'pools.gpu: expected a pool, because small needs a gpu; got nothing': {
    models: { small: { ...models.small, device: 'gpu' } },
  },
  'pools.cpu.spot: expected one of the keys pricePerHour, workersPerNode, startSeconds, idleSeconds, nodesMin, nodesMax; got true':
    {
      pools: { cpu: { ...pools.cpu, spot: true } },
    },
  'pools.cpu.nodesMax: expected nodesMin <= nodesMax; got 4': {
    pools: { cpu: { ...pools.cpu, nodesMin: 9 } },
  },
  'models.small.batchMs: expected the time of a batch by its size, in milliseconds, such as { 1: 12, 16: 140 }; got nothing':
    { models: { small: untimed } },
  'models.small.batchMs: expected the time of a batch of 1 and of the largest batch, and of sizes between; got {}':
    { models: { small: { ...models.small, batchMs: {} } } },
  'models.small.batchMs.1: expected milliseconds; got 0': {
    models: { small: { ...models.small, batchMs: { 1: 0 } } },
  },
  'models.small.batchMs.many: expected a batch size, a whole number from 1 to 99999; got 9': {
    models: { small: { ...models.small, batchMs: { 1: 4, many: 9 } } },
  },
  'models.small.scaling: expected min <= max; got {"min":5,"max":2}': {
    models: { small: { ...models.small, scaling: { min: 5, max: 2 } } },
  },
  'scenarios.only.load.points.1.perSecond: expected items a second, 0 or more; got -1': withPoints(
    [0, 5],
    [60, -1],
  ),
  'scenarios.only.load.points.2.atSeconds: expected a time no earlier than that of the point before it, 60; got 30':
    withPoints([0, 5], [60, 5], [30, 5]),
  'scenarios.only.load.points.0.atSeconds: expected 0, the beginning; got 5': withPoints(
    [5, 5],
    [60, 5],
  ),
  'scenarios.only.load.points: expected at least two points; got [{"atSeconds":0,"perSecond":5}]':
    withPoints([0, 5]),
  'scenarios.only.load.points: expected a time after 0; got [{"atSeconds":0,"perSecond":5},{"atSeconds":0,"perSecond":6}]':
    withPoints([0, 5], [0, 6]),
  'scenarios.only.load.shape: expected one of "steady", "burst", "day", "visits"; got "square"':
    withLoad({ shape: 'square', perSecond: 5 }),
  'scenarios.only.load: expected either shape and perSecond, or points, or clients and seconds (and quietSeconds); got {"shape":"day"}':
    withLoad({ shape: 'day' }),
  'scenarios.only.load: expected either shape and perSecond, or points, or clients and seconds (and quietSeconds); got {"shape":"day","perSecond":5,"clients":3,"seconds":9}':
    withLoad({ shape: 'day', perSecond: 5, clients: 3, seconds: 9 }),
  'scenarios.only.load: expected either shape and perSecond, or points, or clients and seconds (and quietSeconds); got {}':
    withLoad({}),
  'scenarios.only.load: expected at most 20000000 items in all; these may be 34245000000; got {"shape":"day","perSecond":1000000}':
    withLoad({ shape: 'day', perSecond: 1_000_000 }),
  'scenarios.only.model: expected one of the models, small; got "nobody"': {
    scenarios: { only: { ...scenarios.only, model: 'nobody' } },
  },
  'scenarios: expected at least one scenario; got {}': { scenarios: {} },
  'models.small.scaling.schedule: expected none, because schedules are not simulated; got [{"from":"08:00","to":"18:00","timezone":"UTC","workers":1}]':
    {
      models: {
        small: {
          ...models.small,
          scaling: { schedule: [{ from: '08:00', to: '18:00', timezone: 'UTC', workers: 1 }] },
        },
      },
    },
  'scenarios.only.load.points.1.atSeconds: expected at most 2678400 seconds, a month; got 10000000000':
    withPoints([0, 0], [1e10, 0]),
  'scenarios.only.load.clients: expected a number, at most 10000; got 1000000000': withLoad({
    clients: 1_000_000_000,
    seconds: 5,
  }),
  'scenarios.only.load: expected at most 20000000 items in all; these may be 560000000; got {"clients":5000,"seconds":100000}':
    withLoad({ clients: 5000, seconds: 100_000 }),
  'scenarios.only.evictionsAtSeconds: expected times before the end, 3600; got [5000]': {
    scenarios: { only: { ...scenarios.only, evictionsAtSeconds: [5000] } },
  },
};

test.each(Object.entries(wrong))('refuses values: %s', (message, change) => {
  const error = errorOf(() => read({ ...goodValues, ...change }));
  expect(error.code).toBe('configuration_invalid');
  const lines = error.message
    .split('\n')
    .map((line) => line.replace(/^.*values\.yaml: line 1: /, ''));
  expect(lines).toContain(message);
});

test('reports all faults together', () => {
  const { message } = errorOf(() =>
    read({ ...goodValues, pools: { cpu: unpriced }, models: { small: untimed } }),
  );
  expect(message.split('\n')).toHaveLength(2);
});
