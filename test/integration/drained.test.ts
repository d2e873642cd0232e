// Tests when a worker unloads a version that has left the folder. Redis is real; the place of the version stands for a
// loaded model.

import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { makeKeys } from '../../shared/redis/keys.js';
import type { ModelFolder } from '../../shared/registry/folder.js';
import type { Place } from '../../worker/place.js';
import { Places } from '../../worker/places.js';
import { announce } from '../../worker/queue/presence.js';
import { Rollout } from '../../worker/rollout.js';
import { openRedisForAll, waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';

const model = makeSampleModel();
const { queue } = model;

const redis = await openRedisForAll();

/** Begins the rollout of a worker whose model has left the folder. */
async function openRollout(
  prefix: string,
  options: { onWithdrawn?: () => Promise<unknown>; isListed?: boolean } = {},
) {
  const keys = makeKeys(prefix);
  const { client } = redis;
  const presence = announce({ redis: client, keys, queues: [queue], workerId: 'worker' });
  onTestFinished(() => presence.close());
  let isClosed = false;
  const place: Place = {
    model,
    warm: Promise.resolve(),
    open: Promise.resolve(),
    isListed: () => options.isListed ?? true,
    withdraw: async () => {
      await presence.withdraw();
      await options.onWithdrawn?.();
    },
    resume: () => presence.resume(),
    close: async () => {
      isClosed = true;
    },
    device: () => undefined,
    loadMs: () => undefined,
    heldMs: () => 0,
    heldMsMax: () => 0,
  };
  const places = new Places({ open: () => place, graceMs: 0 });
  places.open(model);
  await presence.announced;
  const folder = { models: [], leftOut: [], look: async () => new Set() };
  const rollout = new Rollout({
    folder: folder as unknown as ModelFolder,
    ...{ places, redis: client, keys, workerId: 'worker' },
    log: makeLogger({ role: 'test', level: 'silent' }),
    everyMs: 5,
  });
  onTestFinished(() => rollout.close());
  return {
    begin: () => rollout.begin([]),
    isClosed: () => isClosed,
    isListed: async () => (await client.zcard(keys.workers(queue))) === 1,
    send: () => client.hset(keys.instances(queue), 'api', '{}'),
    leave: () => client.del(keys.instances(queue)),
    keys,
  };
}

test('a version stays while an instance sends to it, and is listed', async () => {
  const stage = await openRollout('sends');
  await stage.send();
  await stage.begin();
  await delay(100);
  expect([stage.isClosed(), await stage.isListed()]).toEqual([false, true]);
  await stage.leave();
  await waitUntil('it is unloaded', stage.isClosed);
  expect(await stage.isListed()).toBe(false);
});

test('a version stays while one of its items is unanswered', async () => {
  const stage = await openRollout('unanswered');
  const key = stage.keys.unanswered(queue);
  await redis.client.zadd(key, Date.now() + 60_000, 'item');
  await stage.begin();
  await delay(100);
  expect([stage.isClosed(), await stage.isListed()]).toEqual([false, true]);
  await redis.client.del(key);
  await waitUntil('it is unloaded', stage.isClosed);
});

test('a version that an instance begins to send to while its worker leaves the list stays, and is listed again', async () => {
  let times = 0;
  const stage = await openRollout('meanwhile', {
    onWithdrawn: async () => {
      times++;
      if (times === 1) await stage.send();
    },
  });
  await stage.begin();
  await waitUntil('it has left the list', () => times > 0);
  await waitUntil('it is listed again', stage.isListed);
  expect([stage.isClosed(), times]).toEqual([false, 1]);
  await stage.leave();
  await waitUntil('it is unloaded', stage.isClosed);
});

test('a version whose worker cannot leave the list stays', async () => {
  let times = 0;
  const stage = await openRollout('refused', {
    onWithdrawn: async () => {
      times++;
      if (times < 3) throw new Error('Redis is away');
    },
  });
  await stage.begin();
  await waitUntil('it is unloaded at last', stage.isClosed);
  expect(times).toBe(3);
});

test('a version that is still loading stays while an instance sends to it', async () => {
  const stage = await openRollout('loading', { isListed: false });
  await stage.send();
  await stage.begin();
  await delay(100);
  expect(stage.isClosed()).toBe(false);
  await stage.leave();
  await waitUntil('it is unloaded', stage.isClosed);
});

test('a worker that has left is not listed again', async () => {
  const keys = makeKeys('left');
  const { client } = redis;
  const presence = announce({ redis: client, keys, queues: [queue], workerId: 'worker' });
  await presence.announced;
  await presence.withdraw();
  await presence.close();
  presence.resume();
  await delay(50);
  expect(await client.exists(keys.workers(queue))).toBe(0);
});
