// `npm run bench -- overload [--model NAME] [--times N] [--rounds R] [--seconds S] [--deadline S]
// [--clients N] [--apis N]`
//
// What happens at ten times the capacity. In turn: the peak, in a closed loop with enough clients, and
// an open loop at `--times` that rate, every request with the same deadline. Each open loop is compared
// with the mean of the peaks before and after it, since these machines change their speed. A right
// answer has the same best label, with the same score, as the one to the same input when nothing else
// was asked.
//
// The worker has one thread, and goes before the load generator and the API where they want the same
// core (they are "nice"). What is measured is a worker that is asked for too much, not one whose
// cores the others take away: in production they run on other machines.
//
// *Accepted* is what was not refused with 429, so it includes what missed its deadline (504).
//
// `Retry-After` says when everything that was accepted before the refusal will have been answered.
// When that was is known for each refusal when the run is over. Right is half to twice of it; below
// a second 1 is right, since the header cannot say less. As soon as a load has stopped, some of
// those that were refused last ask again after exactly the time they were told: all should be
// answered.

import os from 'node:os';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { makeLogger } from '../shared/log.js';
import { connectProducer, waitUntilReady } from '../shared/redis.js';
import { encodeRequest, makeClient } from './client.js';
import { median, quantile, runLoad } from './load.js';
import { readProcessMegabytes, readRedisMegabytes } from './memory.js';
import { makeModelsDirectory } from './models.js';
import { type Exchange, type OpenRun, runOpenLoop } from './open-loop.js';
import { readPhotographs } from './photographs.js';
import { readQuestions } from './questions.js';
import { report } from './report.js';
import { startBenchService } from './service.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'efficientnet-lite0' },
    times: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '12' },
    deadline: { type: 'string', default: '5' },
    clients: { type: 'string', default: '64' },
    apis: { type: 'string', default: '1' },
  },
});
const seconds = Number(values.seconds);
const deadlineMs = Number(values.deadline) * 1000;
const pathname = `/v1/models/${values.model}/score`;
const inputs = values.model === 'faq-matcher' ? questions() : await photographs();
const { bodies, headers } = inputs;

const models = makeModelsDirectory(values.model, { device: { type: 'cpu', threads: 1 } });
const service = await startBenchService({
  models: values.model,
  modelsDirectory: models.path,
  roles: [...Array.from({ length: Number(values.apis) }, () => 'api' as const), 'worker'],
});
for (const pid of [process.pid, ...service.apis.map((api) => api.pid)]) os.setPriority(pid, 5);
const log = makeLogger({ role: 'bench', level: 'error' });
const redis = connectProducer({ url: service.redisUrl, name: 'bench', log });
await waitUntilReady(redis, log);
const ports = service.apis.map(({ url }) => Number(new URL(url).port));
const requests = bodies.map((body) =>
  encodeRequest({ pathname, body, headers: { ...headers, 'Request-Timeout': values.deadline } }),
);

const expected = await askEach();
const isRight = (answer: string, index: number) => {
  const best = bestOf(answer);
  const { label, score } = expected[index % expected.length] as Best;
  // What else is in a batch may change the last digits of a score.
  return best.label === label && Math.abs(best.score - score) < 1e-3;
};
// V8 goes on compiling for some seconds, on the cores that are measured.
const atFirst = await measurePeak(5);
if (atFirst === 0) throw new Error('No answer was right: there is no peak to compare with.');
await overload(atFirst, 5).then((run) => run.settle(deadlineMs + 5000));

const peaks = [await measurePeak(seconds / 2)];
const runs: OpenRun[] = [];
const again = { asked: 0, answered: 0 };
const memory: Memory[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const run = await overload(peaks.at(-1) as number, seconds);
  runs.push(run);
  memory.push(await readMemory());
  const [{ asked, answered }] = await Promise.all([askAgain(run), run.settle(deadlineMs + 5000)]);
  again.asked += asked;
  again.answered += answered;
  peaks.push(await measurePeak(seconds / 2));
}
print();

redis.disconnect();
await service.close();
models.remove();
process.exit(0);

