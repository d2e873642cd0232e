// Interactive and bulk items on their whole way: the dispatcher, Redis and a worker's consumer, with an engine
// whose runs the test ends. The tests compare orders and counts, never times.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { Ending } from '../../api/call/ending.js';
import { openQueueClient } from '../../bench/queue-client.js';
import { nowMs } from '../../shared/clock.js';
import { makeLogger } from '../../shared/process/log.js';
import { connectConsumer, type Redis, waitUntilReady } from '../../shared/redis/redis.js';
import { makeRankedOutputs } from '../../shared/tensors/scores.js';
import { decodeStrings } from '../../shared/tensors/tensors.js';
import { jobQueueOf, type Priority } from '../../shared/wire/priority.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import type { ScorerItem } from '../../worker/batch/scorer.js';
import { makeConsumer } from '../../worker/queue/consumer.js';
import { makeQueue } from '../../worker/queue/redis-queue.js';
import { makeSendReplies } from '../../worker/queue/replies.js';
import { makeResults } from '../../worker/queue/results.js';
import { openRedisForAll, waitUntil } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { keys } from '../worker-client.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const model = makeSampleModel({ batch: { max: 4 } });
const wireQueue = model.queues[0] as { name: string; wire: number };

const redis = await openRedisForAll();
let taker: Redis;

beforeAll(async () => {
  taker = connectConsumer({ url: redis.url, name: 'worker', log });
  await waitUntilReady(taker);
});
beforeEach(() => redis.client.flushall());
afterAll(() => taker?.disconnect());

const textOf = ({ inputs: [input] }: ScorerItem) => decodeStrings(input?.data ?? new Uint8Array());

/** Opens an API's dispatcher and a worker, which notes the batches that it starts. */
async function open(run: () => Promise<void>) {
  const client = await openQueueClient(model, redis.url);
  const batches: string[][] = [];
  const answering = (priority: Priority) => ({
    queue: makeQueue({ name: wireQueue.name, priority, redis: taker, keys, log }),
    sendReplies: makeSendReplies({ queue: wireQueue, priority, redis: taker, keys, log }),
  });
  const outputs = makeRankedOutputs([0, 1, 2], [0.9, 0.05, 0.01]);
  const consumer = makeConsumer({
    model,
    scorer: {
      score: async (items) => {
        batches.push(items.flatMap(textOf));
        await run();
        return { results: items.map(() => ({ outputs })), computeMs: 100 };
      },
    },
    quarantine: { inTurn: () => Promise.reject(new Error('Nothing is suspect.')), close: () => {} },
    ...answering('interactive'),
    bulk: answering('bulk'),
    kept: makeResults({ wire: wireQueue.wire, redis: taker, keys, log }),
    log,
  });
  onTestFinished(async () => {
    await consumer.close(0);
    await client.close();
  });
  const submit = (priority: Priority, texts: readonly string[]) => {
    const items = texts.map((text) => ({ id: randomUUID(), inputs: textInputs(text) }));
    const deadlineAt = nowMs() + 600_000;
    return Promise.all(
      client.dispatcher.submit({
        model,
        priority,
        top: 3,
        deadlineAt,
        ending: new Ending(),
        items,
      }),
    );
  };
  return { batches, submit };
}

const countActive = (priority: Priority) =>
  redis.client.llen(`${keys.prefix}:${jobQueueOf(model.queue, priority)}:active`);
const countUnanswered = () =>
  Promise.all(
    [keys.unanswered, keys.unansweredBulk].map((key) => redis.client.zcard(key(model.queue))),
  );
const bulkTexts = Array.from({ length: 100 }, (_, at) => `bulk ${at}`);

test('an interactive item waits for one batch of bulk, however many wait', async () => {
  let endRun = () => {};
  const { batches, submit } = await open(
    () =>
      new Promise<void>((resolve) => {
        endRun = resolve;
      }),
  );
  const flood = submit('bulk', bulkTexts);
  await waitUntil('a bulk batch runs', () => batches.length === 1);
  const answered = submit('interactive', ['interactive']);
  const isTaken = async () => (await countActive('interactive')) > 0;
  await waitUntil('the worker has the interactive job', isTaken);
  const [all = 0, bulk = 0] = await countUnanswered();
  expect(all - bulk).toBe(1);
  expect(bulk).toBeGreaterThan(4);
  // The worker is this process, and reads what Redis has sent it.
  await delay(300);
  expect(batches).toHaveLength(1);
  endRun();
  await waitUntil('the next batch runs', () => batches.length === 2);
  expect(batches[1]).toEqual(['interactive']);

  const ending = setInterval(() => endRun(), 1);
  onTestFinished(() => clearInterval(ending));
  await Promise.all([answered, flood]);
  expect(batches.flat()).toHaveLength(101);
  const areCounted = async () => (await countUnanswered()).some((items) => items > 0);
  await waitUntil('nothing is unanswered', async () => !(await areCounted()));
});
