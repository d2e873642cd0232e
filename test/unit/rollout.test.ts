import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { makeMayRest } from '../../api/versions/at-rest.js';
import { Rollout } from '../../api/versions/rollout.js';
import type { ScorelineError } from '../../shared/errors.js';
import { makeLogger } from '../../shared/process/log.js';
import { makeKeys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import type { ModelFolder } from '../../shared/registry/folder.js';
import type { Model } from '../../shared/registry/models.js';
import { makeRegistry } from '../../shared/registry/registry.js';
import { plainTraffic } from '../../shared/registry/traffic.js';
import { makeSampleModel } from './sample-model.js';

const keys = makeKeys('test');

/** Begins a rollout of versions that all have a worker. The test takes workers away, and reports faults. */
async function openRollout(given: readonly Model[]) {
  const models = [...given];
  const workers = new Map(models.map(({ queue }) => [queue, 1]));
  const faults = new Map<string, object>();
  let refused: ReadonlyMap<string, ScorelineError> = new Map();
  let expected: readonly string[] = [];
  let countedUnexpected = false;
  let isInUse = false;
  let aheadMs = 0;
  let unloaded: readonly string[] = [];
  const commands = { srem: () => commands, set: () => commands, exec: async () => [] };
  const redis = {
    status: 'ready',
    smembers: async () => unloaded,
    get: async () => null,
    scan: async () => ['0', []],
    multi: () => commands,
    hgetall: async (key: string) => {
      const fault = faults.get(key);
      return fault ? { worker: JSON.stringify(fault) } : {};
    },
  };
  let looked = 0;
  const look = async () => void looked++;
  const isUnnamed = (name: string) => name === 'beside';
  const folder = { models, leftOut: [], isUnnamed, trafficOf: () => plainTraffic, look };
  const registry = makeRegistry(models);
  const rollout = new Rollout({
    folder: folder as unknown as ModelFolder,
    registry,
    queue: {
      countWorkers: async (queues) => {
        const unexpected = models.filter(({ queue }) => !expected.includes(queue));
        countedUnexpected ||= unexpected.length > 0;
        return queues.map((queue) => workers.get(queue) ?? 0);
      },
    },
    peers: {
      expect: async (of) => {
        expected = [];
        await delay(1);
        expected = of.map(({ queue }) => queue);
      },
    },
    calls: {
      isInUse: () => isInUse,
      refuse: (reasons) => {
        refused = reasons;
      },
    },
    redis: redis as unknown as Redis,
    keys,
    log: makeLogger({ role: 'test', level: 'silent' }),
    mayRest: makeMayRest(),
    everyMs: 2,
    now: () => performance.now() + aheadMs,
  });
  onTestFinished(() => rollout.close());
  await rollout.begin();
  return {
    registry,
    rollout,
    served: () => registry.models.map(({ version }) => version).join(),
    reasonOf: ({ queue }: Model) => refused.get(queue),
    breakDown(model: Model) {
      workers.set(model.queue, 0);
      const fault = { code: 'model_file_wrong', message: 'no network in /x', revision: '' };
      faults.set(keys.faults(model.queue), fault);
    },
    /** Lets the report expire, as when its worker is gone. */
    forget: (model: Model) => faults.delete(keys.faults(model.queue)),
    setWorkers: (model: Model, count: number) => workers.set(model.queue, count),
    mend: (model: Model) => workers.set(model.queue, 1),
    /** Puts another version in place of one that still has requests. */
    replace(model: Model, by: Model) {
      isInUse = true;
      models.splice(models.indexOf(model), 1, by);
      workers.set(by.queue, 1);
    },
    /** Puts another version in place of one, and neither has workers. */
    replaceIdle(model: Model, by: Model) {
      isInUse = true;
      models.splice(models.indexOf(model), 1, by);
      workers.clear();
    },
    /** Puts a model into the folder that has no workers. */
    add: (model: Model) => models.push(model),
    remove: (model: Model) => models.splice(models.indexOf(model), 1),
    /** Takes a model out that still has requests. */
    unload({ name }: Model) {
      isInUse = true;
      unloaded = [name];
    },
    pass: (ms: number) => {
      aheadMs += ms;
    },
    takeWorkersAway: (model: Model) => workers.delete(model.queue),
    /** Whether workers were counted before these models were announced as expected. */
    hasCountedUnexpected: () => countedUnexpected,
    /** Waits for several looks. */
    looks: async () => {
      const before = looked;
      await until(() => looked > before + 3);
    },
  };
}

const until = (condition: () => boolean) => vi.waitUntil(condition, { timeout: 60_000 });

const versions = (scaling: object) =>
  ['2', '1'].map((version) => makeSampleModel({ version, scaling })) as [Model, Model];
const [two, one] = versions({ min: 1 });

test('a version that can no longer be loaded leaves its requests to the others until it has a worker', async () => {
  const { served, reasonOf, rollout, ...stage } = await openRollout([two, one]);
  expect(served()).toBe('2,1');
  stage.breakDown(two);
  await until(() => served() === '1');
  expect(reasonOf(two)?.code).toBe('model_load_failed');
  expect(reasonOf(two)?.message).not.toContain('/x');
  expect(rollout.waiting).toMatchObject([{ version: '2', state: 'failed' }]);
  stage.mend(two);
  await until(() => served() === '2,1');
  expect(reasonOf(two)).toBeUndefined();
});

test('a version without workers keeps its requests while nobody has said that it cannot be loaded', async () => {
  const { served, reasonOf, ...stage } = await openRollout(versions({ min: 0 }));
  stage.breakDown(two);
  await until(() => served() === '1');
  stage.forget(two);
  await until(() => served() === '2,1');
  expect(reasonOf(two)).toBeUndefined();
});

test('a model of which no version can be loaded stays, and its requests are refused', async () => {
  const { served, reasonOf, rollout, ...stage } = await openRollout([two]);
  stage.breakDown(two);
  await until(() => reasonOf(two) !== undefined);
  expect(served()).toBe('2');
  expect(rollout.waiting).toMatchObject([{ version: '2', state: 'failed' }]);
});

test('a model is loaded when its versions have workers, and not because they had some', async () => {
  const { rollout, takeWorkersAway, mend, looks } = await openRollout([one]);
  await rollout.load(one.name);
  takeWorkersAway(one);
  let isLoaded = false;
  const loading = rollout.load(one.name).then(() => {
    isLoaded = true;
  });
  await looks();
  expect(isLoaded).toBe(false);
  mend(one);
  await loading;
});

test('an order to load ends when the model is unloaded meanwhile', async () => {
  const { rollout, takeWorkersAway, unload, looks } = await openRollout([one]);
  takeWorkersAway(one);
  const loading = rollout.load(one.name).catch((thrown) => thrown);
  await looks();
  unload(one);
  expect(await loading).toMatchObject({ code: 'model_load_failed' });
});

test.each([
  ['absent', 'There is no model "absent" in the folder of models. The models there: sample.'],
  ['beside', 'the setting MODELS does not name it. Name it there, or leave MODELS unset'],
])('an order to load the model %s says why there is none', async (name, message) => {
  const { rollout } = await openRollout([one]);
  const expected = { code: 'model_not_found', message: expect.stringContaining(message) };
  await expect(rollout.load(name)).rejects.toMatchObject(expected);
});

test('the workers of a model are counted once the instance has said that it may send to it', async () => {
  const { served, hasCountedUnexpected, ...stage } = await openRollout([one]);
  stage.replace(one, two);
  await until(() => served() === '2');
  expect(hasCountedUnexpected()).toBe(false);
});

test('a new version waits for as many workers as the other has, and waits anew when it comes back', async () => {
  const { served, ...stage } = await openRollout([one]);
  stage.setWorkers(one, 2);
  stage.setWorkers(two, 1);
  stage.add(two);
  await stage.looks();
  expect(served()).toBe('1');
  stage.remove(two);
  await stage.looks();
  stage.pass(11_000);
  stage.add(two);
  await stage.looks();
  expect(served()).toBe('1');
  stage.pass(11_000);
  await until(() => served() !== '1');
});

test('requests to a replaced version whose workers have gone are refused, and can be sent again', async () => {
  const { served, reasonOf, ...stage } = await openRollout([one]);
  stage.replace(one, two);
  await until(() => served() === '2');
  expect(reasonOf(one)).toBeUndefined();
  stage.takeWorkersAway(one);
  await stage.looks();
  stage.pass(3000);
  await until(() => reasonOf(one) !== undefined);
  expect(reasonOf(one)).toMatchObject({ code: 'queue_unavailable', retryAfterSeconds: 1 });
  expect(reasonOf(two)).toBeUndefined();
});

test('so are requests to a model that was unloaded', async () => {
  const { served, reasonOf, ...stage } = await openRollout([one]);
  stage.unload(one);
  await until(() => served() === '');
  stage.takeWorkersAway(one);
  await stage.looks();
  stage.pass(3000);
  await until(() => reasonOf(one) !== undefined);
  expect(reasonOf(one)?.code).toBe('queue_unavailable');
});

test('a version that is put in place of one at rest gets the requests, which wait for its first worker', async () => {
  const { served, reasonOf, ...stage } = await openRollout([one]);
  stage.replaceIdle(one, two);
  await stage.looks();
  stage.pass(20_000);
  await stage.looks();
  expect(served()).toBe('1');
  stage.pass(6000);
  await until(() => served() === '2');
  expect(reasonOf(two)).toBeUndefined();
  // A worker may be starting with the old one.
  stage.pass(8000);
  await stage.looks();
  expect(reasonOf(one)).toBeUndefined();
  stage.pass(3000);
  await until(() => reasonOf(one)?.code === 'queue_unavailable');
});

test('a new model gets requests without a worker once none has run for ten seconds', async () => {
  const { served, ...stage } = await openRollout([one]);
  stage.add(makeSampleModel({ name: 'other', version: '7' }));
  await stage.looks();
  stage.pass(60_000);
  await stage.looks();
  expect(served()).toBe('1');
  stage.takeWorkersAway(one);
  await stage.looks();
  stage.pass(9000);
  await stage.looks();
  expect(served()).toBe('1');
  stage.pass(2000);
  await until(() => served() === '1,7');
});