function overload(peak: number, seconds: number): Promise<OpenRun> {
  return runOpenLoop({
    ports,
    requests,
    isRight,
    perSecond: peak * Number(values.times),
    seconds,
    // As many as wait at a time when all goes well, and some more.
    connections: 100 + (1.5 * peak * deadlineMs) / 1000,
    connectionsMax: 2000,
  });
}

function print() {
  const exchanges = runs.flatMap((run) => run.exchanges);
  const rounds = runs.map(({ exchanges, startedAt, stoppedAt }, round) => {
    const perSecond = (some: readonly unknown[]) => (some.length / (stoppedAt - startedAt)) * 1000;
    return {
      peak: ((peaks[round] as number) + (peaks[round + 1] as number)) / 2,
      offered: perSecond(exchanges),
      // What is answered after the load has ended was paid for by nobody's arrival.
      right: perSecond(exchanges.filter((each) => each.isRight && each.endedAt <= stoppedAt)),
    };
  });
  const refused = exchanges.filter(({ status }) => status === 429);
  const hung = exchanges.filter(({ status }) => status === undefined);
  const accepted = exchanges.filter(({ status }) => status !== 429 && status !== undefined);
  const latenciesMs = sort(accepted.map(({ dueAt, endedAt }) => endedAt - dueAt));
  const refusalsMs = sort(refused.map(({ dueAt, endedAt }) => endedAt - dueAt));
  const retryAfter = judgeRetryAfter(refused, accepted);
  const trend = (key: keyof Memory) =>
    Math.max(...memory.map((sample) => sample[key])) / Number(memory[0]?.[key]);
  const inEach = (key: 'peak' | 'offered' | 'right', digits: number) =>
    rounds.map((round) => round[key].toFixed(digits)).join(', ');

  const rows = [
    { what: 'peak, closed loop, right answers/s', value: inEach('peak', 1) },
    { what: 'offered, open loop, requests/s', value: inEach('offered', 0) },
    { what: 'not sent for want of connections', value: sum(runs.map(({ unsent }) => unsent)) },
    { what: 'right answers/s', value: inEach('right', 1) },
    { what: 'accepted, p50', value: `${quantile(latenciesMs, 0.5).toFixed(0)} ms` },
    { what: 'accepted, p99', value: `${quantile(latenciesMs, 0.99).toFixed(0)} ms` },
    { what: 'refused, p50', value: `${quantile(refusalsMs, 0.5).toFixed(1)} ms` },
    { what: 'refused, p99', value: `${quantile(refusalsMs, 0.99).toFixed(1)} ms` },
    { what: 'answers by status', value: countByStatus(exchanges) },
    { what: 'hung', value: hung.length },
    {
      what: 'Retry-After / true time: p5, p50, p95',
      value: [0.05, 0.5, 0.95].map((at) => quantile(retryAfter.ratios, at).toFixed(2)).join(', '),
    },
    { what: 'Retry-After right', value: `${(retryAfter.right * 100).toFixed(1)} %` },
    { what: 'asked again then, answered', value: `${again.answered} of ${again.asked}` },
    ...memory.map(({ api, redis }, round) => ({
      what: `memory at the end of load ${round + 1}`,
      value: `API ${api.toFixed(0)} MB, Redis ${redis.toFixed(1)} MB`,
    })),
  ];
  report('overload', rows, {
    offered: median(rounds.map(({ offered, peak }) => offered / peak)),
    throughput: median(rounds.map(({ right, peak }) => right / peak)),
    throughput_least: Math.min(...rounds.map(({ right, peak }) => right / peak)),
    p99_of_deadline: quantile(latenciesMs, 0.99) / deadlineMs,
    missed: accepted.filter((exchange) => !exchange.isRight).length,
    hung: hung.length,
    retry_after_right: retryAfter.right,
    asked_again_answered: again.answered / again.asked,
    api_memory_most_to_first: trend('api'),
    redis_memory_most_to_first: trend('redis'),
  });
}

interface Best {
  readonly label: string;
  readonly score: number;
}

function bestOf(answer: string): Best {
  return JSON.parse(answer).predictions[0];
}

/** The best label of each input and its score, asked one by one. */
async function askEach(): Promise<Best[]> {
  const client = makeClient(ports[0] as number);
  const best = [];
  for (const [index, request] of requests.entries()) {
    const { status, body } = await client.ask(request);
    if (status !== 200 || !inputs.isPlausible(body, index)) {
      throw new Error(`Input ${index} is answered wrongly before any load: ${status} ${body}`);
    }
    best.push(bestOf(body));
  }
  client.close();
  return best;
}

