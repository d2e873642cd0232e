import { describe, expect, test } from 'vitest';
import { type MayRest, makeMayRest } from '../../api/versions/at-rest.js';
import { planVersions } from '../../api/versions/plan.js';
import type { Model } from '../../shared/registry/models.js';
import { makeRegistry, only } from '../../shared/registry/registry.js';
import type { Traffic } from '../../shared/registry/traffic.js';
import { errorOf, makeSampleModel } from './sample-model.js';

const version = (of: string, changes: object = {}) => makeSampleModel({ version: of, ...changes });
const [one, two, three] = ['1', '2', '3'].map((each) => version(each)) as [Model, Model, Model];
/** The second version with another file. */
const otherTwo = version('2', {
  source: { file: 'model.onnx', bytes: 4, sha256: 'b'.repeat(64) },
});

function plan(options: {
  wanted: readonly Model[];
  served?: readonly Model[];
  draining?: readonly Model[];
  ready?: readonly Model[];
  failed?: readonly Model[];
  inUse?: readonly Model[];
  lost?: readonly Model[];
  idle?: readonly Model[];
  unloaded?: readonly string[];
  /** Undefined if it cannot be read. */
  traffic?: Traffic | undefined;
  mayRest?: MayRest;
  isStart?: boolean;
}) {
  const { wanted, served = [], draining = [], ready = [], failed = [], inUse = [] } = options;
  const registry = makeRegistry(served);
  registry.replace(served, { draining });
  const has = (models: readonly Model[], queue: string) =>
    models.some((model) => model.queue === queue);
  const { models, leftOut, ...rest } = planVersions({
    wanted,
    leftOut: [],
    trafficOf: () => ('traffic' in options ? options.traffic : {}),
    unloaded: new Set(options.unloaded),
    served: registry,
    isReady: (queue) => has(ready, queue),
    faultOf: (queue) =>
      has(failed, queue) ? { code: 'model_file_wrong', message: 'no network' } : undefined,
    isInUse: ({ queue }) => has(inUse, queue),
    isLost: ({ queue }) => has(options.lost ?? [], queue),
    isIdle: (queue) => has(options.idle ?? [], queue),
    mayRest: options.mayRest ?? makeMayRest(),
    isStart: options.isStart ?? false,
  });
  return { models, leftOut, ...rest };
}

describe('a new version', () => {
  test('gets no requests before a worker is ready for it, and then is the latest', () => {
    const wanted = [two, one];
    expect(plan({ wanted, served: [one], ready: [one] }).models).toEqual([one]);
    expect(plan({ wanted, served: [one], ready: [one, two] }).models).toEqual([two, one]);
  });

  test('that cannot be loaded changes nothing, and the reason is there', () => {
    const { models, leftOut } = plan({
      ...{ wanted: [two, one], served: [one], ready: [one], failed: [two] },
    });
    expect(models).toEqual([one]);
    expect(leftOut).toMatchObject([
      { name: 'sample', version: '2', error: { code: 'model_load_failed' } },
    ]);
  });

  test('replaces the same version with other files only when it is ready', () => {
    const wanted = [otherTwo];
    expect(plan({ wanted, served: [two], ready: [two] }).models).toEqual([two]);
    const { models, draining } = plan({
      ...{ wanted, served: [two], ready: [two, otherTwo], inUse: [two] },
    });
    expect([models, draining]).toEqual([[otherTwo], [two]]);
  });

  test('in place of another in the same folder leaves that one until it is ready', () => {
    expect(plan({ wanted: [two], served: [one], ready: [one] }).models).toEqual([one]);
    const switched = plan({ wanted: [two], served: [one], ready: [one, two] });
    expect(switched).toMatchObject({ models: [two], draining: [] });
  });
});

