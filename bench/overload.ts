// `npm run bench -- overload [--model NAME] [--times N] [--rounds R] [--seconds S] [--deadline S]
// [--clients N] [--apis N]`
//
// Measures the service at ten times its capacity. It alternates between two loads: a closed loop
// with enough clients measures the peak, and an open loop offers `--times` that rate. Every request
// of the open loop has the same deadline. Each open loop is compared with the mean of the peaks
// before and after it, because these machines change their speed. An answer is right if it has the
// same best label and the same score as the answer to the same input on an idle service.
//
// The worker has one thread and takes priority over the API and the load generator on a shared core
// (those two run "nice"). In production they run on other machines. So the benchmark measures a
// worker with too much to do, and not a worker that lost its core to the others.
//
// *Accepted* means not refused with 429. It includes requests that missed their deadline (504).
//
// `Retry-After` estimates when everything accepted before the refusal will be answered. After the
// run, the true time is known for each refusal. The header is right if it is between half and twice
// the true time. If that is below a second, 1 counts as right because the header cannot say less.
// When a load stops, some of the last refused clients ask again after exactly the time they were
// told. All of them should be answered.

import os from 'node:os';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import sharp from 'sharp';
import { encodeRequest, makeClient } from './client.js';
import { median, quantile, runLoad } from './load.js';
import { readProcessMegabytes, readRedisMegabytes } from './memory.js';
import { makeModelsDirectory } from './models.js';
import { type Exchange, type OpenRun, runOpenLoop } from './open-loop.js';
import { readOptions } from './options.js';
import { readPhotographs } from './photographs.js';
import { readQuestionBodies } from './questions.js';
import { report } from './report.js';
import { connectToRedis, startBenchService } from './service.js';

const values = readOptions({
  model: 'efficientnet-lite0',
  times: 10,
  rounds: 5,
  seconds: 12,
  deadline: 5,
  clients: 64,
  apis: 1,
});
const seconds = values.seconds;
const deadlineMs = values.deadline * 1000;
const pathname = `/v1/models/${values.model}/score`;
const inputs = values.model === 'faq-matcher' ? questions() : await photographs();
const { bodies, headers } = inputs;

const modelsDirectory = makeModelsDirectory(values.model, { device: { type: 'cpu', threads: 1 } });
const service = await startBenchService({
  models: values.model,
  modelsDirectory,
  roles: [...Array.from({ length: values.apis }, () => 'api' as const), 'worker'],
});
for (const pid of [process.pid, ...service.apis.map((api) => api.pid)]) os.setPriority(pid, 5);
const redis = await connectToRedis(service.redisUrl);
const ports = service.apis.map(({ url }) => Number(new URL(url).port));
const requests = bodies.map((body) =>
  encodeRequest({
    pathname,
    body,
    headers: { ...headers, 'Request-Timeout': String(values.deadline) },
  }),
);

const expected = await askEach();
const isRight = (answer: string, index: number) => {
  const best = bestOf(answer);
  const { label, score } = expected[index % expected.length] as Best;
  // The rest of the batch may change the last digits of a score.
  return best.label === label && Math.abs(best.score - score) < 1e-3;
};
// V8 keeps compiling for some seconds, on the cores we measure.
const atFirst = await measurePeak(5);
if (atFirst === 0) throw new Error('No answer was right: there is no peak to compare with.');
await overload(atFirst, 5).then((run) => run.settle(deadlineMs + 5000));

const peaks = [await measurePeak(seconds / 2)];
const runs: OpenRun[] = [];
const again = { asked: 0, answered: 0 };
const memory: Memory[] = [];
for (let round = 0; round < values.rounds; round++) {
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
process.exit(0);

function overload(peak: number, seconds: number): Promise<OpenRun> {
  return runOpenLoop({
    ports,
    requests,
    isRight,
    perSecond: peak * values.times,
    seconds,
    // Enough for every accepted request to wait until its deadline, and half as many again.
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
      // Answers after the end of the load do not count: no request was arriving any more.
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
    { what: 'not sent, no free connection', value: sum(runs.map(({ unsent }) => unsent)) },
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
    { what: 'answered after Retry-After', value: `${again.answered} of ${again.asked}` },
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

/** Asks for each input on its own. Returns the best label of each answer, and its score. */
async function askEach(): Promise<Best[]> {
  const client = makeClient(ports[0] as number);
  const best = [];
  for (const [index, request] of requests.entries()) {
    const { status, body } = await client.ask(request);
    if (status !== 200 || !inputs.isPlausible(body, index)) {
      throw new Error(`Input ${index} gets a wrong answer without any load: ${status} ${body}`);
    }
    best.push(bestOf(body));
  }
  client.close();
  return best;
}

/** Returns the right answers per second of all APIs together. */
async function measurePeak(forSeconds: number): Promise<number> {
  const results = await Promise.all(
    service.apis.map(({ url }) =>
      runLoad({
        url: `${url}${pathname}`,
        clients: values.clients / service.apis.length,
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

/** Repeats up to 20 of the last refused requests, each after the time its Retry-After said. */
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

/** Returns each Retry-After divided by the true time, and the share of refusals that were right. */
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
  /** Checks an answer without an earlier one to compare it with. */
  readonly isPlausible: (answer: string, index: number) => boolean;
}

function questions(): Inputs {
  return {
    bodies: readQuestionBodies(),
    headers: {},
    isPlausible: () => true,
  };
}

/** Scales the photographs down, as a client would that knows the network takes 224 × 224 pixels. */
async function photographs(): Promise<Inputs> {
  const all = readPhotographs();
  return {
    bodies: await Promise.all(
      all.map(({ bytes }) => sharp(bytes).resize(320, 320).jpeg({ quality: 90 }).toBuffer()),
    ),
    headers: { 'Content-Type': 'image/jpeg' },
    isPlausible: (answer, index) => {
      // The network of the benchmark has random weights, so its answers mean nothing.
      if (values.model === 'resnet152') return true;
      const best: { id: string; label: string }[] = JSON.parse(answer).predictions.slice(0, 3);
      const classes = all[index % all.length]?.classes ?? [];
      return best.some(({ id, label }) => classes.includes(`${id} ${label}`));
    },
  };
}
