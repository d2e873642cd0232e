// Tests versions at the edges of the API: which one a request goes to, what the list of models says of them, and who
// may load and unload models.

import { describe, expect, test } from 'vitest';
import { anyone, type Caller } from '../../api/access/caller.js';
import { chosen } from '../../api/routing.js';
import type { Waiting } from '../../api/versions/rollout.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import { splitOf } from '../../shared/registry/traffic.js';
import { ask, post } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { askGrpc, encodeInfer } from './grpc-client.js';
import { openScene, openToAnyone } from './http-scene.js';

const network = {
  inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1] }],
  outputs: [{ name: 'scores', datatype: 'FP32', shape: [-1, 5] }],
};
const [two, one] = ['2', '1'].map((version) =>
  makeSampleModel({ name: 'text', version, network }),
) as [Model, Model];

const text = Buffer.from([1, 0, 0, 0, 'a'.charCodeAt(0)]);
const message = encodeInfer({
  ...{ model: 'text', raw: [text] },
  inputs: [{ name: 'text', datatype: 'BYTES', shape: [1] }],
});

async function openSplit(options: Parameters<typeof openScene>[0] = {}) {
  const scene = await openScene({ models: [two, one], ...options });
  const split = splitOf([two, one], { weights: { 1: 50, 2: 50 }, sticky: { header: 'x-user' } });
  if (!split) throw new Error('Two versions with weights are a split.');
  return {
    scene,
    share: () => scene.registry.replace([two, one], { splits: new Map([['text', split]]) }),
  };
}

describe('a request', () => {
  const users = Array.from({ length: 12 }, (_, at) => `user-${at}`);

  test('goes to the latest version, or to the one that it names', async () => {
    const { scene } = await openSplit();
    const versionAt = async (path: string) =>
      (await post(scene.url + path, { input: 'hello' })).body.version;
    expect(await versionAt('/v1/models/text/score')).toBe('2');
    expect(await versionAt('/v1/models/text/versions/1/score')).toBe('1');
    // Express matches less strictly than the gate, and finds the same.
    expect(await versionAt('/v1/models/text/versions/1/score/')).toBe('1');
    await post(`${scene.url}/score`, { input: 'hello' });
    expect(scene.submissions.at(-1)?.model).toBe(two);
  });

  test.each([
    ['/v1/models/text/score', { input: 'hello' }],
    ['/v1/models/text/score/', { input: 'hello' }],
    ['/score', { input: 'hello' }],
    ['/score?model=text', { input: 'hello' }],
  ])(
    'to %s with the same value of the sticky header goes to the same version',
    async (path, body) => {
      const { scene, share } = await openSplit();
      share();
      const versions: unknown[] = [];
      for (const user of [...users, ...users]) {
        await post(scene.url + path, body, { 'x-user': user });
        versions.push(scene.submissions.at(-1)?.model.version);
      }
      expect(versions.slice(0, users.length)).toEqual(versions.slice(users.length));
      expect(new Set(versions)).toEqual(new Set(['1', '2']));
      const named = await post(`${scene.url}/v1/models/text/versions/1/score`, body, {
        'x-user': users[versions.indexOf('2')] as string,
      });
      expect(named.body.version).toBe('1');
    },
  );

  test('with the same Idempotency-Key goes to the same version, whether the key is in quotes or not', async () => {
    const { scene, share } = await openSplit();
    share();
    const [latest] = scene.registry.latest;
    const versionFor = (key: string) =>
      chosen(scene.registry, latest ?? two, (name) =>
        name === 'idempotency-key' ? key : undefined,
      ).version;
    const versions = users.map(versionFor);
    expect(new Set(versions)).toEqual(new Set(['1', '2']));
    expect(users.map((user) => versionFor(`"${user}"`))).toEqual(versions);
  });

  test('of one user goes to the same version at each edge', async () => {
    const { scene, share } = await openSplit({ grpc: true });
    share();
    for (const user of users.slice(0, 4)) {
      const answer = await post(
        `${scene.url}/v1/models/text/score`,
        { input: 'a' },
        { 'x-user': user },
      );
      await askGrpc(scene.grpcPort, 'ModelInfer', message, { metadata: { 'x-user': user } });
      expect(scene.submissions.at(-1)?.model.version).toBe(answer.body.version);
    }
  });
});

