// Tests whole scenarios of the scaling simulation.

import { describe, expect, test } from 'vitest';
import { makeBatchTime } from '../../simulate/batch-time.js';
import { Events } from '../../simulate/events.js';
import type { Outcome } from '../../simulate/outcome.js';
import { drawPlot } from '../../simulate/plot.js';
import { Pool } from '../../simulate/pool.js';
import { simulate } from '../../simulate/simulation.js';
import { valuesSchema } from '../../simulate/values.js';
import { goodValues } from './sample-values.js';

const { pools, models } = goodValues;
const steady = (perSecond: number, seconds: number, quietSeconds = 0) => ({
  points: [
    { atSeconds: 0, perSecond },
    { atSeconds: seconds, perSecond },
    { atSeconds: seconds, perSecond: 0 },
    { atSeconds: seconds + quietSeconds, perSecond: 0 },
  ],
});

interface Change {
  readonly pool?: object;
  readonly model?: object;
  readonly scaling?: object;
  readonly others?: object;
}

function run(scenario: object, { pool, model, scaling, others }: Change = {}) {
  const values = valuesSchema.parse({
    pools: { cpu: { ...pools.cpu, ...pool } },
    models: {
      small: { ...models.small, ...model, scaling: { ...models.small.scaling, ...scaling } },
    },
    scenarios: { only: { model: 'small', ...scenario } },
    ...others,
  });
  return simulate(values, 'only');
}

function checkSum({ items, answered, refused, expired, unfinished }: Outcome): void {
  expect(answered + refused + expired + unfinished).toBe(items);
}

test('events happen in the order of their times, and of their addition', () => {
  const events = new Events();
  const seen: string[] = [];
  for (const [delayMs, name] of [
    [5, 'c'],
    [1, 'a'],
    [5, 'd'],
    [2, 'b'],
    [9, 'late'],
  ] as const) {
    events.after(delayMs, () => seen.push(`${name}${events.nowMs}`));
  }
  events.runUntil(8);
  expect(seen).toEqual(['a1', 'b2', 'c5', 'd5']);
});

test('the time of a batch lies between the sizes that were measured', () => {
  const { sizeMax, msFor } = makeBatchTime({ 8: 80, 1: 10, 4: 30 });
  expect([sizeMax, msFor(1), msFor(2), msFor(6), msFor(8)]).toEqual([
    8,
    10,
    expect.closeTo(16.67),
    55,
    80,
  ]);
});

test('a machine is paid for from its order until it has been empty long enough', () => {
  const events = new Events();
  const options = { workersPerNode: 2, nodesMin: 0, nodesMax: 2, startMs: 100, idleMs: 50 };
  const seen: unknown[] = [];
  const pool = new Pool(options, events, () => seen.push(pool.take()));
  expect(pool.take()).toBeUndefined();
  pool.order(9);
  expect(pool.nodes).toBe(2);
  events.runUntil(1000);
  // Both places were taken on one machine; the other one was empty and went at 150.
  expect([pool.nodes, pool.paidMs]).toEqual([1, 1000 + 150]);
});

test('a machine that is taken away is ordered again where fewer than `nodesMin` are left', () => {
  const events = new Events();
  const options = { workersPerNode: 2, nodesMin: 2, nodesMax: 3, startMs: 100, idleMs: 50 };
  const pool = new Pool(options, events, () => {});
  pool.evict();
  expect([pool.nodes, pool.take()?.isReady]).toEqual([2, true]);
  expect(pool.evict()).toMatchObject({ workers: 1 });
  // None is ready now, so none can be taken away.
  expect([pool.nodes, pool.take(), pool.evict()]).toEqual([2, undefined, undefined]);
  events.runUntil(1000);
  expect([pool.nodes, pool.take()?.isReady, pool.paidMs]).toEqual([2, true, 2000]);
});

/** From a run of `npm run e2e:k8s -- --only scaling` on one node, while other work kept its two cores busy. */
const seenOnCluster = { firstReadySeconds: 3.2, mostReadySeconds: 19.2, noneAfterSeconds: 15.9 };

test('the times of a burst on a real cluster are near those simulated', () => {
  // When KEDA and the autoscaler look is chance. So the simulation gives a range.
  const outcomes = Array.from({ length: 40 }, (_, seed) => {
    const load = { clients: 24, seconds: 30, quietSeconds: 40 };
    const scaling = { max: 3, itemsPerWorker: 4, coolDownSeconds: 15 };
    const pool = { workersPerNode: 3 };
    return run({ load }, { scaling, pool, others: { seed } }).outcome;
  });
  for (const [name, seconds] of Object.entries(seenOnCluster)) {
    const simulated = outcomes.map(
      (outcome) => outcome[name as keyof typeof seenOnCluster] ?? Number.NaN,
    );
    expect(seconds, name).toBeGreaterThan(Math.min(...simulated) / 1.5);
    expect(seconds, name).toBeLessThan(Math.max(...simulated) * 1.5);
  }
  expect(outcomes.every(({ workersMax }) => workersMax === 3)).toBe(true);
});

