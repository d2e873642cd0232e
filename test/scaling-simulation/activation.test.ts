// Tests KEDA's part of the simulated scaling, with the defaults of its documentation: a poll every 30 s, a
// cool-down of 300 s.

import { expect, test } from 'vitest';
import { Activation, type ActivationOptions } from '../../simulate/activation.js';

function makeActivation(change: Partial<ActivationOptions> = {}): Activation {
  const defaults = { min: 0, threshold: 0, coolDownMs: 300_000, initialCoolDownMs: 0 };
  return new Activation({ ...defaults, ...change });
}

test('the first item takes zero to one, however many wait', () => {
  expect(makeActivation().decide(30_000, 500, 0)).toBe(1);
});

test('the first item takes zero to the minimum if there is one', () => {
  expect(makeActivation({ min: 3 }).decide(30_000, 500, 0)).toBe(3);
});

test('a metric at the activation threshold is not active, and one above it is', () => {
  const activation = makeActivation({ threshold: 5 });
  expect(activation.decide(30_000, 5, 0)).toBe(0);
  expect(activation.decide(60_000, 6, 0)).toBe(1);
});

test('leaves everything between to the autoscaler', () => {
  expect(makeActivation().decide(30_000, 500, 4)).toBe(4);
});

test('all replicas go once the cool-down has passed since the last active poll', () => {
  const activation = makeActivation();
  activation.decide(30_000, 1, 4);
  expect(activation.decide(60_000, 0, 4)).toBe(4);
  expect(activation.decide(330_000, 0, 4)).toBe(4);
  expect(activation.decide(360_000, 0, 4)).toBe(0);
});

test('an item during the cool-down starts it again', () => {
  const activation = makeActivation();
  activation.decide(30_000, 1, 2);
  activation.decide(300_000, 1, 2);
  expect(activation.decide(360_000, 0, 2)).toBe(2);
  expect(activation.decide(630_000, 0, 2)).toBe(0);
});

test('a minimum above zero is kept, and replicas below it are raised to it', () => {
  const activation = makeActivation({ min: 2 });
  expect(activation.decide(1_000_000, 0, 5)).toBe(5);
  expect(activation.decide(1_030_000, 0, 1)).toBe(2);
});

test('what was never active goes at once, or after the initial cool-down', () => {
  expect(makeActivation().decide(30_000, 0, 1)).toBe(0);
  const activation = makeActivation({ initialCoolDownMs: 120_000 });
  expect(activation.decide(90_000, 0, 1)).toBe(1);
  expect(activation.decide(120_000, 0, 1)).toBe(0);
});
