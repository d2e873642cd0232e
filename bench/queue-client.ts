// An API's way to the queue of a model, and back, without HTTP: its own dispatcher, queue and reply stream.

import { randomUUID } from 'node:crypto';
import { Dispatcher } from '../api/queue/dispatcher.js';
import { Queue } from '../api/queue/queue.js';
import { ReplyStream } from '../api/queue/reply-stream.js';
import { makeWaiters } from '../api/queue/waiters.js';
import { makeLogger } from '../shared/process/log.js';
import { makeKeys } from '../shared/redis/keys.js';
import { connectConsumer, connectProducer, waitUntilReady } from '../shared/redis/redis.js';
import type { Model } from '../shared/registry/models.js';
import { makeRegistry } from '../shared/registry/registry.js';

export interface QueueClient {
  readonly dispatcher: Dispatcher;
  close(): Promise<void>;
}

export async function openQueueClient(model: Model, redisUrl: string): Promise<QueueClient> {
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
  return {
    dispatcher: new Dispatcher({ instance, queue, waiters }),
    close: async () => {
      await stream.close();
      await queue.close();
      producer.disconnect();
    },
  };
}
