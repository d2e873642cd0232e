// The trial of the service on a cluster: from no workers to the first answer, to many workers, through
// everything that happens to pods, and to no workers again. The judge of the chaos run decides about each
// request.

import { componentLabel } from '../../k8s/names.js';
import { redisServiceName } from '../../k8s/redis-place.js';
import { findLeftBehind } from '../service.js';
import type { Summary } from '../tally.js';
import { type Disturbance, disturb } from './disturbances.js';
import { askFirst, burst, waitUntilNone } from './scaling.js';
import { openStage, type Stage, type StageOptions } from './stage.js';
import type { Times } from './times.js';

/** Runs the trial. Throws if it cannot go on; whatever else is wrong is in the summary. */
export async function runTrial(
  options: StageOptions & { disturbances: readonly Disturbance[]; clients: number },
): Promise<{ summary: Summary; times: Times }> {
  const stage = await openStage(options);
  const { load, now, tally, times } = stage;
  const startedAt = now();
  try {
    await waitUntilNone(stage);
    for (const model of options.plan.models) await askFirst(stage, model);
    await waitUntilNone(stage);
    await burst(stage, options.clients);
    for (const disturbance of options.disturbances) await disturb(stage, disturbance);
    await load.close();
    const endedAt = now();
    await waitUntilNone(stage);
    times.record('from the end of the load to no worker', now() - endedAt);
    await findIllness(stage);
    for (const model of options.plan.models) await askFirst(stage, model);
  } finally {
    stage.pods.close();
  }
  const seconds = Math.round((now() - startedAt) / 100) / 10;
  return { summary: tally.summarize({ seed: options.seed, seconds }), times };
}

/** Notes what requests cannot show: work left in Redis, and containers that ended by themselves. */
async function findIllness({ catalogue, kubectl, pods, tally }: Stage): Promise<void> {
  const redis = `${redisServiceName}-0`;
  const left = await findLeftBehind(catalogue.queues, async (command, key) =>
    Number(await kubectl.run('exec', redis, '--', 'redis-cli', command, key)),
  );
  for (const reason of left) tally.recordIllness(reason);
  for (const { name, labels, lastEnd, restarts } of pods.all) {
    const isApi = labels[componentLabel] === 'api';
    // The process of a worker is killed once, on purpose.
    const isTooOften = restarts > (isApi ? 0 : 1);
    if (lastEnd && (isTooOften || lastEnd.reason === 'OOMKilled')) {
      tally.recordIllness(`${name} restarted: ${lastEnd.reason}: ${lastEnd.message}`);
    }
  }
}
