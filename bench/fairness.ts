// `npm run bench -- fairness [--seconds S] [--rounds R] [--rate N] [--clients N]`
//
// Does a caller that floods slow another one down? A steady caller sends `--rate` questions a second at
// random times. A flooding caller, whose key allows 100 requests a second and 4 in flight, sends with
// `--clients` clients as fast as it gets answers, and takes no notice of 429. Rounds with and without the
// flood take turns; the result is the ratio of the steady caller's p99 of neighbouring rounds.

import path from 'node:path';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { makeBenchKey, startBenchApi } from './api.js';
import { reportFloodedRounds, runFloodedRounds } from './flooded-rounds.js';
import { isRanked, runLoad } from './load.js';
import { readOptions } from './options.js';
import { readQuestionBodies } from './questions.js';
import { connectToRedis, startBenchService } from './service.js';

const values = readOptions({
  seconds: 10,
  rounds: 6,
  rate: 200,
  clients: 64,
});
const model = 'faq-matcher';
const pathname = `/v1/models/${model}/score`;
const modelsDirectory = path.join(packageDirectory(), 'models');
const service = await startBenchService({ models: model, modelsDirectory, roles: ['worker'] });
const redis = await connectToRedis(service.redisUrl);
const steady = await makeBenchKey(redis, 'steady');
const flooding = await makeBenchKey(redis, 'flooding', { perSecond: 100, concurrent: 4 });
const api = await startBenchApi({
  REDIS_URL: service.redisUrl,
  MODELS: model,
  MODELS_DIR: modelsDirectory,
  AUTH: 'keys',
});
const port = Number(new URL(api.url).port);
const bodies = readQuestionBodies();

await runLoad({
  url: api.url + pathname,
  clients: 16,
  seconds: 5,
  bodies,
  headers: steady,
  isRight: isRanked,
});
const rounds = await runFloodedRounds(
  {
    ...{ port, pathname, bodies, headers: steady, isRight: isRanked },
    perSecond: values.rate,
    seconds: values.seconds,
  },
  {
    ...{ port, pathname, clients: values.clients },
    ...{ headers: flooding, body: bodies[0] as string },
  },
  values.rounds,
);
reportFloodedRounds('fairness', 'the steady caller', rounds);

redis.disconnect();
await api.close();
await service.close();
process.exit(0);
