// Shared by the failure tests: a service with two models, the FAQ matcher and the counter. The
// right answers of both are known beforehand.

import { rmSync } from 'node:fs';
import process from 'node:process';
import { expect } from 'vitest';
import { readProcessorMs } from '../../bench/api.js';
import { scoreTolerance } from '../../chaos/contracts.js';
import { findDifference, type Ranked } from '../../chaos/expected.js';
import { prepareInputs } from '../../chaos/inputs.js';
import { copyModels } from '../../chaos/models.js';
import type { Child } from '../../cli/processes/children.js';
import { makeKeys } from '../../shared/redis/keys.js';
import {
  type Answer,
  type LogLine,
  openRedis,
  post,
  readModel,
  type Service,
  startService,
  type TestRedis,
  waitUntil,
} from '../harness.js';
import type { MakeTestServer } from '../redis/server.js';
import { writeFolder } from '../unit/sample-model.js';
import { addCounter, counterName, counterQueue, countFor } from './counter.js';

export const faqName = 'faq-matcher';
/** More processor time than a worker takes for a job before its run. */
const runningMs = 300;
export const keys = makeKeys('scoreline');
export { counterQueue };

export interface Scene {
  readonly redis: TestRedis;
  readonly service: Service;
  /** Asks the counter; see `expectCounted` for the right answer. */
  count(input: string, options?: AskOptions): Promise<Answer>;
  /** Asks the FAQ matcher one of `questions`; see `expectAnswered` for the right answer. */
  ask(question: Question, options?: AskOptions): Promise<Answer>;
  /** The folder of the models. */
  readonly directory: string;
  /** Runs the idle counter once. Resolves to its speed as a multiple of what `countFor` assumes. */
  howFast(): Promise<number>;
  /** Waits until the worker holds no job of the counter. A job ends after its answer. */
  untilIdle(): Promise<void>;
  /** Waits until workers hold at least this many of the counter's jobs. */
  untilHeld(jobs: number): Promise<void>;
  /** Waits until a worker runs the counter, whose input takes long. A job is held before its run begins. */
  untilRunning(worker: Child): Promise<void>;
  /** Waits until at least this many of the counter's jobs are in its queue. */
  untilWaiting(jobs: number): Promise<void>;
  /** Waits until this many of the counter's items are queued or held by a worker. */
  untilStored(items: number): Promise<void>;
  /** Waits until each of these requests to the counter is queued, held by a worker or answered. */
  untilAccepted(answers: readonly Promise<Answer>[]): Promise<void>;
  /** Waits for a log line whose message begins with this text. Earlier lines count too. */
  untilLogged(message: string): Promise<LogLine>;
}

export interface AskOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface Question {
  readonly text: string;
  readonly expected: readonly Ranked[];
}

/** Questions with their right answers, which come from running the model directly. */
export const questions: readonly Question[] = await scoreQuestions();