/** Right answers a second, from all APIs together. */
async function measurePeak(forSeconds: number): Promise<number> {
  const results = await Promise.all(
    service.apis.map(({ url }) =>
      runLoad({
        url: `${url}${pathname}`,
        clients: Number(values.clients) / service.apis.length,
        seconds: forSeconds,
        bodies,
        headers,
        isRight,
      }),
    ),
  );
  return sum(results.map(({ perSecond }) => perSecond));
}

interface Memory {
  readonly api: number;
  readonly redis: number;
}

async function readMemory(): Promise<Memory> {
  const pids = service.apis.map(({ pid }) => pid);
  return { api: await readProcessMegabytes(pids), redis: await readRedisMegabytes(redis) };
}

/** Some that were refused last ask again after the time they were told. */
async function askAgain({ exchanges }: OpenRun): Promise<{ asked: number; answered: number }> {
  const refused = exchanges.filter(({ status }) => status === 429).slice(-20);
  const statuses = await Promise.all(
    refused.map(async ({ endedAt, retryAfterSeconds }, index) => {
      await delay(endedAt + Number(retryAfterSeconds) * 1000 - performance.now());
      const client = makeClient(ports[index % ports.length] as number);
      const { status } = await client.ask(requests[index % requests.length] as Buffer);
      client.close();
      return status;
    }),
  );
  return { asked: refused.length, answered: statuses.filter((status) => status === 200).length };
}

/** Retry-After as a share of the true time, for each refusal, and how many are right. */
function judgeRetryAfter(refused: readonly Exchange[], accepted: readonly Exchange[]) {
  const inOrder = accepted.toSorted((a, b) => a.dueAt - b.dueAt);
  const ratios = [];
  let right = 0;
  let emptyAt = Number.NEGATIVE_INFINITY;
  let next = 0;
  for (const { dueAt, endedAt, retryAfterSeconds = Number.NaN } of refused) {
    for (; next < inOrder.length && Number(inOrder[next]?.dueAt) <= dueAt; next++) {
      emptyAt = Math.max(emptyAt, Number(inOrder[next]?.endedAt));
    }
    const trueSeconds = Math.max(emptyAt - endedAt, 0) / 1000;
    const ratio = retryAfterSeconds / trueSeconds;
    ratios.push(ratio);
    const isLeast = retryAfterSeconds === 1 && trueSeconds < 1;
    if (isLeast || (ratio >= 0.5 && ratio <= 2)) right++;
  }
  return { ratios: sort(ratios), right: right / refused.length };
}

function countByStatus(exchanges: readonly Exchange[]): string {
  const counts = new Map<string, number>();
  for (const { status } of exchanges) {
    const key = String(status ?? 'none');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([status, count]) => `${status}: ${count}`).join(', ');
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function sort(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}

interface Inputs {
  readonly bodies: readonly (string | Buffer)[];
  readonly headers: Readonly<Record<string, string>>;
  /** What can be said of an answer without having asked before. */
  readonly isPlausible: (answer: string, index: number) => boolean;
}

function questions(): Inputs {
  return {
    bodies: readQuestions().map((input) => JSON.stringify({ input })),
    headers: {},
    isPlausible: () => true,
  };
}

/** Scaled down as a client does that has a network of 224 × 224 pixels in mind. */
async function photographs(): Promise<Inputs> {
  const all = readPhotographs();
  return {
    bodies: await Promise.all(
      all.map(({ bytes }) => sharp(bytes).resize(320, 320).jpeg({ quality: 90 }).toBuffer()),
    ),
    headers: { 'Content-Type': 'image/jpeg' },
    isPlausible: (answer, index) => {
      // The weights of the benchmark's network are random.
      if (values.model === 'resnet152') return true;
      const best: { id: string; label: string }[] = JSON.parse(answer).predictions.slice(0, 3);
      const classes = all[index % all.length]?.classes ?? [];
      return best.some(({ id, label }) => classes.includes(`${id} ${label}`));
    },
  };
}
