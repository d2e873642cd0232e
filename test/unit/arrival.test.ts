import { Metadata } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { anyone } from '../../api/access/caller.js';
import { Arrival } from '../../api/grpc/arrival.js';
import { nowMs } from '../../shared/clock.js';
import { makeIdleCalls } from './idle-calls.js';
import { makeSampleModel } from './sample-model.js';

/** Makes the arrival of a request whose slot counts how often it is given back. */
function makeArrival() {
  const arrival = new Arrival('ModelInfer', new Metadata());
  let releases = 0;
  const slot = { release: () => void releases++ };
  arrival.slot = slot;
  return { arrival, slot, releases: () => releases };
}

test('a request that is refused before it has a call gives its slot back', () => {
  const { arrival, releases } = makeArrival();
  arrival.depart();
  expect(releases()).toBe(1);
});

test('the slot of a request stays taken while its work goes on for a repeat', () => {
  const { arrival, slot, releases } = makeArrival();
  const { calls } = makeIdleCalls();
  const [arrivedAt, deadlineAt] = [nowMs(), nowMs() + 1000];
  const models = [makeSampleModel()];
  arrival.call = calls.open({ caller: anyone, slot, models, key: 'k', arrivedAt, deadlineAt });
  const flight = calls.openFlight(arrival.call);
  arrival.depart();
  expect(releases()).toBe(0);
  flight.end('scored');
  expect(releases()).toBe(1);
});
