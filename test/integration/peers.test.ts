import { expect, onTestFinished, test } from 'vitest';
import { openPeers, type Traffic } from '../../api/admission/peers.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { makeRegistry } from '../../shared/registry/registry.js';
import { openRedis, openRedisForAll, waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';

const model = makeSampleModel({ batch: { max: 4 } });
const { queue } = model;

const redis = await openRedisForAll();

/** Derives the number of answers from the clock, so a slow machine cannot change the rate. */
function answering(perSecond: number, inFlight: number): () => Traffic {
  return () => ({ inFlight, answered: Math.round((Date.now() * perSecond) / 1000) });
}

function open(prefix: string, instance: string, traffic: () => Traffic, client = redis.client) {
  const peers = openPeers({
    redis: client,
    keys: makeKeys(prefix),
    instance,
    registry: makeRegistry([model]),
    traffic,
  });
  onTestFinished(() => peers.close());
  return peers;
}

test('an instance knows how much the others have in flight, until they leave', async () => {
  const idle = open('flight', 'idle', () => ({ inFlight: 3, answered: 0 }));
  const busy = open('flight', 'busy', () => ({ inFlight: 40, answered: 0 }));
  await waitUntil(
    'both know each other',
    () => idle.inFlight(queue) > 0 && busy.inFlight(queue) > 0,
  );
  expect([idle.inFlight(queue), busy.inFlight(queue)]).toEqual([40, 3]);
  busy.close();
  await waitUntil('the busy one is gone', () => idle.inFlight(queue) === 0);
  expect(await redis.client.hkeys(makeKeys('flight').instances(queue))).toEqual(['idle']);
});

test('an instance says at once which models it may send to, and takes that back', async () => {
  const peers = open('expect', 'a', () => ({ inFlight: 0, answered: 0 }));
  const other = makeSampleModel({ version: '2' });
  const key = makeKeys('expect').instances(other.queue);
  expect(await redis.client.exists(key)).toBe(0);
  await peers.expect([model, other]);
  expect(await redis.client.hkeys(key)).toEqual(['a']);
  await peers.expect([]);
  await waitUntil('it is taken back', async () => (await redis.client.exists(key)) === 0);
  // Its registry still has this one.
  expect(await redis.client.hkeys(makeKeys('expect').instances(queue))).toEqual(['a']);
});

test('an instance whose first heartbeat fails has said nothing, and says it again', async () => {
  const other = makeSampleModel({ version: '3' });
  const key = makeKeys('again').instances(other.queue);
  let isAway = true;
  const client: typeof redis.client = Object.create(redis.client, {
    multi: {
      value: () => {
        if (isAway) throw new Error('Redis is away');
        return redis.client.multi();
      },
    },
  });
  const peers = open('again', 'a', () => ({ inFlight: 0, answered: 0 }), client);
  await expect(peers.expect([other])).rejects.toThrow('away');
  isAway = false;
  await peers.expect([other]);
  expect(await redis.client.hkeys(key)).toEqual(['a']);
});

test('an instance without answers of its own knows the common rate', async () => {
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

test('what a killed instance had in flight is no backlog for one that starts after it', async () => {
  const key = makeKeys('killed').instances(queue);
  await redis.client.hset(key, 'killed', JSON.stringify({ inFlight: 400, answered: 9, beat: 7 }));
  let looks = 0;
  const light = open('killed', 'light', () => {
    looks++;
    return answering(2, 1)();
  });
  await waitUntil('it is known', () => light.inFlight(queue) === 400);
  await waitUntil('it is gone', () => light.inFlight(queue) === 0);
  expect(looks).toBeGreaterThan(5);
  expect(light.msFor(queue, 1)).toBeUndefined();
});

/** Writes the heartbeats of another instance, which the test makes. */
function beat(prefix: string, instance: string, next: (beats: number) => object) {
  const key = makeKeys(prefix).instances(queue);
  let beats = 0;
  const timer = setInterval(() => {
    beats++;
    void redis.client.hset(key, instance, JSON.stringify(next(beats)));
  }, 100);
  onTestFinished(() => clearInterval(timer));
  return { stop: () => clearInterval(timer) };
}

test.each([
  ['ahead', 3_600_000],
  ['behind', -3_600_000],
])(
  'an instance whose clock is an hour %s counts until its heartbeats stop',
  async (_what, offMs) => {
    const prefix = `clock${offMs}`;
    const here = open(prefix, 'here', () => ({ inFlight: 8, answered: 0 }));
    const started = Date.now();
    const there = beat(prefix, 'there', () => ({
      inFlight: 20,
      answered: Math.round((Date.now() - started) / 50),
      beat: Date.now() + offMs,
    }));
    await waitUntil('the rate is known', () => {
      const ms = here.msFor(queue, 1);
      return ms !== undefined && ms > 0;
    });
    expect(here.inFlight(queue)).toBe(20);
    const perSecond = 1000 / Number(here.msFor(queue, 1));
    expect(perSecond).toBeGreaterThan(10);
    expect(perSecond).toBeLessThan(40);
    there.stop();
    await waitUntil('the other one is gone', () => here.inFlight(queue) === 0);
    expect(await redis.client.hkeys(makeKeys(prefix).instances(queue))).toEqual(['here']);
  },
);

test('an instance whose count of answers decreases does not make the rate negative', async () => {
  const here = open('back', 'here', () => ({ inFlight: 8, answered: 0 }));
  beat('back', 'there', (beats) => ({ inFlight: 20, answered: 1000 - 10 * beats, beat: beats }));
  let looks = 0;
  await waitUntil('it has looked for a while', () => {
    looks++;
    expect(here.msFor(queue, 5) ?? 0).toBeGreaterThanOrEqual(0);
    return looks > 120;
  });
});

test('nothing is known while Redis is unreachable', async () => {
  const away = await openRedis();
  onTestFinished(() => away.close());
  const make = (instance: string) => {
    const peers = openPeers({
      redis: away.client,
      keys: makeKeys('away'),
      instance,
      registry: makeRegistry([model]),
      traffic: () => ({ inFlight: 7, answered: 0 }),
    });
    onTestFinished(() => peers.close());
    return peers;
  };
  const [here] = [make('here'), make('there')];
  await waitUntil('it knows of the other', () => here.inFlight(queue) === 7);
  away.client.options.enableOfflineQueue = false;
  await away.stop('SIGKILL');
  await waitUntil('it knows nothing', () => here.inFlight(queue) === 0);
});
