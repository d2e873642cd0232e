// Tests the parts of `npm run e2e:k8s` that need no cluster.

import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeClient } from '../../chaos/client.js';
import { referenceContract } from '../../chaos/contracts.js';
import type { Kubectl } from '../../chaos/kubernetes/kubectl.js';
import { readTrialPlan } from '../../chaos/kubernetes/plan.js';
import { followPods } from '../../chaos/kubernetes/pods.js';
import { findFreePort } from '../../cli/redis/redis.js';
import { makeManifests, writeManifests } from '../../k8s/manifests.js';
import { root, waitUntil } from '../harness.js';
import { openPeer } from '../peer.js';
import { makeFolder } from '../unit/sample-model.js';
import { azure, filesWith, onAks, sampleValues } from './cluster.js';

describe('the command', () => {
  const run = (...options: string[]) =>
    spawnSync(process.execPath, [path.join(root, 'dist/cli/e2e-k8s.js'), ...options], {
      encoding: 'utf8',
      env: { ...process.env, PATH: makeFolder({}) },
    });

  test('says why it skips, and does not fail, where kubectl or a cluster is missing', () => {
    const { status, stderr } = run();
    expect(stderr).toMatch(/^Skipped: expected a cluster .*; there is no command kubectl here\n$/);
    expect(status).toBe(0);
  });

  test.each([
    ['an unknown part', ['--only', 'drain,flood'], /^--only: expected .*bad-pods; got flood\n$/],
    ['a namespace that cannot be', ['--namespace', 'A_b'], /^--namespace: expected .*; got A_b\n$/],
  ])('refuses %s', (_what, options, words) => {
    const { status, stderr } = run(...options);
    expect(stderr).toMatch(words);
    expect(status).toBe(1);
  });
});

describe('the plan of a trial', () => {
  const read = (file: string, modelsDirectory = path.join(root, 'models')) =>
    readTrialPlan({ file, modelsDirectory, namespace: 'trial', images: { api: 'mine/api:1' } });
  const values = path.join(root, 'chaos/kubernetes/values.yaml');

  test('keeps to a namespace of its own', () => {
    const files = writeManifests(makeManifests(read(values)));
    const text = Object.values(files).join('');
    const namespaces = [...text.matchAll(/^ {2}namespace: (.*)$/gm)].map(([, name]) => name);
    expect(new Set(namespaces)).toEqual(new Set(['trial']));
    expect(files['namespace.yaml']).toContain('name: trial\n');
    expect(text).toContain('image: mine/api:1\n');
  });

  test('uses neither the entrance nor the Redis of the values, which others use too', () => {
    const folder = makeFolder({
      'values.yaml': {
        ...sampleValues,
        models: [{ name: 'faq-matcher' }, { name: 'efficientnet-lite0', cpu: 4 }],
        azure,
        ...onAks,
        redis: { kind: 'azure', host: 'scoreline.westeurope.redis.azure.net' },
      },
    });
    const plan = read(path.join(folder, 'values.yaml'));
    expect(plan.values).toMatchObject({
      entrance: { kind: 'none' },
      redis: { kind: 'in-cluster' },
    });
    expect(plan.values.azure).toBeUndefined();
    expect(plan.values.aks).toBeUndefined();
    expect(plan.models.map(({ cpu }) => cpu)).toEqual([1, 4]);
  });

  test('needs both models of the trial', () => {
    const folder = makeFolder(filesWith());
    expect(() => read(path.join(folder, 'values.yaml'), path.join(folder, 'models'))).toThrow(
      /values\.yaml: models: expected faq-matcher and efficientnet-lite0; faq-matcher is missing/,
    );
  });
});

test('the answers of the reference contract are read as those of the native one', () => {
  const { read } = referenceContract().makeForm();
  const ranking = [
    [7, 70, 0.9],
    [8, 80, 0.05],
    [9, 90, 0.03],
    [6, 60, 0.02],
  ];
  expect(read(JSON.stringify({ result: [ranking, 'Computed in 1 ms'] }))).toEqual([
    ['7', 0.9],
    ['8', 0.05],
    ['9', 0.03],
  ]);
  const classes = [['n02123597 Siamese cat, Siamese', 0.98]];
  expect(read(JSON.stringify({ result: [{ picture: classes }, 'Computed in 1 ms'] }))).toEqual([
    ['Siamese cat, Siamese', 0.98],
  ]);
});

test('pods are followed from their first sight to their end', () => {
  let tell = (_line: string) => {};
  const kubectl = {
    follow(_parameters: readonly string[], onLine: (line: string) => void) {
      tell = onLine;
      return { close() {} };
    },
  } as unknown as Kubectl;
  let now = 0;
  const pods = followPods(kubectl, () => now);
  const event = (type: string, status: object, deletionTimestamp?: string) => {
    const metadata = { uid: '1', name: 'a', labels: { app: 'x' }, deletionTimestamp };
    now += 100;
    tell(JSON.stringify({ type, object: { metadata, spec: { nodeName: 'n' }, status } }));
  };
  const ready = { conditions: [{ type: 'Ready', status: 'True' }] };
  const terminated = { reason: 'OOMKilled' };
  event('ADDED', {});
  expect(pods.having({ app: 'x' })).toMatchObject([{ name: 'a', seenAt: 100, isReady: false }]);
  event('MODIFIED', {
    ...ready,
    containerStatuses: [{ restartCount: 1, lastState: { terminated } }],
  });
  expect(pods.having({ app: 'x' })).toMatchObject([
    { isReady: true, readyAt: 200, restarts: 1, lastEnd: terminated, isEnding: false },
  ]);
  event('MODIFIED', ready, '2026-01-01T00:00:00Z');
  expect(pods.having({ app: 'x' })).toMatchObject([{ isEnding: true, readyAt: 200 }]);
  event('DELETED', {});
  expect(pods.having({ app: 'x' })).toEqual([]);
  expect(pods.all).toMatchObject([{ name: 'a', goneAt: 400 }]);
});

test('the relay passes requests on, and the end of a connection', async () => {
  const peer = await openPeer((response) => response.setHeader('Connection', 'close').end('hello'));
  const port = await findFreePort();
  // As in a pod, the code is an argument.
  const code = readFileSync(path.join(root, 'dist/chaos/kubernetes/relay.js'), 'utf8');
  const relay = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    env: {
      RELAY_HOST: '127.0.0.1',
      RELAY_TO: new URL(peer.url).port,
      RELAY_PORT: String(port),
    },
    stdio: 'inherit',
  });
  onTestFinished(() => void relay.kill());
  const client = makeClient({ address: { host: '127.0.0.1', port }, onAnsweredTwice: () => {} });
  onTestFinished(client.close);
  const request = Buffer.from('GET / HTTP/1.1\r\nHost: relay\r\n\r\n');
  await waitUntil('the relay listens', async () => {
    return (await client.ask(request, 60_000)).type === 'response';
  });
  expect(await client.ask(request, 60_000)).toMatchObject({
    type: 'response',
    response: { status: 200 },
  });
});