test('a request without a version is refused if none may answer, and one with a version is not', async () => {
  const { scene } = await openSplit();
  const refusal = new ScorelineError('model_not_found', 'version 3 cannot be served');
  scene.registry.replace([two, one], { refusals: new Map([['text', refusal]]) });
  for (const path of ['/v1/models/text/score', '/score?model=text', '/score']) {
    const { status } = await post(scene.url + path, { input: 'hello' });
    expect([path, status >= 400 && status < 500]).toEqual([path, true]);
  }
  const refused = await post(`${scene.url}/v1/models/text/score`, { input: 'hello' });
  expect(refused).toMatchObject({ status: 404, body: { detail: refusal.message } });
  expect(scene.submissions).toEqual([]);
  const named = await post(`${scene.url}/v1/models/text/versions/2/score`, { input: 'hello' });
  expect(named.body.version).toBe('2');
  const { models } = (await ask(`${scene.url}/v1/models`)).body;
  expect(models.map(({ traffic }: { traffic: unknown }) => traffic)).toEqual([
    { latest: false, share: 0 },
    { latest: false, share: 0 },
  ]);
});

test('a list of models that is read while others take their place is all of before or all of after', async () => {
  const reread = [two, one].map((model) => ({ ...model }));
  const waiting: Waiting[] = [];
  const { scene } = await openSplit({
    whileCounting: () => {
      scene.registry.replace(reread, { shadows: new Map(), refusals: new Map(), leftOut: [] });
      waiting.length = 0;
    },
    rollout: {
      ...{ load: () => Promise.reject(), unload: () => Promise.reject() },
      get waiting() {
        return [...waiting];
      },
    },
  });
  const refusal = new ScorelineError('model_not_found', 'The only version is a shadow.');
  const begin = () => {
    scene.registry.replace([two, one], {
      shadows: new Map([['text', { model: two, of: new Set([one.queue]), percent: 50 }]]),
      refusals: new Map([['other', refusal]]),
      leftOut: [{ name: 'other', error: refusal }],
    });
    waiting.push({ name: 'text', version: '3', state: 'loading' });
  };
  begin();
  const { models, leftOut, waiting: listed } = (await ask(`${scene.url}/v1/models`)).body;
  expect(models).toMatchObject([
    { version: '2', traffic: { latest: true, shadow: { of: ['1'], percent: 50 } } },
    { version: '1', traffic: { latest: false } },
  ]);
  expect(leftOut).toMatchObject([{ reason: refusal.message }]);
  expect(listed).toMatchObject([{ version: '3' }]);
  begin();
  const index = await post(`${scene.url}/v2/repository/index`, {});
  expect(index.body.map(({ version }: { version?: string }) => version)).toContain('3');
});

test('the list of models says whose requests a shadow copies, and why a model refuses requests', async () => {
  const { scene } = await openSplit();
  const refusal = new ScorelineError('model_not_found', 'The only version is a shadow.');
  const broken = new ScorelineError('manifest_invalid', '/models/other/model.yaml: a path');
  scene.registry.replace([two, one], {
    shadows: new Map([['text', { model: two, of: new Set([one.queue]), percent: 50 }]]),
    refusals: new Map([['text', refusal]]),
    leftOut: [
      { name: 'text', error: refusal },
      { name: 'other', version: '1', error: broken },
    ],
  });
  const { models, leftOut } = (await ask(`${scene.url}/v1/models`)).body;
  const counts = { same: 0, different: 0, failed: 0, left_out: 0 };
  expect(models[0].traffic.shadow).toEqual({ of: ['1'], percent: 50, ...counts });
  expect(leftOut).toEqual([
    { name: 'text', code: 'model_not_found', reason: refusal.message },
    {
      ...{ name: 'other', version: '1', code: 'manifest_invalid' },
      reason: 'A model.yaml or traffic.yaml is wrong',
    },
  ]);
});

