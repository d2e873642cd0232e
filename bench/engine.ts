// `npm run bench -- engine [--model NAME] [--batch N] [--threads N] [--seconds S] [--rounds R]`
//
// Compares the images per second of a saturated worker with those of a bare onnxruntime-node loop.
// Both use the same model, batch size and number of threads, and take turns in one run. The worker
// gets real payloads from Redis, as in production. HTTP and image decoding are left out: in
// production they run on other machines.

import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { Ending } from '../api/ending.js';
import { Dispatcher } from '../api/queue/dispatcher.js';
import { Queue } from '../api/queue/queue.js';
import { ReplyStream } from '../api/queue/reply-stream.js';
import { makeWaiters } from '../api/queue/waiters.js';
import { nowMs } from '../shared/clock.js';
import { makeKeys } from '../shared/keys.js';
import { makeLogger } from '../shared/log.js';
import { type Model, readModels } from '../shared/models.js';
import { connectConsumer, connectProducer, waitUntilReady } from '../shared/redis.js';
import { makeRegistry } from '../shared/registry.js';
import { sampleInputs, sampleText } from '../worker/batch/sample.js';
import { median } from './load.js';
import { makeModelsDirectory } from './models.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'efficientnet-lite0' },
    batch: { type: 'string', default: '8' },
    threads: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '5' },
  },
});
const batchSize = Number(values.batch);
const seconds = Number(values.seconds);
const directory = makeModelsDirectory(values.model, {
  batch: { max: batchSize },
  device: { type: 'cpu', threads: Number(values.threads) },
});

const service = await startBenchService({
  models: values.model,
  modelsDirectory: directory.path,
  roles: ['worker'],
});
const [model] = readModels({ directory: directory.path, names: [values.model], filesNeeded: true });
const feeder = await makeFeeder(model as Model, service.redisUrl);
const bare = fork(new URL('./engine-bare.js', import.meta.url), [directory.path, values.model]);
await once(bare, 'message');

const rows = [];
const ratios = [];
for (let round = 1; round <= Number(values.rounds); round++) {
  bare.send(seconds);
  const [{ perSecond: bareLoop }] = (await once(bare, 'message')) as [{ perSecond: number }];
  const worker = await feeder.run(seconds);
  ratios.push(worker / bareLoop);
  rows.push({
    round,
    'bare loop, images/s': Math.round(bareLoop * 10) / 10,
    'worker, images/s': Math.round(worker * 10) / 10,
    ratio: (worker / bareLoop).toFixed(3),
  });
}
report('engine', rows, {
  ratio: median(ratios),
  batch: batchSize,
  threads: Number(values.threads),
});

bare.disconnect();
await feeder.close();
await service.close();
directory.remove();
process.exit(0);

/** Keeps the queue filled, as an API under load does. */
async function makeFeeder(target: Model, redisUrl: string) {
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
  const queue = new Queue({ redis: producer, keys, registry: makeRegistry([target]), log });
  const dispatcher = new Dispatcher({ instance, queue, waiters });
  const inputs = sampleInputs(target.manifest.input, sampleText(target.manifest));

  const ending = new Ending();
  const scoreOne = () => {
    const items = [{ id: randomUUID(), inputs }];
    const deadlineAt = nowMs() + 120_000;
    return dispatcher.submit({ model: target, top: 3, deadlineAt, ending, items })[0];
  };

  return {
    /** Returns images per second. Counting starts after a second, when the queue is full. */
    run: async (runSeconds: number) => {
      const from = performance.now() + 1000;
      const until = from + runSeconds * 1000;
      let done = 0;
      await Promise.all(
        Array.from({ length: batchSize * 4 }, async () => {
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
