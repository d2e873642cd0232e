import { afterAll, beforeAll, expect, test } from 'vitest';
import { rememberQueues, warnOfStranded } from '../../api/versions/stranded.js';
import { makeKeys } from '../../shared/keys.js';
import type { Logger } from '../../shared/log.js';
import { openRedis, type TestRedis } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';

let redis: TestRedis;
beforeAll(async () => {
  redis = await openRedis();
});
afterAll(() => redis?.close());

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
  await warnOfStranded({
    ...parts,
    queue: { countWorkers: async (names) => names.map((name) => Number(name === loaded.queue)) },
    known: [known],
    log: { warn: (line: object) => lines.push(line) } as unknown as Logger,
  });
  expect(lines).toMatchObject([{ queue: gone.queue, unanswered: 1 }]);
  expect(await redis.client.smembers(keys.queues)).not.toContain(answered.queue);
});