test('the list of models says what each version gets, and which get nothing', async () => {
  const waiting = [
    { name: 'text', version: '3', state: 'failed', code: 'model_file_wrong' },
  ] as const;
  const { scene, share } = await openSplit({
    rollout: { waiting, load: async () => {}, unload: async () => {} },
  });
  const read = async () => (await ask(`${scene.url}/v1/models`)).body;
  const trafficIn = (list: Awaited<ReturnType<typeof read>>) =>
    list.models.map(({ traffic }: { traffic: unknown }) => traffic);
  expect(trafficIn(await read())).toEqual([
    { latest: true, share: 1 },
    { latest: false, share: 0 },
  ]);
  share();
  const list = await read();
  expect(trafficIn(list)).toEqual([
    { latest: true, share: 0.5, sticky: 'x-user' },
    { latest: false, share: 0.5, sticky: 'x-user' },
  ]);
  const reason = 'A model file is wrong, or another one than its manifest names';
  expect(list.waiting).toEqual([{ ...waiting[0], reason }]);
  const index = await post(`${scene.url}/v2/repository/index`, {});
  expect(index.body.at(-1)).toEqual({
    ...{ name: 'text', version: '3', state: 'UNAVAILABLE', reason: 'model_file_wrong' },
  });
});

describe('an order to load or unload a model', () => {
  const path = '/v2/repository/models/text/load';

  async function openOrders(options: Parameters<typeof openScene>[0] = {}) {
    const orders: string[] = [];
    const note = (what: string) => async (name: string) => void orders.push(`${what} ${name}`);
    const rollout = { waiting: [], load: note('load'), unload: note('unload') };
    return { scene: await openScene({ ...options, rollout }), orders };
  }

  const accessOf = (caller: Partial<Caller>) => ({
    ...openToAnyone,
    identify: () => ({ ...anyone, ...caller }),
  });

  test('may have no body, or one without parameters that it cannot follow', async () => {
    const { scene, orders } = await openOrders();
    const none = await ask(scene.url + path, { method: 'POST' });
    expect(none).toMatchObject({ status: 200, body: {} });
    const unload = path.replace(/load$/, 'unload');
    const parameters = { unload_dependents: true };
    expect((await post(scene.url + unload, { parameters })).status).toBe(200);
    expect(orders).toEqual(['load text', 'unload text']);
    for (const [body, code, got] of [
      [
        '{"parameters":{"config":"{}"}}',
        'parameter_invalid',
        'got {"parameters":{"config":"{}"}}.',
      ],
      ['[1]', 'parameter_invalid', 'got [1].'],
      ['{', 'invalid_json', 'Expected no body'],
    ] as const) {
      const answer = await ask(scene.url + path, { method: 'POST', body });
      const error = expect.stringContaining(got);
      expect(answer).toMatchObject({ status: 400, body: { code, error } });
    }
    expect((await ask(scene.url + path)).status).toBe(405);
    expect(orders).toHaveLength(2);
  });

  test.each([
    ['to another host', { headers: { Host: 'scoreline.example.com' } }, {}],
    ['from a page of another site', { headers: { origin: 'https://example.com' } }, {}],
    ['where everyone gets in', {}, { configuration: { AUTH: [] } }],
    [
      'of a caller that may only score',
      {},
      { configuration: { AUTH: ['keys' as const] }, access: accessOf({ scopes: ['score'] }) },
    ],
  ])('%s is refused', async (_, init, options) => {
    const { scene, orders } = await openOrders(options);
    const client = await scene.connect();
    const { headers = {} } = init as { headers?: Record<string, string> };
    const fields = { Host: '127.0.0.1', ...headers, 'content-length': '0' };
    client.post(path, { ...fields });
    const { status, body } = await client.response();
    expect([status, body.code]).toEqual([403, 'scope_missing']);
    expect(orders).toEqual([]);
  });

  test('of an operator with a key is followed', async () => {
    const { scene, orders } = await openOrders({
      configuration: { AUTH: ['keys'] },
      access: accessOf({ scopes: ['admin'] }),
    });
    expect((await post(scene.url + path, {})).status).toBe(200);
    expect(orders).toEqual(['load text']);
  });
});
