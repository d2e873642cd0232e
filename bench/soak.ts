// `npm run bench -- soak [--minutes M] [--clients N] [--pictures]`
//
// Does memory stay flat at full load? Once a minute it prints what the API and the worker have: what is alive, after a
// collection of their garbage, and their resident memory before it, which has V8's garbage and swings. The ratios compare
// what is alive at the end with the second minute, when everything has been used once.

import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { AliveMemory } from './alive.js';
import { runLoad } from './load.js';
import { readProcessMegabytes } from './memory.js';
import { readOptions } from './options.js';
import { report } from './report.js';
import { scenarioOf } from './scenario.js';
import { startBenchService } from './service.js';

const values = readOptions({
  minutes: 60,
  clients: 64,
  pictures: false,
});
const { model, load } = scenarioOf(values.pictures);
const alive = new AliveMemory();
const service = await startBenchService({
  models: model,
  modelsDirectory: path.join(packageDirectory(), 'models'),
  environment: alive.environment,
});
const pids = [...service.apis, ...service.workers].map(({ pid }) => pid);

type Minute = {
  readonly minute: number;
  readonly answers: number;
  readonly wrong: number;
  readonly 'API alive, MB': number;
  readonly 'worker alive, MB': number;
  readonly 'API resident, MB': number;
  readonly 'worker resident, MB': number;
};

const minutes: Minute[] = [];
let answers = 0;
let wrong = 0;
for (let minute = 1; minute <= values.minutes; minute++) {
  const result = await runLoad({
    ...load,
    url: `${service.url}/v1/models/${model}/score?top=3`,
    clients: values.clients,
    seconds: 60,
  });
  answers += result.answers;
  wrong += result.wrong;
  const resident = await Promise.all(pids.map((pid) => readProcessMegabytes([pid])));
  const bytes = await Promise.all(pids.map((pid) => alive.read(pid)));
  const [apiAlive, workerAlive] = bytes.map((each) => each / 1024 ** 2) as [number, number];
  const [apiResident, workerResident] = resident as [number, number];
  minutes.push({
    ...{ minute, answers, wrong },
    'API alive, MB': Number(apiAlive.toFixed(1)),
    'worker alive, MB': Number(workerAlive.toFixed(1)),
    'API resident, MB': Math.round(apiResident),
    'worker resident, MB': Math.round(workerResident),
  });
  console.error(JSON.stringify(minutes.at(-1)));
}
const begin = minutes[Math.min(1, minutes.length - 1)] as Minute;
const end = minutes.at(-1) as Minute;
report('soak', minutes, {
  model,
  answers,
  wrong,
  api_alive: end['API alive, MB'] / begin['API alive, MB'],
  worker_alive: end['worker alive, MB'] / begin['worker alive, MB'],
});
await service.close();
alive.close();
process.exit(0);
