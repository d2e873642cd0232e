// `npm run bench -- sampling [--ratio R] [--clients N] [--rounds R] [--seconds S]`
//
// What do traces cost when a share of the requests is traced? One service sends nothing. The other sends everything
// by OTLP to a receiver on this machine, and traces `--ratio` of the requests. They take turns. The result is
// the median of the ratios of neighbouring rounds: requests a second, and processor time of API and worker.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { packageDirectory } from '../shared/version.js';
import { readProcessorMs } from './api.js';
import { median, runLoad } from './load.js';
import { readQuestions } from './questions.js';
import { report } from './report.js';
import { type BenchService, startBenchService } from './service.js';

const { values } = parseArgs({
  options: {
    ratio: { type: 'string', default: '0.05' },
    clients: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '2' },
  },
});
const models = 'faq-matcher';
const bodies = readQuestions().map((input) => JSON.stringify({ input }));
const load = { clients: Number(values.clients), bodies };

const receiver = createServer((request, response) => {
  request.resume().on('end', () => response.end());
});
await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
const { port } = receiver.address() as AddressInfo;

const start = (environment: NodeJS.ProcessEnv) =>
  startBenchService({
    models,
    modelsDirectory: path.join(packageDirectory(), 'models'),
    environment,
  });
const off = await start({});
const traced = await start({
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
  OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
  OTEL_TRACES_SAMPLER_ARG: values.ratio,
});

for (const service of [off, traced]) await measure(service, 8);
const rounds: { off: Measured; traced: Measured }[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const seconds = Number(values.seconds);
  const first = round % 2 === 0;
  const one = await measure(first ? off : traced, seconds);
  const other = await measure(first ? traced : off, seconds);
  rounds.push(first ? { off: one, traced: other } : { off: other, traced: one });
}
const ratioOf = (key: keyof Measured) =>
  median(rounds.map((round) => round.traced[key] / round.off[key]));
report(
  'sampling',
  (['off', 'traced'] as const).map((side) => ({
    side,
    requestsPerSecond: Math.round(median(rounds.map((round) => round[side].perSecond))),
    apiUs: Math.round(median(rounds.map((round) => round[side].apiUs))),
    workerUs: Math.round(median(rounds.map((round) => round[side].workerUs))),
  })),
  {
    traced: Number(values.ratio),
    requests_per_second: ratioOf('perSecond'),
    api: ratioOf('apiUs'),
    worker: ratioOf('workerUs'),
  },
);
await off.close();
await traced.close();
process.exit(0);

interface Measured {
  readonly perSecond: number;
  /** Microseconds of processor time a request. */
  readonly apiUs: number;
  readonly workerUs: number;
}

async function measure(service: BenchService, seconds: number): Promise<Measured> {
  const pids = [...service.apis, ...service.workers].map(({ pid }) => pid);
  const before = pids.map(readProcessorMs);
  const { perSecond, wrong } = await runLoad({
    url: `${service.url}/score`,
    seconds,
    ...load,
    isRight: (answer) => answer.includes('result'),
  });
  if (wrong > 0) throw new Error(`${wrong} answers were wrong.`);
  const [apiUs = 0, workerUs = 0] = pids.map(
    (pid, at) => ((readProcessorMs(pid) - (before[at] ?? 0)) / (perSecond * seconds)) * 1000,
  );
  return { perSecond, apiUs, workerUs };
}