describe('a version that has left the folder and has no workers', () => {
  const [lost, served, inUse] = [[one], [one], [one]];

  test('leaves its requests to what took its place, which wait for a worker', () => {
    const { models, draining } = plan({ wanted: [two], served, lost, inUse });
    expect([models, draining]).toEqual([[two], [one]]);
    const inPlace = plan({ wanted: [otherTwo], served: [two], lost: [two] });
    expect(inPlace.models).toEqual([otherTwo]);
  });

  test('does so although no worker can load that, so its requests are refused with the reason', () => {
    expect(plan({ wanted: [two], served, lost, failed: [two] }).models).toEqual([two]);
    expect(plan({ wanted: [two], served: [two], failed: [two] }).models).toEqual([two]);
  });

  test('changes nothing for the others', () => {
    const { models } = plan({
      wanted: [otherTwo, one],
      served: [two, one],
      lost: [two],
      ready: [one],
    });
    expect(models).toEqual([otherTwo, one]);
  });
});

describe('a version that leaves', () => {
  test('drains while it has requests', () => {
    const leaving = { wanted: [two], served: [two, one], ready: [one, two] };
    expect(plan({ ...leaving, inUse: [one] }).draining).toEqual([one]);
    const drained = plan({ ...leaving, served: [two], draining: [one] });
    expect(drained.draining).toEqual([]);
  });

  test('may come back while it drains', () => {
    const back = plan({
      ...{ wanted: [two, one], served: [two], draining: [one], ready: [one, two], inUse: [one] },
    });
    expect(back).toMatchObject({ models: [two, one], draining: [] });
  });

  test('drains with all others when the model is unloaded', () => {
    const { models, draining, leftOut } = plan({
      ...{ wanted: [two, one], served: [two, one], ready: [two, one], inUse: [two] },
      unloaded: ['sample'],
    });
    expect([models, draining]).toEqual([[], [two]]);
    expect(leftOut).toMatchObject([{ name: 'sample', error: { code: 'model_not_found' } }]);
  });
});

describe('at the start', () => {
  const isStart = true;
  const wanted = [two, one];

  test('everything is served if no worker has announced anything', () => {
    expect(plan({ wanted, isStart }).models).toEqual([two, one]);
    const alwaysOn = wanted.map((model) => version(model.version, { scaling: { min: 1 } }));
    expect(plan({ wanted: alwaysOn, isStart }).models).toEqual(alwaysOn);
  });

  test('a version that no worker can load is not served beside one that has a worker', () => {
    expect(plan({ wanted, isStart, ready: [one], failed: [two] }).models).toEqual([one]);
  });

  test('a version that workers always have waits for one, beside one that has', () => {
    const always = version('2', { scaling: { min: 1 } });
    expect(plan({ wanted: [always, one], isStart, ready: [one] }).models).toEqual([one]);
    // What the service was told counts more than the manifest.
    const told = { wanted: [always, one], isStart, ready: [one] };
    for (const those of [['sample'], [always.queue]]) {
      expect(plan({ ...told, mayRest: makeMayRest(those) }).models).toEqual([always, one]);
    }
    expect(plan({ ...told, mayRest: makeMayRest([one.queue]) }).models).toEqual([one]);
    expect(plan({ wanted, isStart, ready: [one], mayRest: makeMayRest([]) }).models).toEqual([one]);
  });

  test('a new model that comes later is served without workers if none comes, and it scales from zero', () => {
    expect(plan({ wanted: [one], idle: [one] }).models).toEqual([one]);
    expect(plan({ wanted: [one], idle: [one], failed: [one] }).models).toEqual([]);
    const busy = version('1', { scaling: { min: 1 } });
    expect(plan({ wanted: [busy], idle: [busy] }).models).toEqual([]);
    expect(plan({ wanted: [two, one], served: [one], ready: [one], idle: [two] }).models).toEqual([
      one,
    ]);
  });

  test('a new model that comes later is not served before it has a worker', () => {
    const { models, leftOut } = plan({ wanted: [one] });
    expect(models).toEqual([]);
    expect(leftOut).toMatchObject([{ error: { message: expect.stringContaining('is new') } }]);
  });
});

