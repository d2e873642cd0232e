// A stand-in for an API or a worker, for `bench -- redis`. It is a process with Scoreline's own code on
// both sides of the queue, without HTTP and without a model: the stand-in for a worker answers at once. A process
// stands for several APIs or workers, which share nothing.
//
// The first argument is a StandIn as JSON. An API loads the queue for as many seconds as a message says, and
// sends back how many items a second were answered.

import process from 'node:process';
import { makeLogger } from '../shared/process/log.js';
import { whenParentIsGone } from '../shared/process/parent.js';
import { makeKeys } from '../shared/redis/keys.js';
import { connectConsumer, waitUntilReady } from '../shared/redis/redis.js';
import { findModel, type Model, readModels } from '../shared/registry/models.js';
import { makeRankedOutputs } from '../shared/tensors/scores.js';
import type { Scorer } from '../worker/batch/scorer.js';
import type { Quarantine } from '../worker/quarantine/quarantine.js';
import { makeConsumer } from '../worker/queue/consumer.js';
import { makeQueue } from '../worker/queue/redis-queue.js';
import { makeSendReplies } from '../worker/queue/replies.js';
import { makeResults } from '../worker/queue/results.js';
import { makeFeeder } from './feeder.js';

export interface StandIn {
  readonly role: 'api' | 'worker';
  readonly redisUrl: string;
  readonly modelsDirectory: string;
  /** How many APIs or workers the process stands for, each with connections of its own. */
  readonly count: number;
  /** For each API: how many items are unanswered at any time, and how large each is. */
  readonly inFlight: number;
  readonly bytes: number;
}

const standIn = JSON.parse(process.argv[2] as string) as StandIn;
const models = readModels({ directory: standIn.modelsDirectory, filesNeeded: false });
const model = findModel(models, 'faq-matcher');
whenParentIsGone(process, () => process.exit(0));
if (standIn.role === 'api') await startApis(standIn, model);
else await Promise.all(Array.from({ length: standIn.count }, () => startWorker(standIn, model)));
process.send?.({ ready: true });

async function startApis(options: StandIn, target: Model): Promise<void> {
  const { redisUrl, count, inFlight, bytes } = options;
  const data = new Uint8Array(bytes);
  const inputs = [{ name: 'input', datatype: 'UINT8' as const, shape: [1, bytes], data }];
  const feeders = await Promise.all(
    Array.from({ length: count }, () => makeFeeder({ model: target, redisUrl, inFlight, inputs })),
  );
  process.on('message', async (seconds: number) => {
    const each = await Promise.all(feeders.map((feeder) => feeder.run(seconds)));
    process.send?.({ perSecond: each.reduce((sum, perSecond) => sum + perSecond) });
  });
}

async function startWorker({ redisUrl }: StandIn, target: Model): Promise<void> {
  const log = makeLogger({ role: 'bench', level: 'error' });
  const redis = connectConsumer({ url: redisUrl, name: 'bench-worker', log });
  await waitUntilReady(redis);
  const keys = makeKeys('scoreline');
  const priority = 'interactive';
  const wireQueue = target.queues[0] as Model['queues'][number];
  const outputs = makeRankedOutputs([0, 1, 2], [0.9, 0.05, 0.01]);
  const scoreAll = (items: readonly unknown[]) => items.map(() => ({ outputs }));
  // As long as the FAQ matcher's runs: the API packs its jobs by it.
  const score: Scorer['score'] = async (items) => ({ results: scoreAll(items), computeMs: 1 });
  const quarantine: Quarantine = {
    inTurn: (work) => work({ open: async () => {}, score: async (items) => scoreAll(items) }),
    close: () => {},
  };
  makeConsumer({
    model: target,
    scorer: { score },
    quarantine,
    queue: makeQueue({ name: wireQueue.name, priority, redis, keys, log }),
    kept: makeResults({ wire: wireQueue.wire, redis, keys, log }),
    sendReplies: makeSendReplies({ queue: wireQueue, priority, redis, keys, log }),
    log,
  });
}
