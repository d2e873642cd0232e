// What a job costs Redis: commands, those in scripts included, and bytes from and to it. Unlike times, these
// do not depend on the machine, so a change that makes a job dearer by a tenth is noticed.
//
// The process also does things from time to time, such as looking for stalled jobs, and these are counted
// along with a job. So a job is measured again until one is within its budget. Whoever makes jobs cheaper
// should lower the budgets to what the test prints when it fails, plus 3 %.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Ending } from '../../api/call/ending.js';
import type { Dispatcher } from '../../api/queue/dispatcher.js';
import { openQueueClient } from '../../bench/queue-client.js';
import { nowMs } from '../../shared/clock.js';
import { makeLogger } from '../../shared/process/log.js';
import { connectConsumer, waitUntilReady } from '../../shared/redis/redis.js';
import { makeRankedOutputs } from '../../shared/tensors/scores.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import type { Priority } from '../../shared/wire/priority.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import { makeConsumer } from '../../worker/queue/consumer.js';
import { makeQueue } from '../../worker/queue/redis-queue.js';
import { makeSendReplies } from '../../worker/queue/replies.js';
import { makeResults } from '../../worker/queue/results.js';
import { openRedisForAll } from '../harness.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { keys } from '../worker-client.js';

interface Cost {
  readonly commands: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

const attemptsMax = 100;
const log = makeLogger({ role: 'test', level: 'silent' });
const model = makeSampleModel();
const wireQueue = model.queues[0] as { name: string; wire: number };
const text = textInputs('Which of these questions do I mean? '.repeat(6));
const pictureBytes = 224 * 224 * 3;
const picture: Tensor[] = [
  {
    name: 'input',
    datatype: 'UINT8',
    shape: [1, 224, 224, 3],
    data: new Uint8Array(pictureBytes),
  },
];

const redis = await openRedisForAll();
let dispatcher: Dispatcher;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  const client = await openQueueClient(model, redis.url);
  dispatcher = client.dispatcher;
  const taker = connectConsumer({ url: redis.url, name: 'worker', log });
  await waitUntilReady(taker);
  const outputs = makeRankedOutputs([0, 1, 2], [0.9, 0.05, 0.01]);
  const answering = (priority: Priority) => ({
    queue: makeQueue({ name: wireQueue.name, priority, redis: taker, keys, log }),
    sendReplies: makeSendReplies({ queue: wireQueue, priority, redis: taker, keys, log }),
  });
  const consumer = makeConsumer({
    model,
    scorer: {
      score: async (items) => ({ results: items.map(() => ({ outputs })), computeMs: 1 }),
    },
    quarantine: { inTurn: () => Promise.reject(new Error('Nothing is suspect.')), close: () => {} },
    ...answering('interactive'),
    bulk: answering('bulk'),
    kept: makeResults({ wire: wireQueue.wire, redis: taker, keys, log }),
    log,
  });
  closers.push(
    () => consumer.close(0),
    () => client.close(),
    () => taker.disconnect(),
  );
});
afterAll(async () => {
  for (const close of closers) await close();
});

const budgets: readonly (readonly [string, number, readonly Tensor[], Cost])[] = [
  ['a text', 1, text, { commands: 50, bytesIn: 3840, bytesOut: 1470 }],
  ['16 texts', 16, text, { commands: 50, bytesIn: 14_550, bytesOut: 10_550 }],
  ['4 pictures', 4, picture, { commands: 57, bytesIn: 626_000, bytesOut: 622_000 }],
];

test.each(budgets)(
  'a job of %s costs Redis no more than it did',
  async (_, items, inputs, budget) => {
    await score(items, inputs);
    const least = { commands: Infinity, bytesIn: Infinity, bytesOut: Infinity };
    const names = Object.keys(budget) as (keyof Cost)[];
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const cost = await measure(() => score(items, inputs));
      for (const name of names) least[name] = Math.min(least[name], cost[name]);
      if (names.every((name) => least[name] <= budget[name])) return;
    }
    expect(least).toEqual(budget);
  },
);

/** Scores items of one job. */
async function score(count: number, inputs: readonly Tensor[]): Promise<void> {
  const items = Array.from({ length: count }, () => ({ id: randomUUID(), inputs }));
  const deadlineAt = nowMs() + 60_000;
  const submission = { model, top: 3, deadlineAt, ending: new Ending(), items };
  await Promise.all(dispatcher.submit({ ...submission, priority: 'interactive' }));
}

/** Returns what Redis did while the action ran and until it had nothing more to do. */
async function measure(action: () => Promise<void>): Promise<Cost> {
  const { after: before } = await readInPeace();
  await action();
  const { after, own } = await readInPeace();
  return {
    commands: after.commands - own.reads * own.commands - before.commands,
    bytesIn: after.bytesIn - own.reads * own.bytesIn - before.bytesIn,
    bytesOut: after.bytesOut - own.reads * own.bytesOut - before.bytesOut,
  };
}

/** Reads until nothing but the reading itself happened. `own` is what a read costs. */
async function readInPeace() {
  let before = await read();
  for (let reads = 2; ; reads++) {
    await delay(5);
    const after = await read();
    const commands = after.commands - before.commands;
    if (commands === 1) {
      const bytesIn = after.bytesIn - before.bytesIn;
      const bytesOut = after.bytesOut - before.bytesOut;
      return { after, own: { reads, commands, bytesIn, bytesOut } };
    }
    before = after;
  }
}

async function read(): Promise<Cost> {
  const stats = await redis.client.info('stats');
  const numberOf = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(stats)?.[1]);
  return {
    commands: numberOf('total_commands_processed'),
    bytesIn: numberOf('total_net_input_bytes'),
    bytesOut: numberOf('total_net_output_bytes'),
  };
}
