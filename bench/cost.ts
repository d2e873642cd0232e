// `npm run bench -- cost [--seconds S] [--rounds R] [--clients N]`
//
// What an item costs in each process: API, worker and Redis, with one of each. Processor time comes from
// /proc, and that of Redis also from its own accounting, which tells the scripts apart. What the worker
// costs beside the model is its time without that of a bare loop around onnxruntime-node, with the same
// inputs and with batches as large as the worker's were. All models run with one thread, because more
// would spin while they wait.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { makeTemporary } from '../cli/temporary.js';
import { packageDirectory } from '../shared/version.js';
import { addAdder } from '../test/tensor-model.js';
import { type RedisAccount, readRedisAccount, subtract } from './accounting.js';
import { readProcessorMs } from './api.js';
import { median, runLoad } from './load.js';
import { makeModelsDirectory } from './models.js';
import { readOptions } from './options.js';
import { readPhotographs } from './photographs.js';
import { readQuestionBodies } from './questions.js';
import { report } from './report.js';
import { connectToRedis, startBenchService } from './service.js';

/** What clients send, and to which model. */
interface Workload {
  readonly name: string;
  readonly model: string;
  readonly modelsDirectory: string;
  readonly pathname: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodies: readonly (string | Buffer)[];
}

/** Processor time of one item, in microseconds. */
interface Cost {
  readonly api: number;
  readonly worker: number;
  readonly model: number;
  readonly redis: number;
  readonly scripts: number;
  readonly commands: number;
  readonly itemsPerJob: number;
  readonly batch: number;
  readonly perSecond: number;
}

const values = readOptions({
  seconds: 5,
  rounds: 3,
  clients: 64,
});
const seconds = values.seconds;
/** After 6 s, V8 still took 12 % of the worker's time to compile. */
const warmUpSeconds = 20;

const rows = [];
const results: Record<string, number> = {};
for (const workload of [text(), picture(), tensors()]) {
  const costs = await measure(workload);
  const of = (key: keyof Cost) => median(costs.map((cost) => cost[key]));
  const beside = of('worker') - of('model');
  rows.push({
    item: workload.name,
    'items/s': Math.round(of('perSecond')),
    'API µs': Math.round(of('api')),
    'worker µs': Math.round(of('worker')),
    'model µs': Math.round(of('model')),
    'worker beside µs': Math.round(beside),
    'Redis µs': Number(of('redis').toPrecision(3)),
    'in scripts µs': Number(of('scripts').toPrecision(3)),
    'Redis commands': Number(of('commands').toPrecision(3)),
    'items a job': Number(of('itemsPerJob').toPrecision(3)),
    'items a batch': Number.isFinite(of('batch')) ? Number(of('batch').toPrecision(3)) : 'unknown',
  });
  results[`api_us_${workload.name}`] = of('api');
  results[`worker_beside_us_${workload.name}`] = beside;
  results[`redis_us_${workload.name}`] = of('redis');
}
report('cost', rows, results);
process.exit(0);

async function measure(workload: Workload): Promise<Cost[]> {
  const { model, modelsDirectory } = workload;
  const service = await startBenchService({ models: model, modelsDirectory });
  const redis = await connectToRedis(service.redisUrl);
  const [api] = service.apis as [{ pid: number; url: string }];
  const [worker] = service.workers as [{ pid: number }];
  const pids = [api.pid, worker.pid] as const;

  const run = async (forSeconds: number) => {
    const before = pids.map(readProcessorMs) as [number, number];
    const account = await readRedisAccount(redis);
    const { items, batches, perSecond } = await load(workload, api.url, forSeconds);
    const spent = subtract(await readRedisAccount(redis), account);
    const after = pids.map(readProcessorMs) as [number, number];
    const ownUs = (index: 0 | 1) => (1000 * (after[index] - before[index])) / items;
    return { perSecond, batch: items / batches, ...redisCost(spent, items), ownUs };
  };
  await run(warmUpSeconds);
  const costs: Omit<Cost, 'model'>[] = [];
  for (let round = 0; round < values.rounds; round++) {
    const { ownUs, ...cost } = await run(seconds);
    costs.push({ ...cost, api: ownUs(0), worker: ownUs(1) });
  }
  redis.disconnect();
  await service.close();
  const batch = Math.round(median(costs.map((cost) => cost.batch)));
  const modelUs = await measureBare(workload, batch);
  return costs.map((cost) => ({ ...cost, model: modelUs }));
}

/** Loads the service and counts its batches. */
async function load(workload: Workload, url: string, forSeconds: number) {
  let items = 0;
  let batches = 0;
  const { perSecond, wrong } = await runLoad({
    url: `${url}${workload.pathname}`,
    clients: values.clients,
    seconds: forSeconds,
    bodies: workload.bodies,
    headers: workload.headers,
    isRight: (answer) => {
      const size = Number(/"batchSize":(\d+)/.exec(answer)?.[1]);
      items++;
      batches += 1 / size;
      return answer.startsWith('{');
    },
  });
  if (wrong > 0) throw new Error(`${workload.name}: ${wrong} answers were wrong.`);
  return { items, batches, perSecond };
}

function redisCost(spent: RedisAccount, items: number) {
  return {
    redis: spent.processorUs / items,
    scripts: spent.scriptsUs / items,
    commands: spent.commands / items,
    itemsPerJob: items / spent.jobs,
  };
}

/** Returns the processor time of an item in a bare loop, in microseconds. */
async function measureBare({ modelsDirectory, model }: Workload, batch: number): Promise<number> {
  const parameters = [modelsDirectory, model];
  // The Open Inference Protocol has no place for the size of a batch, so it counts as full.
  if (Number.isFinite(batch)) parameters.push(String(batch));
  const bare = fork(new URL('./engine-bare.js', import.meta.url), parameters);
  await once(bare, 'message');
  bare.send(seconds);
  const [{ processorUs }] = (await once(bare, 'message')) as [{ processorUs: number }];
  bare.disconnect();
  return processorUs;
}

function text(): Workload {
  const model = 'faq-matcher';
  return {
    name: 'text',
    model,
    modelsDirectory: path.join(packageDirectory(), 'models'),
    pathname: `/v1/models/${model}/score`,
    headers: {},
    bodies: readQuestionBodies(),
  };
}

function picture(): Workload {
  const model = 'efficientnet-lite0';
  const device = { type: 'cpu', threads: 1 } as const;
  return {
    name: 'picture',
    model,
    modelsDirectory: makeModelsDirectory(model, { device }),
    pathname: `/v1/models/${model}/score`,
    headers: { 'Content-Type': 'image/jpeg' },
    bodies: readPhotographs().map(({ bytes }) => bytes),
  };
}

/** Two rows of eight numbers, which the network adds. */
function tensors(): Workload {
  const modelsDirectory = makeTemporary('models');
  addAdder(modelsDirectory);
  const numbers = Array.from({ length: 8 }, (_, at) => at);
  const input = (name: string) => ({ name, shape: [1, 8], datatype: 'FP32', data: numbers });
  return {
    name: 'tensors',
    model: 'adder',
    modelsDirectory,
    pathname: '/v2/models/adder/infer',
    headers: {},
    bodies: [JSON.stringify({ inputs: [input('a'), input('b')] })],
  };
}
