// Feeds a queue as an API does, without HTTP. It uses the API's own dispatcher, queue and reply stream.

import { randomUUID } from 'node:crypto';
import { Ending } from '../api/ending.js';
import { Dispatcher } from '../api/queue/dispatcher.js';
import { Queue } from '../api/queue/queue.js';
import { ReplyStream } from '../api/queue/reply-stream.js';
import { makeWaiters } from '../api/queue/waiters.js';
import { nowMs } from '../shared/clock.js';
import { makeKeys } from '../shared/keys.js';
import { makeLogger } from '../shared/log.js';
import type { Model } from '../shared/models.js';
import { connectConsumer, connectProducer, waitUntilReady } from '../shared/redis.js';
import { makeRegistry } from '../shared/registry.js';
import type { Tensor } from '../shared/tensors.js';

export interface Feeder {
  /** Returns items per second. Counting starts after a second, when the queue is full. */
  run(seconds: number): Promise<number>;
  close(): Promise<void>;
}

/** Makes a feeder that always has `inFlight` items unanswered while it runs. */
export async function makeFeeder(options: {
  model: Model;
  redisUrl: string;
  inFlight: number;
  inputs: readonly Tensor[];
}): Promise<Feeder> {
  const { model, redisUrl, inFlight, inputs } = options;
  const log = makeLogger({ role: 'bench', level: 'error' });
  const producer = connectProducer({ url: redisUrl, name: 'bench', log });
  const reader = connectConsumer({ url: redisUrl, name: 'bench-replies', log });
  await Promise.all([waitUntilReady(producer), waitUntilReady(reader)]);
  const keys = makeKeys('scoreline');
  const instance = randomUUID();
  const waiters = makeWaiters();
  const stream = await ReplyStream.open({
    instance,
    keys,
    producer,
    reader,
    onReply: waiters.settle,
    onUnreadable: (_ids, error) => waiters.failAll(error),
    onLost: () => {},
    log,
  });
  const queue = new Queue({ redis: producer, keys, registry: makeRegistry([model]), log });
  const dispatcher = new Dispatcher({ instance, queue, waiters });

  const ending = new Ending();
  const scoreOne = () => {
    const items = [{ id: randomUUID(), inputs }];
    const deadlineAt = nowMs() + 120_000;
    return dispatcher.submit({ model, top: 3, deadlineAt, ending, items })[0];
  };

  return {
    run: async (runSeconds: number) => {
      const from = performance.now() + 1000;
      const until = from + runSeconds * 1000;
      let done = 0;
      await Promise.all(
        Array.from({ length: inFlight }, async () => {
          while (performance.now() < until) {
            await scoreOne();
            const now = performance.now();
            if (now >= from && now < until) done++;
          }
        }),
      );
      return done / runSeconds;
    },
    close: async () => {
      await stream.close();
      await queue.close();
      producer.disconnect();
    },
  };
}
