// `npm run bench -- keys [--seconds S] [--rounds R] [--clients N]`
//
// Measures what authentication costs. Three API processes share one Redis and one worker: the first
// lets everyone in, the second asks for an API key, and the third also counts the requests of the key
// against limits that are never reached. They take turns, at `--clients` clients.
//
// Beside the requests a second, which other work on the machine disturbs, it prints the processor time
// that the API and Redis took for each request.

import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { type BenchApi, makeBenchKey, readProcessorMs, startBenchApi } from './api.js';
import { isRanked, type LoadResult, median, runLoad } from './load.js';
import { readOptions } from './options.js';
import { readQuestionBodies } from './questions.js';
import { report } from './report.js';
import { connectToRedis, startBenchService } from './service.js';

const values = readOptions({
  seconds: 4,
  rounds: 8,
  clients: 64,
});
const model = 'faq-matcher';
const modelsDirectory = path.join(packageDirectory(), 'models');
const service = await startBenchService({ models: model, modelsDirectory, roles: ['worker'] });
const redis = await connectToRedis(service.redisUrl);
const redisPid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);

const environment = { REDIS_URL: service.redisUrl, MODELS: model, MODELS_DIR: modelsDirectory };
const key = await makeBenchKey(redis, 'unlimited');
const limitedKey = await makeBenchKey(redis, 'limited', { perSecond: 100_000, concurrent: 10_000 });
const sides: readonly Side[] = [
  await openSide('none', { AUTH: 'none' }, {}),
  await openSide('key', { AUTH: 'keys' }, key),
  await openSide('key with limits', { AUTH: 'keys' }, limitedKey),
];

interface Side {
  readonly name: string;
  readonly api: BenchApi;
  readonly headers: Readonly<Record<string, string>>;
  readonly results: Measured[];
}

type Measured = LoadResult & { readonly apiMicros: number; readonly redisMicros: number };

const bodies = readQuestionBodies();
for (const side of sides) await measure(side, 5);
for (let round = 0; round < values.rounds; round++) {
  // Each side goes first, second and last equally often.
  const order = sides.map((_, place) => sides[(place + round) % sides.length] as Side);
  for (const side of order) side.results.push(await measure(side, values.seconds));
}
print();

redis.disconnect();
for (const { api } of sides) await api.close();
await service.close();
process.exit(0);

async function openSide(
  name: string,
  access: NodeJS.ProcessEnv,
  headers: Readonly<Record<string, string>>,
): Promise<Side> {
  return { name, headers, api: await startBenchApi({ ...environment, ...access }), results: [] };
}

async function measure({ api, headers }: Side, seconds: number): Promise<Measured> {
  const read = () => [api.pid, redisPid].map(readProcessorMs) as [number, number];
  const [apiBefore, redisBefore] = read();
  const result = await runLoad({
    url: `${api.url}/v1/models/${model}/score`,
    clients: values.clients,
    seconds,
    bodies,
    headers,
    isRight: isRanked,
  });
  const [apiAfter, redisAfter] = read();
  const requests = result.perSecond * seconds;
  return {
    ...result,
    apiMicros: ((apiAfter - apiBefore) * 1000) / requests,
    redisMicros: ((redisAfter - redisBefore) * 1000) / requests,
  };
}

function print(): void {
  const [none] = sides as readonly [Side];
  const ratios: Record<string, number> = { wrong: 0 };
  const rows = sides.map(({ name, results }) => {
    const of = (pick: (result: Measured) => number) => median(results.map(pick));
    const versus = (pick: (result: Measured) => number) =>
      median(results.map((result, round) => pick(result) / pick(none.results[round] as Measured)));
    const wrong = results.reduce((sum, result) => sum + result.wrong, 0);
    const label = name.replaceAll(' ', '_');
    ratios[`throughput_${label}`] = versus((result) => result.perSecond);
    ratios[`api_time_${label}`] = versus((result) => result.apiMicros);
    ratios.wrong = (ratios.wrong ?? 0) + wrong;
    return {
      'who asks': name,
      'requests/s': Math.round(of((result) => result.perSecond)),
      'of none': versus((result) => result.perSecond).toFixed(3),
      'median ms': of((result) => result.medianMs).toFixed(2),
      'p99 ms': of((result) => result.p99Ms).toFixed(2),
      'API µs/request': of((result) => result.apiMicros).toFixed(1),
      'Redis µs/request': of((result) => result.redisMicros).toFixed(1),
      wrong,
    };
  });
  report('keys', rows, ratios);
}
