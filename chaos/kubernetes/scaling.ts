// How workers come and go: the first request to a model that has none, a burst, and the time after it.

import { workerSelector } from '../../k8s/names.js';
import type { PlannedModel } from '../../k8s/plan.js';
import type { Input } from '../target.js';
import { waitUntil } from '../wait.js';
import type { SeenPod } from './pods.js';
import type { Stage } from './stage.js';

/** A cluster may have to start a machine for the first pod. */
const startsWithinMs = 180_000;
const endsWithinMs = 180_000;

export async function waitUntilNone(stage: Stage): Promise<void> {
  const isNone = () => stage.plan.models.every((model) => workersOf(stage, model).length === 0);
  if (!(await waitUntil(isNone, endsWithinMs))) {
    throw new Error('KEDA does not take the workers away; see kubectl describe scaledobject.');
  }
}

/** Asks a model that has no worker. The answer must come in the response to this very request. */
export async function askFirst(stage: Stage, planned: PlannedModel): Promise<void> {
  const { catalogue, load, now, times, tally } = stage;
  const { name } = planned.model;
  const client = load.openClient();
  const sentAt = now();
  const asking = load.send(client, catalogue.inputsOf(name)[0] as Input, false);
  const answered = asking.then((verdict) => {
    times.record(`${name}: from the first request to its answer`, now() - sentAt);
    return verdict;
  });
  const first = () => workersOf(stage, planned)[0];
  if (await waitUntil(() => first() !== undefined, startsWithinMs)) {
    times.record(
      `${name}: from the first request to the first pod`,
      (first()?.seenAt ?? 0) - sentAt,
    );
  }
  const verdict = await answered;
  client.close();
  if (verdict.type !== 'right') tally.recordIllness(`${name} does not answer its first request`);
}

/** Starts the load, and waits until the model that has most to do has the most workers. */
export async function burst(stage: Stage, clients: number): Promise<void> {
  const { load, now, plan, say, times, tally } = stage;
  say(`${clients} clients ask at once, and go on.`);
  const from = now();
  load.start(clients);
  const ready = (model: PlannedModel) => workersOf(stage, model).filter(({ isReady }) => isReady);
  const isAt = (wanted: (model: PlannedModel) => number) => () =>
    plan.models.some((model) => ready(model).length >= wanted(model));
  const until = async (what: string, condition: () => boolean) => {
    if (await waitUntil(condition, startsWithinMs)) times.record(what, now() - from);
    else tally.recordIllness(`${what}: not within ${startsWithinMs / 1000} s`);
  };
  await until(
    'a burst, to the first worker',
    isAt(() => 1),
  );
  await until(
    'a burst, to the most workers of a model',
    isAt(({ scaling }) => scaling.max),
  );
}

function workersOf({ pods }: Stage, { name }: PlannedModel): SeenPod[] {
  return pods.having(workerSelector(name));
}
