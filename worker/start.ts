// The worker: loads its models, warms them up, and only then takes jobs.

import { randomUUID } from 'node:crypto';
import type { Configurations } from '../shared/configuration.js';
import { makeKeys } from '../shared/keys.js';
import type { Running } from '../shared/lifecycle.js';
import type { Logger } from '../shared/log.js';
import { readModels } from '../shared/models.js';
import { connectConsumer, waitUntilReady } from '../shared/redis.js';
import { openScorer } from './batch/scorer.js';
import { makeCells, makeQuarantine } from './quarantine/quarantine.js';
import { makeConsumer } from './queue/consumer.js';
import { announce } from './queue/presence.js';
import { makeQueue } from './queue/queue.js';
import { makeSendReplies } from './queue/replies.js';
import { makeResults } from './queue/results.js';

/** What of SHUTDOWN_MS is kept for handing back what is not done by then. */
const handBackMs = 2000;

export async function startWorker(
  configuration: Configurations['worker'],
  log: Logger,
  abandon: (reason: string) => void,
): Promise<Running> {
  const models = readModels({
    directory: configuration.MODELS_DIR,
    names: configuration.MODELS,
    filesNeeded: true,
  });
  const scorers = await Promise.all(
    models.map(async (model) => {
      const started = performance.now();
      const scorer = await openScorer(model, log, () =>
        abandon(`a run of ${model.name} takes longer than runMsMax, ${model.manifest.runMsMax} ms`),
      );
      const warmUpMs = Math.round(performance.now() - started);
      log.info({ model: model.name, version: model.version, warmUpMs }, 'model is warm');
      return { model, scorer };
    }),
  );

  const redis = connectConsumer({ url: configuration.REDIS_URL, name: 'worker', log });
  await waitUntilReady(redis, log);
  const keys = makeKeys(configuration.QUEUE_PREFIX);
  const kept = makeResults({ redis, keys, log });
  const sendReplies = makeSendReplies({ redis, keys, log });
  const cells = makeCells();
  const consumers = scorers.map(({ model, scorer }) =>
    makeConsumer({
      model,
      scorer,
      queue: makeQueue({ name: model.queue, redis, keys, log }),
      quarantine: makeQuarantine({ model, cells, log }),
      kept,
      sendReplies,
      log,
    }),
  );
  const presence = await announce({
    redis,
    keys,
    queues: models.map((model) => model.queue),
    workerId: randomUUID(),
  });
  log.info({ models: models.map((model) => model.name) }, 'worker is ready');

  return {
    report: { models: models.map((model) => model.name) },
    close: async () => {
      await presence.close();
      await Promise.all(
        consumers.map((consumer) => consumer.close(configuration.SHUTDOWN_MS - handBackMs)),
      );
      cells.close();
      await Promise.all(scorers.map(({ scorer }) => scorer.close()));
      redis.disconnect();
    },
  };
}