describe('requests that name no version', () => {
  const isStart = true;
  const wanted = [three, two, one];
  const shadow = { version: '3', percent: 100 };
  const refusalIn = ({ refusals }: ReturnType<typeof plan>) => refusals.get('sample')?.message;

  test('are refused if the one that should answer them cannot be served', () => {
    for (const traffic of [{ latest: '1' }, { latest: '1', shadow }, { weights: { 1: 100 } }]) {
      const planned = plan({ wanted, isStart, ready: [three, two], failed: [one], traffic });
      expect(planned.models).toEqual([three, two]);
      expect(refusalIn(planned)).toContain('version 1 cannot be served (model_file_wrong)');
      expect(refusalIn(planned)).toContain('may name a version that is served: 3, 2.');
      const error = planned.refusals.get('sample');
      expect(error).toMatchObject({ code: 'model_load_failed', unservedModel: 'sample' });
      expect(planned.leftOut.at(-1)).toEqual({ name: 'sample', error });
      const registry = makeRegistry([]);
      registry.replace(planned.models, planned);
      expect(registry.latest).toEqual([]);
      expect(errorOf(() => registry.find('sample')).message).toBe(refusalIn(planned));
      expect(errorOf(() => only(['sample'], registry).find('sample')).message).toBe(
        refusalIn(planned),
      );
      expect(registry.find('sample', '3')).toBe(three);
    }
  });

  test('are refused if there is only a shadow', () => {
    const planned = plan({ wanted: [three], ready: [three], traffic: { shadow } });
    expect(refusalIn(planned)).toContain('the only version that can be served is a shadow');
  });

  test('go to the others with a weight, and to none without', () => {
    const traffic = { weights: { 1: 90, 2: 10 } };
    const { models, splits } = plan({ wanted, ready: [three, one], failed: [two], traffic });
    expect(models[0]).toBe(one);
    expect(splits.size).toBe(0);
  });

  test('wait at the start for the one that should answer them', () => {
    const pinned = version('1', { scaling: { min: 1 } });
    const all = { wanted: [three, pinned], traffic: { latest: '1' } };
    const planned = plan({ ...all, isStart, ready: [three] });
    expect(planned.models).toEqual([pinned, three]);
    expect(refusalIn(planned)).toBeUndefined();
  });

  test('wait for the one that should answer them once its failure is over, if it scales from zero', () => {
    const traffic = { latest: '1', shadow };
    const all = { wanted: [three, one], served: [three], ready: [three], traffic };
    expect(plan({ ...all, failed: [one] }).models).toEqual([three]);
    expect(plan(all).models).toEqual([one, three]);
  });

  test('go on as before while the one that takes its place is loaded', () => {
    const traffic = { latest: '2', shadow };
    const served = [one, three];
    const planned = plan({ wanted: [three, two], served, ready: [one, three], traffic });
    expect(planned.models).toEqual([one, three]);
    expect(refusalIn(planned)).toBeUndefined();
    const ready = [one, two, three];
    expect(plan({ wanted: [three, two], served, ready, traffic }).models).toEqual([two, three]);
  });

  test('go nowhere, and nor do others, if the traffic cannot be read', () => {
    expect(plan({ wanted, isStart, ready: wanted, traffic: undefined })).toMatchObject({
      ...{ models: [], leftOut: [] },
    });
  });
});

test('a shadow follows the versions with the same input', () => {
  const other = version('1', { input: { kind: 'text', charactersMax: 5 } });
  const models = [three, two, other];
  const traffic = { latest: '2', shadow: { version: '3', percent: 50 } };
  const { shadows, splits } = plan({ wanted: models, served: models, ready: models, traffic });
  expect(shadows.get('sample')).toEqual({ model: three, percent: 50, of: new Set([two.queue]) });
  expect(splits.size).toBe(0);
});
