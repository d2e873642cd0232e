import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { connectConsumer, waitUntilReady } from '../../shared/redis/redis.js';
import { openRedis } from '../harness.js';

test('each copy of a connection is made again, once, when its Redis becomes a replica', async () => {
  const redis = await openRedis();
  onTestFinished(() => redis.close());
  const connection = connectConsumer({
    url: redis.url,
    name: 'test',
    log: pino({ level: 'silent' }),
  });
  // BullMQ copies connections like this.
  const copies = [connection, connection.duplicate(), connection.duplicate()];
  onTestFinished(() => {
    for (const copy of copies) copy.disconnect();
  });
  for (const copy of copies) await waitUntilReady(copy);
  const countConnections = async () =>
    Number(/total_connections_received:(\d+)/.exec(await redis.client.info('stats'))?.[1]);

  await redis.client.replicaof('127.0.0.1', 1);
  const before = await countConnections();
  const answers = await Promise.allSettled(copies.map((copy) => copy.set('key', 'value')));
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect((await countConnections()) - before).toBe(copies.length);
});
