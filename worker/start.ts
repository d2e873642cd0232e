// The worker: loads its models, warms them up, and only then takes jobs.

import { randomUUID } from 'node:crypto';
import type { Configurations } from '../shared/configuration.js';
import { makeKeys } from '../shared/contract.js';
import type { Running } from '../shared/lifecycle.js';
import type { Logger } from '../shared/log.js';
import { readModels } from '../shared/models.js';
import { connectConsumer, waitUntilReady } from '../shared/redis.js';
import { makeConsumer } from './consumer.js';
import { announce } from './presence.js';
import { makeSendReplies } from './replies.js';
import { openScorer } from './scorer.js';

export async function startWorker(
  configuration: Configurations['worker'],
  log: Logger,
): Promise<Running> {
  const models = readModels({
    directory: configuration.MODELS_DIR,
    names: configuration.MODELS,
    filesNeeded: true,
  });
  const scorers = await Promise.all(
    models.map(async (model) => {
      const started = performance.now();
      const scorer = await openScorer(model, log);
      const warmUpMs = Math.round(performance.now() - started);
      log.info({ model: model.name, version: model.version, warmUpMs }, 'model is warm');
      return { model, scorer };
    }),
  );

  const redis = connectConsumer({ url: configuration.REDIS_URL, name: 'worker', log });
  await waitUntilReady(redis);
  const keys = makeKeys(configuration.QUEUE_PREFIX);
  const sendReplies = makeSendReplies(redis, keys);
  const consumers = scorers.map(({ model, scorer }) =>
    makeConsumer({ model, scorer, redis, keys, sendReplies, log }),
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
      await Promise.all(consumers.map((consumer) => consumer.close()));
      await Promise.all(scorers.map(({ scorer }) => scorer.close()));
      redis.disconnect();
    },
  };
}