/** Runs a test with its own service, and then kills every process that still runs. */
export async function withScene(
  options: {
    workers?: number;
    counter?: Parameters<typeof addCounter>[1];
    /** Loads chaos/fault.ts into the processes, so poisonous texts crash a worker. */
    poisonable?: boolean;
    environment?: NodeJS.ProcessEnv;
    /** Puts something between the service and Redis. Maps the real address to the one to use. */
    redisUrl?: (url: string) => Promise<string>;
    /** For tests that need a certain Redis. */
    makeRedis?: MakeTestServer;
  },
  test: (scene: Scene) => Promise<void>,
): Promise<void> {
  const directory = writeFolder({});
  copyModels(directory, [faqName]);
  addCounter(directory, options.counter);
  const redis = await openRedis({ make: options.makeRedis });
  const preload = new URL('../../chaos/fault.js', import.meta.url).href;
  let service: Service | undefined;
  try {
    service = await startService({
      redisUrl: (await options.redisUrl?.(redis.url)) ?? redis.url,
      models: `${faqName},${counterName}`,
      workers: options.workers ?? 1,
      environment: {
        MODELS_DIR: directory,
        LOG_LEVEL: 'info',
        ...(options.poisonable && {
          NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import ${preload}`.trim(),
        }),
        ...options.environment,
      },
    });
    await test(makeScene(redis, service, directory));
  } finally {
    for (const child of [service?.api, ...(service?.workers ?? [])]) child?.kill('SIGKILL');
    await redis.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function makeScene(redis: TestRedis, service: Service, directory: string): Scene {
  const send = (model: string, input: string, { deadlineMs, signal }: AskOptions = {}) =>
    post(
      `${service.url}/v1/models/${model}/score`,
      { input, ...(deadlineMs !== undefined && { deadlineMs }) },
      {},
      signal,
    );
  const untilLength = (list: string, jobs: number) =>
    waitUntil(
      `${jobs} jobs are in ${list}`,
      async () => (await redis.client.llen(`scoreline:${counterQueue}:${list}`)) >= jobs,
    );
  // A job whose lock has run out goes back to those that wait.
  const untilIdle = () =>
    waitUntil('the counter is idle', async () => {
      const [wait, active] = ['wait', 'active'].map((list) => `scoreline:${counterQueue}:${list}`);
      const lengths = await redis.client
        .multi()
        .llen(wait as string)
        .llen(active as string)
        .exec();
      return lengths?.every(([, length]) => length === 0) ?? false;
    });
  const queue = `${keys.prefix}:${counterQueue}`;
  const countItems = async () => {
    const lists = ['wait', 'active'].map((list) => redis.client.lrange(`${queue}:${list}`, 0, -1));
    const ids = new Set((await Promise.all(lists)).flat());
    const jobs = await Promise.all(
      [...ids].map((id) => redis.client.hget(`${queue}:${id}`, 'data')),
    );
    return jobs.reduce((items, job) => items + (job ? JSON.parse(job).items.length : 0), 0);
  };
  return {
    redis,
    service,
    directory,
    howFast: async () => {
      const { body } = await send(counterName, countFor(100, 1));
      await untilIdle();
      return 100 / body.timing.computeMs;
    },
    untilIdle,
    count: (input, options) => send(counterName, input, options),
    ask: (question, options) => send(faqName, question.text, options),
    untilHeld: (jobs) => untilLength('active', jobs),
    untilRunning: async ({ pid }) => {
      const begunAt = readProcessorMs(pid as number);
      // Only Linux tells the time.
      await waitUntil(
        'a run has begun',
        () => !(readProcessorMs(pid as number) < begunAt + runningMs),
      );
    },
    untilWaiting: (jobs) => untilLength('wait', jobs),
    untilStored: (items) =>
      waitUntil(`${items} items are stored`, async () => (await countItems()) === items),
    untilAccepted: async (answers) => {
      let settled = 0;
      for (const answer of answers) {
        answer.finally(() => settled++).catch(() => {});
      }
      await waitUntil(
        `${answers.length} requests are accepted`,
        async () => settled + (await countItems()) >= answers.length,
      );
    },
    untilLogged: async (message) => {
      const find = () => service.log.find((line) => line.msg.startsWith(message));
      await waitUntil(`"${message}" is logged`, () => find() !== undefined);
      return find() as LogLine;
    },
  };
}

/** Expects the counter's right answer: the last digit of the input. */
export function expectCounted(answer: Answer, input: string): void {
  expect(answer).toMatchObject({
    status: 200,
    body: { predictions: [{ id: `d${input.at(-1)}`, score: 1 }] },
  });
}

/** Expects the FAQ matcher's right answer to the question. */
export function expectAnswered(answer: Answer, question: Question): void {
  expect(answer).toMatchObject({ status: 200, body: { predictions: expect.any(Array) } });
  const ranked = answer.body.predictions.map(
    ({ label, score }: { label: string; score: number }): Ranked => [label, score],
  );
  expect(findDifference(question.expected, ranked, scoreTolerance), question.text).toBeUndefined();
}

/** Asks, and asks again as long as the answer says so: a busy machine may be told to. */
export async function untilTaken(ask: () => Promise<Answer>): Promise<Answer> {
  let answer = await ask();
  await waitUntil('the request is taken', async () => {
    if (answer.status !== 429 && answer.status !== 503) return true;
    answer = await ask();
    return false;
  });
  return answer;
}

/** Asks all the questions at the same time and expects the right answer to each. */
export async function expectAllAnswered(
  scene: Scene,
  asked: readonly Question[],
  options?: AskOptions,
): Promise<void> {
  await Promise.all(
    asked.map(async (question) =>
      expectAnswered(await untilTaken(() => scene.ask(question, options)), question),
    ),
  );
}

/** Expects an error with this status and code. A 429 or 503 must have a Retry-After. */
export function expectRefused(answer: Answer, status: number, code: string): void {
  expect(answer).toMatchObject({ status, body: { code } });
  if (status === 503 || status === 429) {
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  }
}

async function scoreQuestions(): Promise<Question[]> {
  const asText = { encode: (_model: unknown, body: string | Buffer) => Buffer.from(body) };
  const inputs = await prepareInputs(readModel(faqName), 0, asText);
  return inputs.flatMap(({ request, expectation }) =>
    'expected' in expectation ? [{ text: request.toString(), expected: expectation.expected }] : [],
  );
}