describe('a scenario', () => {
  test('is the same with the same seed, to the last digit', () => {
    const load = { shape: 'burst', perSecond: 60 };
    expect(run({ load })).toEqual(run({ load }));
    const other = run({ load }, { others: { seed: 8 } });
    expect(other.outcome).not.toEqual(run({ load }).outcome);
  });

  test('of one client waits for poll and start once, then for the model only', () => {
    const { outcome } = run({ load: { clients: 1, seconds: 100 } });
    checkSum(outcome);
    expect(outcome.p50Ms).toBeCloseTo(10);
    expect(outcome.firstReadySeconds).toBeGreaterThan(2);
    expect(outcome.firstReadySeconds).toBeLessThan(4);
    expect(outcome.workersMax).toBe(1);
  });

  test('scales from zero to the most and back to zero', () => {
    const { outcome, samples } = run({ load: { clients: 64, seconds: 300, quietSeconds: 300 } });
    checkSum(outcome);
    expect(outcome.workersMax).toBe(6);
    // A look of the autoscaler comes within 15 s after the first worker, and two machines after 100 s.
    expect(outcome.mostReadySeconds).toBeGreaterThan(102);
    expect(outcome.mostReadySeconds).toBeLessThan(122);
    expect(outcome.noneAfterSeconds).toBeGreaterThan(60);
    expect(outcome.noneAfterSeconds).toBeLessThan(63);
    expect(samples.at(-1)).toMatchObject({ workers: 0, unanswered: 0 });
  });

  test('counts workers that come and go between two samples', () => {
    const load = { clients: 1, seconds: 10, quietSeconds: 23 * 3600 };
    const { outcome, samples } = run({ load });
    expect(outcome.workerHours).toBeGreaterThan(0);
    const hours = (samples.at(-1)?.atSeconds ?? 0) / 3600;
    expect(outcome.workersMean * hours).toBeCloseTo(outcome.workerHours, 3);
  });

  test('counts hours and money by hand', () => {
    // One worker from the start, on the one machine that is always there.
    const { outcome } = run({ load: steady(10, 3600) }, { scaling: { min: 1, max: 1 } });
    expect(outcome).toMatchObject({ nodeHours: 1, cost: 0.2, workersMean: 1, workerHours: 1 });
    // 10 items a second of 10 ms each; those that share a batch take as long.
    expect(outcome.busyShare).toBeCloseTo(0.1, 2);
  });

  test('refuses what its admission would refuse, and answers the rest in time', () => {
    // Ten times what one worker can do.
    const { outcome } = run(
      { load: steady(1000, 120) },
      { model: { deadlineSeconds: 5 }, scaling: { min: 1, max: 1 } },
    );
    checkSum(outcome);
    expect(outcome.refused).toBeGreaterThan(0.8 * outcome.items);
    expect(outcome.answered).toBeGreaterThan(0.95 * 100 * 120);
    expect(outcome.p99Ms).toBeLessThan(5000);
  });

  test('without any place on a machine expires what was admitted', () => {
    const { outcome } = run(
      { load: steady(5, 60, 60) },
      { model: { deadlineSeconds: 20 }, pool: { nodesMin: 0, startSeconds: 900 } },
    );
    checkSum(outcome);
    expect(outcome).toMatchObject({ answered: 0, p50Ms: undefined, firstReadySeconds: undefined });
    expect(outcome.expired).toBe(outcome.items - outcome.refused);
  });

  test('lets a client ask again a second after an answer that came too late', () => {
    const model = { batchMs: { 1: 4000 }, deadlineSeconds: 3 };
    const scaling = { min: 1, max: 1 };
    const { outcome } = run({ load: { clients: 1, seconds: 102 } }, { model, scaling });
    checkSum(outcome);
    // The worker starts for 2 s, and each item takes 4 s and a pause of one.
    expect(outcome).toMatchObject({ items: 20, answered: 0, expired: 20 });
  });

  test('loses no item when the cloud takes a machine away', () => {
    const change = {
      model: { deadlineSeconds: 300 },
      scaling: { min: 4, max: 4 },
      pool: { nodesMin: 2 },
    };
    const load = steady(300, 600, 60);
    const calm = run({ load }, change);
    const evicted = run({ load, evictionsAtSeconds: [300, 310] }, change);
    checkSum(evicted.outcome);
    expect(evicted.outcome).toMatchObject({ expired: 0, unfinished: 0 });
    expect(evicted.outcome.p99Ms).toBeGreaterThan(calm.outcome.p99Ms as number);
    const ready = (run: typeof calm, atSeconds: number) =>
      run.samples.find((sample) => sample.atSeconds >= atSeconds)?.ready;
    expect([ready(evicted, 290), ready(evicted, 320), ready(evicted, 590)]).toEqual([4, 0, 4]);
    expect(ready(calm, 320)).toBe(4);
  });

  test('is drawn with its name, and every line inside of the picture', () => {
    const svg = drawPlot([run({ load: { clients: 64, seconds: 300, quietSeconds: 300 } })]);
    expect(svg).toContain('only: small, 8 items a worker');
    const points = [...svg.matchAll(/([\d.-]+),([\d.-]+)/g)].map(([, x, y]) => [
      Number(x),
      Number(y),
    ]);
    expect(points.length).toBeGreaterThan(100);
    expect(points.every(([x = -1, y = -1]) => x >= 0 && x <= 760 && y >= 0 && y <= 320)).toBe(true);
  });
});
