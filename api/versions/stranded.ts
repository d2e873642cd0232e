// Stranded jobs: they wait in a version that has left the folder, and that no worker has loaded any more, such as after
// a restart. Nobody will score them, so they expire at their deadlines. An API says so when it starts, and once an hour, and removes
// what has expired.

import { nowMs } from '../../shared/clock.js';
import type { Logger } from '../../shared/process/log.js';
import { lostMsMax } from '../../shared/redis/kept-results.js';
import type { Keys } from '../../shared/redis/keys.js';
import type { Redis } from '../../shared/redis/redis.js';
import type { Model } from '../../shared/registry/models.js';
import { jobQueueOf, priorities } from '../../shared/wire/priority.js';
import type { Queue } from '../queue/queue.js';

/** Notes for later instances that these models' queues may have jobs. Rejects with an error of Redis. */
export async function rememberQueues(
  { redis, keys }: { redis: Redis; keys: Keys },
  models: readonly Model[],
): Promise<void> {
  const names = models.flatMap(({ queues }) => queues.map(({ name }) => name));
  if (names.length > 0) await redis.sadd(keys.queues, ...names);
}

/**
 * Logs a warning for each queue with unanswered inputs that nobody will answer, and removes the jobs of those that have
 * none. Rejects with an error of Redis.
 */
export async function lookForStranded(options: {
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
      await removeJobs({ redis, keys }, name);
      continue;
    }
    const advice =
      'Put the folder of this version back, and workers will score them, or let them expire.';
    log.warn({ queue: name, unanswered, advice }, 'jobs wait in a version that is not there');
  }
}

/** Removes the jobs in a queue, and forgets it, once the last deadline is long past and no worker is there. */
async function removeJobs({ redis, keys }: { redis: Redis; keys: Keys }, name: string) {
  const bases = priorities.map((priority) => `${keys.prefix}:${jobQueueOf(name, priority)}:`);
  const lists = bases.flatMap((base) => ['wait', 'active'].map((list) => `${base}${list}`));
  const others = bases.flatMap((base) => ['marker', 'stalled'].map((other) => `${base}${other}`));
  const names = [keys.unanswered(name), keys.workers(name), keys.queues, ...lists, ...others];
  const now = Math.floor(nowMs());
  const values = [name, now, now - lostMsMax, ...bases];
  // A thousand at a time, so others are answered in between.
  while ((await redis.eval(removeScript, names.length, ...names, ...values)) === 1);
}

// An API counts an input before it adds its job. So there is none that this script does not know.
// KEYS: the unanswered inputs, the workers, the names of all queues, for each priority the jobs that wait and those that a worker
// held, and what else is left of it.
// ARGV: the name of the queue, now, after which deadlines a job may be held, for each priority what its keys begin with.
const removeScript = `
if redis.call('ZCOUNT', KEYS[1], ARGV[3], '+inf') > 0 then return end
if redis.call('ZCOUNT', KEYS[2], ARGV[2], '+inf') > 0 then return end
for at = 4, 7 do
  local base = ARGV[4 + math.floor((at - 4) / 2)]
  for _, id in ipairs(redis.call('LRANGE', KEYS[at], 0, 999)) do
    redis.call('DEL', base .. id, base .. id .. ':lock')
  end
  redis.call('LTRIM', KEYS[at], 1000, -1)
  if redis.call('LLEN', KEYS[at]) > 0 then return 1 end
end
redis.call('DEL', unpack(KEYS, 8))
redis.call('SREM', KEYS[3], ARGV[1])`;
