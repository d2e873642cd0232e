// `npm run bench -- engine [--model NAME] [--batch N] [--threads N] [--seconds S] [--rounds R]`
//
// Compares the images per second of a saturated worker with those of a bare onnxruntime-node loop.
// Both use the same model, batch size and number of threads, and take turns in one run. The worker
// gets real payloads from Redis, as in production. HTTP and image decoding are left out: in
// production they run on other machines.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { type Model, readModels } from '../shared/registry/models.js';
import { sampleInputs } from '../worker/batch/inputs/sample.js';
import { makeFeeder } from './feeder.js';
import { median } from './load.js';
import { makeModelsDirectory } from './models.js';
import { readOptions } from './options.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

const values = readOptions({
  model: 'efficientnet-lite0',
  batch: 8,
  threads: 1,
  seconds: 5,
  rounds: 5,
});
const batchSize = values.batch;
const seconds = values.seconds;
const directory = makeModelsDirectory(values.model, {
  batch: { max: batchSize },
  device: { type: 'cpu', threads: values.threads },
});

const service = await startBenchService({
  models: values.model,
  modelsDirectory: directory,
  roles: ['worker'],
});
const [model] = readModels({ directory, names: [values.model], filesNeeded: true });
const feeder = await makeFeeder({
  model: model as Model,
  redisUrl: service.redisUrl,
  inFlight: batchSize * 4,
  inputs: sampleInputs((model as Model).manifest, (model as Model).manifest.network?.inputs),
});
const bare = fork(new URL('./engine-bare.js', import.meta.url), [directory, values.model]);
await once(bare, 'message');

const rows = [];
const ratios = [];
for (let round = 1; round <= values.rounds; round++) {
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
  threads: values.threads,
});

bare.disconnect();
await feeder.close();
await service.close();
process.exit(0);
