// Tests how a worker loads a model again that can score nothing more. Redis is real; places stand for loaded models.

import { expect, onTestFinished, test, vi } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { makeKeys } from '../../shared/redis/keys.js';
import type { ModelFolder } from '../../shared/registry/folder.js';
import { order } from '../../shared/registry/repository.js';
import type { Place } from '../../worker/place.js';
import { Places } from '../../worker/places.js';
import { Rollout } from '../../worker/rollout.js';
import { openRedisForAll, waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';

const model = makeSampleModel();

const redis = await openRedisForAll();

/** Begins the rollout of a worker with one model. */
async function openRollout(prefix: string) {
  const keys = makeKeys(prefix);
  const events: string[] = [];
  let fault: Error | undefined;
  const open = (): Place => {
    const failing = fault;
    events.push(failing ? 'failed' : 'loaded');
    const loaded = failing ? Promise.reject(failing) : Promise.resolve();
    loaded.catch(() => {});
    return {
      model,
      warm: loaded,
      open: loaded,
      isListed: () => true,
      withdraw: async () => {},
      resume: () => {},
      close: async () => void events.push('closed'),
      device: () => undefined,
      loadMs: () => undefined,
      heldMs: () => 0,
      heldMsMax: () => 0,
    };
  };
  const places = new Places({ open, graceMs: 0 });
  places.open(model);
  let looks = 0;
  const look = async () => {
    looks++;
    return new Set();
  };
  const folder = { models: [model], leftOut: [], look };
  const rollout = new Rollout({
    folder: folder as unknown as ModelFolder,
    ...{ places, redis: redis.client, keys, workerId: 'worker' },
    log: makeLogger({ role: 'test', level: 'silent' }),
    everyMs: 5,
  });
  onTestFinished(() => rollout.close());
  await rollout.begin([]);
  return {
    events,
    /** Has the model unloaded. It is not drained while an API instance says that it sends to it. */
    unloadInUse: async () => {
      await redis.client.set(keys.instances(model.queue), 'an instance');
      await order({ redis: redis.client, keys }, 'unload', model.name);
      const before = looks;
      await waitUntil('a look has seen the order', () => looks >= before + 2);
    },
    endUse: () => redis.client.del(keys.instances(model.queue)),
    loadAgain: () => order({ redis: redis.client, keys }, 'load', model.name),
    lose: () => rollout.lose(model, 'it has ended'),
    breakDown: (error: Error | undefined) => {
      fault = error;
    },
    isReported: async () => (await redis.client.hlen(keys.faults(model.queue))) > 0,
  };
}

/** Moves the clock of `performance` forward. */
function pass(ms: number): void {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + ms);
  onTestFinished(() => void vi.restoreAllMocks());
}

test('a model that is lost is loaded again at once, and later and later if that happens soon again', async () => {
  const { events, lose } = await openRollout('lost');
  const again = ['loaded', 'closed', 'loaded'];
  const first = lose();
  expect(events).toEqual(again);
  await first;
  const startedAt = performance.now();
  // A look at the folder does not load it sooner.
  await lose();
  const onceMs = performance.now() - startedAt;
  await lose();
  const twiceMs = performance.now() - startedAt - onceMs;
  expect(events).toEqual([...again, 'closed', 'loaded', 'closed', 'loaded']);
  expect(onceMs).toBeGreaterThan(490);
  expect(twiceMs).toBeGreaterThan(990);
  pass(60_000);
  void lose();
  expect(events.slice(-2)).toEqual(['closed', 'loaded']);
});

test('a lost model that is unloaded is loaded again only if it is not drained', async () => {
  const { events, lose, unloadInUse, endUse } = await openRollout('unloaded');
  await unloadInUse();
  await lose();
  expect(events).toEqual(['loaded', 'closed', 'loaded']);
  pass(60_000);
  void endUse();
  await lose();
  expect(events).toEqual(['loaded', 'closed', 'loaded', 'closed']);
});

test('a model that was unloaded since it was lost begins anew', async () => {
  const { events, lose, unloadInUse, endUse, loadAgain } = await openRollout('anew');
  await lose();
  await unloadInUse();
  await endUse();
  await waitUntil('it is unloaded', () => events.at(-1) === 'closed');
  await loadAgain();
  await waitUntil('it is loaded', () => events.at(-1) === 'loaded');
  const again = [...events, 'closed', 'loaded'];
  void lose();
  expect(events).toEqual(again);
});

test('a lost model that cannot be loaded is reported, and tried again after a while', async () => {
  const { events, lose, breakDown, isReported } = await openRollout('broken');
  breakDown(new Error('its database is away'));
  await lose();
  await waitUntil('it is reported', isReported);
  expect(events).toEqual(['loaded', 'closed', 'failed', 'closed']);
  breakDown(undefined);
  pass(10_000);
  await waitUntil('it is loaded', () => events.at(-1) === 'loaded');
  await waitUntil('it is reported no more', async () => !(await isReported()));
});
