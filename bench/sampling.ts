// `npm run bench -- sampling [--ratio R] [--clients N] [--rounds R] [--seconds S]`
//
// What does telemetry cost? One service measures and sends nothing. One counts for `/metrics`, which nobody scrapes. One
// sends everything by OTLP to a receiver on this machine, and traces `--ratio` of the requests. They take turns. The
// result is the median of the ratios of neighbouring rounds to the first one: requests a second, and processor time of
// API and worker.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { readProcessorMs } from './api.js';
import { median, runLoad } from './load.js';
import { readOptions } from './options.js';
import { readQuestionBodies } from './questions.js';
import { report } from './report.js';
import { type BenchService, startBenchService } from './service.js';

const values = readOptions({
  ratio: 0.05,
  clients: 64,
  rounds: 10,
  seconds: 2,
});
const models = 'faq-matcher';
const bodies = readQuestionBodies();
const load = { clients: values.clients, bodies };

const receiver = createServer((request, response) => {
  request.resume().on('end', () => response.end());
});
await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
const { port } = receiver.address() as AddressInfo;

const environments = {
  off: {},
  metrics: { METRICS_PORT: '0', PROBE_PORT: '0' },
  traced: {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: String(values.ratio),
  },
};
const sides: { name: string; service: BenchService; rounds: Measured[] }[] = [];
for (const [name, environment] of Object.entries(environments)) {
  const modelsDirectory = path.join(packageDirectory(), 'models');
  const service = await startBenchService({ models, modelsDirectory, environment });
  sides.push({ name, service, rounds: [] });
}

for (const { service } of sides) await measure(service, 8);
for (let round = 0; round < values.rounds; round++) {
  // Each side goes first, second and last equally often.
  for (const place of sides.keys()) {
    const side = sides[(place + round) % sides.length] as (typeof sides)[number];
    side.rounds.push(await measure(side.service, values.seconds));
  }
}
print();
for (const { service } of sides) await service.close();
process.exit(0);

function print(): void {
  const [off, ...others] = sides as [(typeof sides)[number], ...typeof sides];
  const ratios: Record<string, number> = { traced: values.ratio };
  for (const { name, rounds } of others) {
    const ratioOf = (key: keyof Measured) =>
      median(rounds.map((result, round) => result[key] / (off.rounds[round] as Measured)[key]));
    ratios[`requests_per_second_${name}`] = ratioOf('perSecond');
    ratios[`api_${name}`] = ratioOf('apiUs');
    ratios[`worker_${name}`] = ratioOf('workerUs');
  }
  const rows = sides.map(({ name, rounds }) => ({
    side: name,
    requestsPerSecond: Math.round(median(rounds.map(({ perSecond }) => perSecond))),
    apiUs: Math.round(median(rounds.map(({ apiUs }) => apiUs))),
    workerUs: Math.round(median(rounds.map(({ workerUs }) => workerUs))),
  }));
  report('sampling', rows, ratios);
}

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
