// What happens to the pods of a service in operation, one thing after the other, under load.

import process from 'node:process';
import type { IPod } from 'kubernetes-models/v1/Pod';
import { apiName } from '../../k8s/api.js';
import { selectorOf, workerSelector } from '../../k8s/names.js';
import type { DisturbanceKind } from '../timeline.js';
import { waitUntil } from '../wait.js';
import { makeKubectl, runAtExit } from './kubectl.js';
import type { SeenPod } from './pods.js';
import type { Stage } from './stage.js';

export interface Disturbance {
  readonly name: string;
  readonly kind: DisturbanceKind;
  readonly what: string;
  /** Resolves once the cluster has noticed. */
  happen(stage: Stage): Promise<void>;
}

const noticedWithinMs = 60_000;
const steadyWithinMs = 180_000;
const recoversWithinMs = 60_000;
const updatesWithin = '180s';
/** A budget may forbid an eviction for a while. On a cluster of one machine that never changes. */
const drainsWithinMs = 20_000;
const evictEveryMs = 1000;

/** In the order in which they happen. */
export const disturbances: readonly Disturbance[] = [
  {
    name: 'kill-process',
    kind: 'kill',
    what: 'The process of a worker of each model is killed.',
    happen: (stage) =>
      toOneOfEach(stage, async (pod) => {
        const { restarts } = pod;
        // The shell kills everything that it may but itself. The init then ends the container.
        await stage.kubectl.run('exec', pod.name, '--', 'sh', '-c', 'kill -9 -1').catch(() => {});
        await waitUntil(() => pod.restarts > restarts || isGone(pod), noticedWithinMs);
      }),
  },
  {
    name: 'kill-pod',
    kind: 'kill',
    what: 'A pod of each model is deleted by force.',
    happen: (stage) =>
      toOneOfEach(stage, async (pod) => {
        await stage.kubectl.run('delete', 'pod', pod.name, '--grace-period=0', '--force');
        await waitUntil(() => isGone(pod), noticedWithinMs);
      }),
  },
  {
    name: 'worker-update',
    kind: 'worker-update',
    what: 'All workers are replaced by a rolling update.',
    happen: (stage) =>
      update(
        stage,
        stage.plan.models.map(({ name }) => name),
      ),
  },
  {
    name: 'api-update',
    kind: 'api-update',
    what: 'All APIs are replaced by a rolling update.',
    happen: (stage) => update(stage, [apiName]),
  },
  {
    name: 'drain',
    kind: 'drain',
    what: 'A machine is drained of its workers, and comes back.',
    happen: drain,
  },
  {
    name: 'keda-restart',
    kind: 'keda-restart',
    what: "KEDA's operator restarts.",
    happen: restartKeda,
  },
  {
    name: 'redis-restart',
    kind: 'redis-restart',
    what: 'Redis restarts.',
    async happen({ kubectl, pods }) {
      const [redis] = pods.having(selectorOf('redis'));
      if (!redis) throw new Error('There is no pod of Redis.');
      const { restarts } = redis;
      await kubectl.run('exec', redis.name, '--', 'sh', '-c', 'kill 1');
      await waitUntil(() => redis.restarts > restarts, noticedWithinMs);
    },
  },
];

/** Lets it happen, and waits until all pods are ready and each model has answered again. */
export async function disturb(stage: Stage, disturbance: Disturbance): Promise<void> {
  const { load, now, pods, plan, say, timeline, times } = stage;
  const { name, kind, what } = disturbance;
  say(what);
  const sentBefore = load.sent;
  const from = now();
  const end = timeline.begin(kind);
  await disturbance.happen(stage);
  const groups = [
    selectorOf('api'),
    selectorOf('redis'),
    ...plan.models.map((model) => workerSelector(model.name)),
  ].map((labels) => () => pods.having(labels));
  const isSteady = () =>
    groups.every(
      (group) => group().length > 0 && group().every((pod) => pod.isReady && !pod.isEnding),
    );
  if (!(await waitUntil(isSteady, steadyWithinMs)))
    stage.tally.recordIllness(`${name}: not all pods came back`);
  end();
  times.record(`${name}: until all pods were ready again`, now() - from);
  if (!(await waitUntil(timeline.isRecovered, recoversWithinMs))) {
    stage.tally.recordIllness(`${name}: not every model answers again`);
  }
  // The next disturbance must not meet requests that have met this one.
  await load.settled();
  say(`${name}: ${load.sent - sentBefore} requests were sent meanwhile.`);
}

async function toOneOfEach(stage: Stage, happen: (pod: SeenPod) => Promise<void>): Promise<void> {
  const victims = stage.plan.models.flatMap(({ name }) =>
    stage.pods
      .having(workerSelector(name))
      .filter(({ isReady, isEnding }) => isReady && !isEnding)
      .slice(0, 1),
  );
  await Promise.all(victims.map(happen));
}

async function update({ kubectl }: Stage, deployments: readonly string[]): Promise<void> {
  const objects = deployments.map((name) => `deployment/${name}`);
  await kubectl.run('rollout', 'restart', ...objects);
  await Promise.all(
    objects.map((object) => kubectl.run('rollout', 'status', object, `--timeout=${updatesWithin}`)),
  );
}

/**
 * Does to the workers what `kubectl drain` does to every pod of a machine: nothing new may come, and each is
 * evicted as soon as its budget allows.
 */
async function drain({ kubectl, pods, plan, say }: Stage): Promise<void> {
  const workers = plan.models.flatMap(({ name }) => pods.having(workerSelector(name)));
  const node = workers[0]?.node;
  if (node === undefined) throw new Error('There is no worker to drain.');
  const victims = workers.filter((pod) => pod.node === node);
  const uncordonAtExit = () => runAtExit('uncordon', node);
  process.once('exit', uncordonAtExit);
  await kubectl.run('cordon', node);
  const remaining = new Set(victims);
  await waitUntil(
    async () => {
      for (const pod of remaining) if (await evict(kubectl, pod)) remaining.delete(pod);
      return victims.every((pod) => isGone(pod));
    },
    drainsWithinMs,
    evictEveryMs,
  );
  say(`Evicted ${victims.length - remaining.size} of ${victims.length} workers.`);
  await kubectl.run('uncordon', node);
  process.off('exit', uncordonAtExit);
}

/** Resolves to whether the eviction was allowed. */
async function evict({ namespace, feed }: Stage['kubectl'], { name }: SeenPod): Promise<boolean> {
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
  try {
    await feed(JSON.stringify(eviction), 'create', `--raw=${path}`, '--filename=-');
    return true;
  } catch (error) {
    if (/disruption budget/i.test((error as Error).message)) return false;
    if (/not found/i.test((error as Error).message)) return true;
    throw error;
  }
}

async function restartKeda({ kubectl }: Stage): Promise<void> {
  const selector = '--selector=app=keda-operator';
  const { items } = await kubectl.read<{ items: IPod[] }>(
    'get',
    'pods',
    '--all-namespaces',
    selector,
  );
  const namespace = items[0]?.metadata?.namespace;
  if (namespace === undefined) throw new Error("There is no pod of KEDA's operator.");
  const keda = makeKubectl(namespace);
  await keda.run('delete', 'pod', selector);
  await keda.run('wait', '--for=condition=Ready', 'pod', selector, `--timeout=${updatesWithin}`);
}

function isGone(pod: SeenPod): boolean {
  return pod.goneAt !== undefined;
}
