// Tests the simulated HorizontalPodAutoscaler. The numbers are those of the examples in the documentation of
// Kubernetes.

import { describe, expect, test } from 'vitest';
import { makeBehavior } from '../../k8s/scaling.js';
import { scalingSchema } from '../../shared/manifest/scaling.js';
import {
  Autoscaler,
  type AutoscalerOptions,
  type Policy,
  type Rules,
  replicasFor,
} from '../../simulate/autoscaler.js';

const open: Rules = {
  stabilizationWindowSeconds: 0,
  policies: [{ type: 'Percent', value: 1_000_000, periodSeconds: 15 }],
};
const free: Rules = {
  stabilizationWindowSeconds: 0,
  policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
};
const tenPercent: Policy = { type: 'Percent', value: 10, periodSeconds: 60 };
const fourPods: Policy = { type: 'Pods', value: 4, periodSeconds: 60 };

function makeAutoscaler(
  { scaleUp = open, scaleDown = free }: Partial<AutoscalerOptions['behavior']> = {},
  bounds: { min?: number; max?: number } = {},
): Autoscaler {
  const behavior = { scaleUp, scaleDown };
  return new Autoscaler({ min: 1, max: 1000, target: 10, behavior, ...bounds });
}

/** Decides every 15 s with the metric that wants this many replicas. Returns the replicas after each. */
function follow(autoscaler: Autoscaler, from: number, wanted: readonly number[]): number[] {
  let replicas = from;
  return wanted.map((count, index) => {
    replicas = autoscaler.decide(index * 15_000, count * 10, replicas);
    return replicas;
  });
}

describe('the wanted replicas', () => {
  test.each([
    ['twice the metric doubles them', 200, 100, 1, 2],
    ['half of the metric halves them', 50, 100, 2, 1],
    ['what is left over needs one more', 201, 100, 1, 3],
    ['a metric of nothing wants none', 0, 100, 3, 0],
    ['10 % more is within the tolerance', 110, 10, 10, 10],
    ['10 % less is within the tolerance', 90, 10, 10, 10],
    ['more than 10 % more is not', 111, 10, 10, 12],
    ['more than 10 % less is not', 89, 10, 10, 9],
  ])('%s', (_name, metric, target, replicas, wanted) => {
    expect(replicasFor(metric, target, replicas)).toBe(wanted);
  });
});

describe('the bounds', () => {
  test('hold upwards and downwards', () => {
    const autoscaler = makeAutoscaler({}, { min: 2, max: 5 });
    expect(follow(autoscaler, 3, [50, 0])).toEqual([5, 2]);
  });

  test('zero replicas turn the autoscaler off', () => {
    expect(follow(makeAutoscaler(), 0, [7])).toEqual([0]);
  });
});

describe('the policies', () => {
  test('of 10 % take 8 of 80, and 8 of 72, since 7.2 are rounded up, and never fewer than 4', () => {
    const scaleDown = { stabilizationWindowSeconds: 0, policies: [fourPods, tenPercent] };
    const autoscaler = makeAutoscaler({ scaleDown });
    const everyMinute = [80, 72, 64, 57, 51, 45, 40, 36, 32];
    let replicas = 80;
    const seen = everyMinute.map((_, minute) => {
      const before = replicas;
      replicas = autoscaler.decide(minute * 60_000, 10, replicas);
      return before;
    });
    expect(seen).toEqual(everyMinute);
  });

  test('count from the replicas at the start of their period', () => {
    const scaleDown = { stabilizationWindowSeconds: 0, policies: [fourPods] };
    const wanted = [1, 1, 1, 1, 1];
    expect(follow(makeAutoscaler({ scaleDown }), 20, wanted)).toEqual([16, 16, 16, 16, 12]);
  });

  test('what came since the start of the period may go on top', () => {
    const scaleDown = { stabilizationWindowSeconds: 0, policies: [fourPods] };
    expect(follow(makeAutoscaler({ scaleDown }), 10, [15, 1])).toEqual([15, 6]);
  });

  test('double the pods or add 4 in 15 s, whichever is more, as the default scaleUp', () => {
    const policies: Policy[] = [
      { type: 'Percent', value: 100, periodSeconds: 15 },
      { type: 'Pods', value: 4, periodSeconds: 15 },
    ];
    const scaleUp = { stabilizationWindowSeconds: 0, policies };
    expect(follow(makeAutoscaler({ scaleUp }), 1, [50, 50, 50, 50])).toEqual([5, 10, 20, 40]);
    const least = { ...scaleUp, selectPolicy: 'Min' as const };
    expect(follow(makeAutoscaler({ scaleUp: least }), 1, [50, 50, 50])).toEqual([2, 4, 8]);
  });

  test('`Min` chooses the smallest change down, and `Disabled` allows none', () => {
    const least = { stabilizationWindowSeconds: 0, policies: [fourPods, tenPercent] };
    const scaleDown = { ...least, selectPolicy: 'Min' as const };
    expect(follow(makeAutoscaler({ scaleDown }), 80, [1])).toEqual([76]);
    const off = { ...least, selectPolicy: 'Disabled' as const };
    expect(follow(makeAutoscaler({ scaleDown: off }), 80, [1])).toEqual([80]);
  });
});

describe('the stabilization windows', () => {
  test('scaling down follows the largest number of the window', () => {
    const scaleDown = { ...free, stabilizationWindowSeconds: 60 };
    const wanted = [10, 5, 8, 5, 5, 5, 5, 5];
    expect(follow(makeAutoscaler({ scaleDown }), 10, wanted)).toEqual([10, 10, 10, 10, 8, 8, 5, 5]);
  });

  test('scaling up follows the smallest number of the window', () => {
    const scaleUp = { ...open, stabilizationWindowSeconds: 30 };
    expect(follow(makeAutoscaler({ scaleUp }), 1, [1, 9, 4, 9, 9])).toEqual([1, 1, 4, 4, 9]);
  });
});

test('with the behaviour of our manifests all come at once, and leave in halves after three cool-downs', () => {
  const scaling = scalingSchema.parse({ max: 20, itemsPerWorker: 10, coolDownSeconds: 20 });
  const autoscaler = makeAutoscaler(makeBehavior(scaling), { max: 20 });
  const wanted = [40, ...Array.from({ length: 20 }, () => 0)];
  const seen = follow(autoscaler, 1, wanted);
  const minutes = [0, 4, 8, 12, 16, 20].map((index) => seen[index]);
  expect(minutes).toEqual([20, 10, 5, 2, 1, 1]);
  expect(seen.slice(0, 9)).toEqual([20, 20, 20, 20, 10, 10, 10, 10, 5]);
});

test.each([
  [300, 900],
  [15, 45],
  [3600, 3600],
])('with a cool-down of %i s, the window of the autoscaler is %i s', (coolDownSeconds, window) => {
  const { scaleDown } = makeBehavior(scalingSchema.parse({ coolDownSeconds }));
  expect(scaleDown.stabilizationWindowSeconds).toBe(window);
});
