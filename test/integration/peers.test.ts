import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openPeers, type Traffic } from '../../api/admission/peers.js';
import { makeKeys } from '../../shared/keys.js';
import { openRedis, type TestRedis, waitUntil } from '../harness.js';

const queue = 'a@1';

let redis: TestRedis;
beforeAll(async () => {
  redis = await openRedis();
});
afterAll(() => redis?.close());

/** Derives the number of answers from the clock, so a slow machine cannot change the rate. */
function answering(perSecond: number, inFlight: number): () => Traffic {
  return () => ({ inFlight, answered: Math.round((Date.now() * perSecond) / 1000) });
}

function open(prefix: string, instance: string, traffic: () => Traffic) {
  const peers = openPeers({
    redis: redis.client,
    keys: makeKeys(prefix),
    instance,
    queues: new Map([[queue, 4]]),
    traffic,
  });
  onTestFinished(() => peers.close());
  return peers;
}

test('an instance knows what the others have in flight, until they leave', async () => {
  const idle = open('flight', 'idle', () => ({ inFlight: 3, answered: 0 }));
  const busy = open('flight', 'busy', () => ({ inFlight: 40, answered: 0 }));
  await waitUntil(
    'each knows of the other',
    () => idle.inFlight(queue) > 0 && busy.inFlight(queue) > 0,
  );
  expect([idle.inFlight(queue), busy.inFlight(queue)]).toEqual([40, 3]);
  busy.close();
  await waitUntil('the busy one is gone', () => idle.inFlight(queue) === 0);
  expect(await redis.client.hkeys(makeKeys('flight').instances(queue))).toEqual(['idle']);
});

test('an instance without answers of its own knows the rate of all together', async () => {
  open('rate', 'a', answering(30, 20));
  open('rate', 'b', answering(10, 20));
  const fresh = open('rate', 'c', () => ({ inFlight: 0, answered: 0 }));
  await waitUntil('the rate is known', () => fresh.msFor(queue, 1) !== undefined);
  const perSecond = 1000 / Number(fresh.msFor(queue, 1));
  expect(perSecond).toBeGreaterThan(20);
  expect(perSecond).toBeLessThan(80);
});

test('an instance measures no rate while there is no backlog', async () => {
  let looks = 0;
  const alone = open('idle', 'a', () => {
    looks++;
    return answering(1, 3)();
  });
  await waitUntil('the instance looked more often than it has to', () => looks > 6);
  expect(alone.msFor(queue, 1)).toBeUndefined();
});
