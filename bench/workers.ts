// `npm run bench -- workers [--workers N,N,…] [--clients N,N,…] [--rounds R] [--seconds S] [--pictures]`
//
// Are more workers faster, and never slower? For each number of workers it starts a service with a Redis
// of its own. All run at the same time, and the load generator loads one at a time, in turn. The ratios
// are those of neighbours in one round: each number of workers to the first.

import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { type LoadResult, median, runLoad } from './load.js';
import { readOptions } from './options.js';
import { report } from './report.js';
import { scenarioOf } from './scenario.js';
import { type BenchService, startBenchService } from './service.js';

const values = readOptions({
  workers: [1, 2, 4],
  clients: [1, 8, 64, 256],
  rounds: 4,
  seconds: 2,
  pictures: false,
});
const counts = values.workers;
const modelsDirectory = path.join(packageDirectory(), 'models');
const { model: models, load } = scenarioOf(values.pictures);

const services: BenchService[] = [];
for (const count of counts) {
  const roles = ['api', ...new Array<'worker'>(count).fill('worker')] as const;
  services.push(await startBenchService({ models, modelsDirectory, roles }));
}
const measure = (at: number, clients: number, seconds: number) =>
  runLoad({
    url: `${services[at]?.url}/v1/models/${models}/score`,
    clients,
    seconds,
    ...load,
  });

const rows = [];
const ratios: Record<string, number | string> = { model: models, wrong: 0 };
for (const clients of values.clients) {
  const results: LoadResult[][] = counts.map(() => []);
  const order = [...counts.keys()];
  for (const at of order) await measure(at, clients, 3);
  for (let round = 0; round < values.rounds; round++) {
    for (const at of round % 2 === 0 ? order : order.toReversed()) {
      results[at]?.push(await measure(at, clients, values.seconds));
    }
  }
  for (const [at, of] of results.entries()) {
    const first = results[0] as LoadResult[];
    const ratio = median(of.map(({ perSecond }, round) => perSecond / perSecondOf(first, round)));
    const wrong = of.reduce((sum, result) => sum + result.wrong, 0);
    rows.push({
      clients,
      workers: counts[at] as number,
      'requests/s': Math.round(median(of.map(({ perSecond }) => perSecond))),
      ratio: ratio.toFixed(3),
      'median ms': median(of.map(({ medianMs }) => medianMs)).toFixed(2),
      'p99 ms': median(of.map(({ p99Ms }) => p99Ms)).toFixed(2),
      wrong,
    });
    if (at > 0) ratios[`throughput_${clients}_${counts[at]}`] = ratio;
    ratios.wrong = (ratios.wrong as number) + wrong;
  }
}
report('workers', rows, ratios);
for (const service of services) await service.close();
process.exit(0);

function perSecondOf(results: readonly LoadResult[], round: number): number {
  return (results[round] as LoadResult).perSecond;
}
