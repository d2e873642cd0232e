import { Queue } from 'bullmq';
import { expect, test } from 'vitest';
import { lookForStranded, rememberQueues } from '../../api/versions/stranded.js';
import type { Logger } from '../../shared/process/log.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { openRedisForAll } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';

const redis = await openRedisForAll();

test('jobs in a version that has left, and that no worker has, are warned of', async () => {
  const [known, gone, loaded, answered, other] = [
    makeSampleModel({ version: '1' }),
    makeSampleModel({ version: '0' }),
    makeSampleModel({ version: '3' }),
    makeSampleModel({ version: '4' }),
    makeSampleModel({ name: 'other' }),
  ];
  const keys = makeKeys('stranded');
  const parts = { redis: redis.client, keys };
  await rememberQueues(parts, [known, gone, loaded, answered, other]);
  for (const { queue } of [known, gone, loaded, other]) {
    await redis.client.zadd(keys.unanswered(queue), Date.now() + 60_000, 'an item');
  }
  const lines: object[] = [];
  await lookForStranded({
    ...parts,
    queue: { countWorkers: async (names) => names.map((name) => Number(name === loaded.queue)) },
    known: [known],
    log: { warn: (line: object) => lines.push(line) } as unknown as Logger,
  });
  expect(lines).toMatchObject([{ queue: gone.queue, unanswered: 1 }]);
  expect(await redis.client.smembers(keys.queues)).not.toContain(answered.queue);
});

test('what BullMQ has of such jobs is removed once their deadlines are long past, and not before', async () => {
  const model = makeSampleModel({ version: '2' });
  const keys = makeKeys('removed');
  const { client } = redis;
  const look = () =>
    lookForStranded({
      ...{ redis: client, keys },
      queue: { countWorkers: async (names) => names.map(() => 0) },
      known: [makeSampleModel({ version: '9' })],
      log: { warn: () => {} } as unknown as Logger,
    });
  await rememberQueues({ redis: client, keys }, [model]);
  const queues = [];
  for (const name of [model.queue, `${model.queue}~bulk`]) {
    const queue = new Queue(name, { connection: client, prefix: keys.prefix });
    const jobs = Array.from({ length: 1200 }, () => ({ name: 'score', data: {} }));
    await queue.addBulk(jobs);
    queues.push(queue);
  }
  const held = await client.lmove(
    ...([`${keys.prefix}:${model.queue}:wait`, `${keys.prefix}:${model.queue}:active`] as const),
    ...(['RIGHT', 'LEFT'] as const),
  );
  expect(held).not.toBeNull();
  const countLeft = async () =>
    (await client.keys(`${keys.prefix}:*`)).filter((key) => !/:(meta|id|events)$/.test(key)).length;
  const before = await countLeft();
  await client.zadd(keys.unanswered(model.queue), Date.now() - 5000, 'late for a moment');
  await look();
  expect(await countLeft()).toBe(before + 1);
  await client.zadd(keys.unanswered(model.queue), Date.now() - 20_000, 'late for a moment');
  await client.zadd(keys.workers(model.queue), Date.now() + 60_000, 'a worker that has just come');
  await look();
  expect(await countLeft()).toBe(before + 2);
  await client.del(keys.workers(model.queue), keys.unanswered(model.queue));
  await look();
  expect(await countLeft()).toBe(0);
  expect(await client.exists(keys.queues)).toBe(0);
  // The version comes back.
  const [queue] = queues as [Queue];
  await queue.add('score', {});
  expect(await queue.getWaitingCount()).toBe(1);
  for (const each of queues) await each.close();
});
