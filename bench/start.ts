// `npm run bench -- start [--models NAME,…] [--rounds R]`
//
// How long a worker takes from the start of its process to its first answer, and where the time goes. API
// and Redis run already, and a request waits in the queue. The parts follow each other:
//
// - node: an empty Node process starts and ends
// - modules: until the worker begins to load its models
// - model: load and warm-up, as the worker logs them
// - queue: until the worker says that it is ready
// - answer: until the request is answered

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { spawnChild } from '../cli/processes/children.js';
import { packageDirectory } from '../shared/version.js';
import { median } from './load.js';
import { readOptions } from './options.js';
import { readPhotographs } from './photographs.js';
import { readQuestions } from './questions.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

/** When the parts ended, in milliseconds since the start of the process. */
interface Start {
  readonly node: number;
  readonly modules: number;
  readonly model: number;
  readonly queue: number;
  readonly answer: number;
}

const values = readOptions({
  models: 'faq-matcher,efficientnet-lite0',
  rounds: 5,
});
const modelsDirectory = path.join(packageDirectory(), 'models');

const rows = [];
const results: Record<string, number> = {};
for (const model of values.models.split(',')) {
  const service = await startBenchService({ models: model, modelsDirectory, roles: ['api'] });
  const starts: Start[] = [];
  for (let round = 0; round < values.rounds; round++) {
    starts.push(await measure(model, service.url, service.redisUrl));
  }
  await service.close();
  const of = (part: keyof Start) => Math.round(median(starts.map((start) => start[part])));
  rows.push({
    model,
    'node ms': of('node'),
    'modules ms': of('modules') - of('node'),
    'model ms': of('model') - of('modules'),
    'queue ms': of('queue') - of('model'),
    'answer ms': of('answer') - of('queue'),
    'total ms': of('answer'),
  });
  results[`first_answer_ms_${model}`] = of('answer');
}
report('start', rows, results);
process.exit(0);

async function measure(model: string, url: string, redisUrl: string): Promise<Start> {
  const emptyAt = performance.now();
  spawnSync(process.execPath, ['--eval', '0']);
  const node = performance.now() - emptyAt;

  const answered = ask(model, url);
  const startedAt = performance.now();
  const since = () => performance.now() - startedAt;
  const worker = spawnChild(
    'worker',
    {
      ...process.env,
      REDIS_URL: redisUrl,
      MODELS: model,
      MODELS_DIR: modelsDirectory,
      LOG_LEVEL: 'info',
    },
    'pipe',
  );
  let warmAt = Number.NaN;
  let warmUpMs = Number.NaN;
  createInterface({ input: worker.output as Readable }).on('line', (line) => {
    if (!line.includes('"model is warm"')) return;
    warmAt = since();
    ({ warmUpMs } = JSON.parse(line));
  });
  await worker.ready;
  const queue = since();
  await answered;
  const answer = since();
  await worker.close();
  return { node, modules: warmAt - warmUpMs, model: warmAt, queue, answer };
}

/** Resolves with the first answer. The request waits in the queue meanwhile. */
async function ask(model: string, url: string): Promise<void> {
  const isText = model === 'faq-matcher';
  const body = isText ? JSON.stringify({ input: readQuestions()[0] }) : readPhotographs()[0]?.bytes;
  const response = await fetch(`${url}/v1/models/${model}/score`, {
    method: 'POST',
    headers: {
      'Content-Type': isText ? 'application/json' : 'image/png',
      'Request-Timeout': '30',
    },
    body: body as string,
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  await response.arrayBuffer();
}
