// Generates the events of a simulation. The scheduler chooses how they interleave.

import fc from 'fast-check';
import type { Nature } from './inputs.js';

/** A deadline that no run reaches, so a request with it must be answered. */
export const longMs = 90_000;

const is = <K extends string>(kind: K) => ({ kind: fc.constant(kind) });

const nature = fc.oneof(
  { arbitrary: fc.constant<Nature>('good'), weight: 8 },
  { arbitrary: fc.constantFrom<Nature>('unreadable', 'throws', 'kills', 'hangs'), weight: 1 },
);

const ask = fc.record({
  ...is('ask'),
  api: fc.nat(1),
  model: fc.nat(1),
  natures: fc.oneof(
    fc.tuple(nature),
    fc.tuple(nature),
    fc.array(nature, { minLength: 2, maxLength: 3 }),
  ),
  /** The bytes of a binary input. A large one lies beside its job. */
  size: fc.constantFrom(4, 4, 8, 5000),
  deadlineMs: fc.constantFrom(5, 40, 400, longMs, longMs, longMs),
  hangsUp: fc.constantFrom(false, false, false, true),
});

const pass = fc.record({
  ...is('pass'),
  ms: fc.constantFrom(1, 4, 20, 60, 300, 1500),
});

const at = fc.nat(2);

const fault = fc.oneof(
  fc.record({ ...is('a worker crashes'), at }),
  fc.record({ ...is('locks run out'), at }),
  fc.record({ ...is('a worker leaves'), at, graceMs: fc.constantFrom(0, 100, 3000) }),
  fc.record({ ...is('an API crashes'), at }),
  fc.record({ ...is('an API leaves'), at }),
  fc.record({
    ...is('Redis is away'),
    isEmpty: fc.constantFrom(false, false, true),
    losesLocks: fc.boolean(),
  }),
  fc.record(is('Redis is full')),
  fc.record({ ...is('a job is garbled'), isEnvelopeWhole: fc.boolean() }),
);

export const scenario = fc.record({
  apis: fc.integer({ min: 1, max: 2 }),
  workers: fc.integer({ min: 1, max: 3 }),
  batchMax: fc.integer({ min: 1, max: 4 }),
  waitMs: fc.constantFrom(0, 0, 5),
  permitsMax: fc.constantFrom(1000, 1000, 6),
  itemsMax: fc.constantFrom(1000, 1000, 3),
  events: fc.array(
    fc.oneof(
      { arbitrary: ask, weight: 6 },
      { arbitrary: pass, weight: 3 },
      { arbitrary: fault, weight: 2 },
    ),
    { minLength: 1, maxLength: 24, size: 'max' },
  ),
});

export type Ask = typeof ask extends fc.Arbitrary<infer T> ? T : never;
export type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;
export type Event = Scenario['events'][number];
