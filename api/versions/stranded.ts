// Stranded jobs: they wait in a version that has left the folder, and that no worker has loaded any more, such as after
// a restart. Nobody will score them, so they expire at their deadlines. An API that starts says so.

import { nowMs } from '../../shared/clock.js';
import type { Keys } from '../../shared/keys.js';
import type { Logger } from '../../shared/log.js';
import type { Model } from '../../shared/models.js';
import type { Redis } from '../../shared/redis.js';
import type { Queue } from '../queue/queue.js';

/** Remembers that jobs may be in the queues of these models, for instances that start later. Rejects with an error of Redis. */
export async function rememberQueues(
  { redis, keys }: { redis: Redis; keys: Keys },
  models: readonly Model[],
): Promise<void> {
  const names = models.flatMap(({ queues }) => queues.map(({ name }) => name));
  if (names.length > 0) await redis.sadd(keys.queues, ...names);
}

/** Logs a warning for each queue with unanswered inputs that nobody will answer. Rejects with an error of Redis. */
export async function warnOfStranded(options: {
  redis: Redis;
  keys: Keys;
  queue: Pick<Queue, 'countWorkers'>;
  /** The models that this instance knows, served or not. */
  known: readonly Model[];
  log: Logger;
}): Promise<void> {
  const { redis, keys, queue, known, log } = options;
  const isKnown = new Set(known.flatMap(({ queues }) => queues.map(({ name }) => name)));
  // Other instances may serve other models, so only versions of the models of this one are looked for.
  const names = new Set(known.map(({ name }) => `${name}@`));
  const isOurs = (queueName: string) => names.has(queueName.slice(0, queueName.indexOf('@') + 1));
  const unknown = (await redis.smembers(keys.queues)).filter(
    (name) => isOurs(name) && !isKnown.has(name),
  );
  const workers = await queue.countWorkers(unknown);
  for (const [at, name] of unknown.entries()) {
    if (workers[at]) continue;
    const unanswered = await redis.zcount(keys.unanswered(name), nowMs(), '+inf');
    if (unanswered === 0) {
      await redis.srem(keys.queues, name);
      continue;
    }
    const advice =
      'Put the folder of this version back, and workers will score them, or let them expire.';
    log.warn({ queue: name, unanswered, advice }, 'jobs wait in a version that is not there');
  }
}
