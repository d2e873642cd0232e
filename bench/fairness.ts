// `npm run bench -- fairness [--seconds S] [--rounds R] [--rate N] [--clients N]`
//
// Does a caller that floods slow another one down? A steady caller sends `--rate` questions a second at
// random times. A flooding caller, whose key allows 100 requests a second and 4 in flight, sends with
// `--clients` clients as fast as it gets answers, and takes no notice of 429. Rounds with and without the
// flood take turns; the result is the ratio of the steady caller's p99 of neighbouring rounds.
//
// The flood comes from a process of its own that gives way to all others ("nice"): elsewhere it would run
// on other machines.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { makeLogger } from '../shared/log.js';
import { connectProducer, waitUntilReady } from '../shared/redis.js';
import { packageDirectory } from '../shared/version.js';
import { makeBenchKey, startBenchApi } from './api.js';
import { encodeRequest } from './client.js';
import { median, quantile, runLoad } from './load.js';
import { runOpenLoop } from './open-loop.js';
import { readQuestions } from './questions.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '6' },
    rate: { type: 'string', default: '200' },
    clients: { type: 'string', default: '64' },
  },
});
const model = 'faq-matcher';
const pathname = `/v1/models/${model}/score`;
const modelsDirectory = path.join(packageDirectory(), 'models');
const service = await startBenchService({ models: model, modelsDirectory, roles: ['worker'] });
const log = makeLogger({ role: 'bench', level: 'error' });
const redis = connectProducer({ url: service.redisUrl, name: 'bench', log });
await waitUntilReady(redis);
const steady = await makeBenchKey(redis, 'steady');
const flooding = await makeBenchKey(redis, 'flooding', { perSecond: 100, concurrent: 4 });
const api = await startBenchApi({
  REDIS_URL: service.redisUrl,
  MODELS: model,
  MODELS_DIR: modelsDirectory,
  AUTH: 'keys',
});
const port = Number(new URL(api.url).port);
const bodies = readQuestions().map((input) => JSON.stringify({ input }));
const isRight = (answer: string) => answer.includes('"predictions":[{"label":');
const flood = fork(new URL('./flood.js', import.meta.url), [
  String(port),
  pathname,
  values.clients,
  flooding['X-API-Key'],
  bodies[0] as string,
]);
os.setPriority(flood.pid as number, 10);

interface Round {
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly wrong: number;
}

await runLoad({
  url: api.url + pathname,
  clients: 16,
  seconds: 5,
  bodies,
  headers: steady,
  isRight,
});
const rounds: { alone: Round; flooded: Round }[] = [];
const answered: Record<string, number> = {};
for (let round = 0; round < Number(values.rounds); round++) {
  const inTurn = round % 2 === 0 ? [measure, measureFlooded] : [measureFlooded, measure];
  const [first, second] = [await inTurn[0]?.(), await inTurn[1]?.()] as [Round, Round];
  rounds.push(
    round % 2 === 0 ? { alone: first, flooded: second } : { alone: second, flooded: first },
  );
}
print();

flood.disconnect();
redis.disconnect();
await api.close();
await service.close();
process.exit(0);

async function measureFlooded(): Promise<Round> {
  flood.send('start');
  const round = await measure();
  flood.send('stop');
  const [statuses] = (await once(flood, 'message')) as [Record<string, number>];
  for (const [status, count] of Object.entries(statuses)) {
    answered[status] = (answered[status] ?? 0) + count;
  }
  return round;
}

async function measure(): Promise<Round> {
  const run = await runOpenLoop({
    ports: [port],
    requests: bodies.map((body) => encodeRequest({ pathname, body, headers: steady })),
    isRight,
    perSecond: Number(values.rate),
    seconds: Number(values.seconds),
    connections: 64,
    connectionsMax: 512,
  });
  await run.settle(5000);
  const latencies = run.exchanges
    .map(({ dueAt, endedAt }) => endedAt - dueAt)
    .toSorted((a, b) => a - b);
  return {
    medianMs: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    wrong: run.unsent + run.exchanges.filter((exchange) => !exchange.isRight).length,
  };
}

function print(): void {
  const of = (side: 'alone' | 'flooded', pick: (round: Round) => number) =>
    median(rounds.map((round) => pick(round[side])));
  const rows = (['alone', 'flooded'] as const).map((side) => ({
    'the steady caller': side,
    'median ms': of(side, (round) => round.medianMs).toFixed(2),
    'p99 ms': of(side, (round) => round.p99Ms).toFixed(2),
    wrong: rounds.reduce((sum, round) => sum + round[side].wrong, 0),
  }));
  const floodedSeconds = Number(values.seconds) * rounds.length;
  const perSecond = Object.fromEntries(
    Object.entries(answered).map(([status, count]) => [
      `flood_${status}_per_second`,
      count / floodedSeconds,
    ]),
  );
  report('fairness', rows, {
    p99: median(rounds.map(({ alone, flooded }) => flooded.p99Ms / alone.p99Ms)),
    median: median(rounds.map(({ alone, flooded }) => flooded.medianMs / alone.medianMs)),
    ...perSecond,
  });
}
