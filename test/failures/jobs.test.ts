// Jobs through everything that breaks: real processes, and a Redis that keeps its data.

import { expect, onTestFinished, test } from 'vitest';
import {
  type Answer,
  ask,
  type LogLine,
  openRedis,
  post,
  serviceEnvironment,
  startProcess,
  waitUntil,
} from '../harness.js';
import { expectAnswered, faqName, type Question, questions } from './scene.js';

const count = Number(process.env.JOBS ?? 400);
const ended = /^(succeeded|failed|cancelled|expired)$/;

interface Submitted {
  readonly question: Question;
  readonly id: string;
}

test(`each of ${count} jobs ends in one state, the right one, whatever is killed meanwhile`, async () => {
  const redis = await openRedis();
  onTestFinished(() => redis.close());
  const environment = serviceEnvironment({
    redisUrl: redis.url,
    models: faqName,
    environment: { QUEUE_ITEMS_MAX: '1000000', LOG_LEVEL: 'silent' },
  });
  const log: LogLine[] = [];
  const start = async (role: 'api' | 'worker') => {
    const child = startProcess(role, environment, log);
    onTestFinished(() => child.kill('SIGKILL'));
    const { port } = await child.ready;
    return { child, url: `http://127.0.0.1:${port}` };
  };

  const first = await start('api');
  const jobs = await inTurns(sequence(count), (index) => submit(first.url, index));
  expect(new Set(jobs.map(({ id }) => id)).size).toBe(count);

  // A quarter is cancelled while no worker is there, and a quarter while two work.
  const cancelled = new Map<string, number>();
  const cancel =
    (url: string) =>
    async ({ id }: Submitted) => {
      const { status } = await untilAnswered(() =>
        ask(`${url}/v1/jobs/${id}`, { method: 'DELETE' }),
      );
      cancelled.set(id, status);
    };
  await inTurns(
    jobs.filter((_, at) => at % 4 === 0),
    cancel(first.url),
  );
  expect(new Set(cancelled.values())).toEqual(new Set([200]));
  const [doomed] = await Promise.all([start('worker'), start('worker')]);
  const cancelling = inTurns(
    jobs.filter((_, at) => at % 4 === 1),
    cancel(first.url),
  );
  doomed.child.kill('SIGKILL');
  await cancelling;
  first.child.kill('SIGKILL');
  await redis.stop('SIGKILL');
  await redis.start();
  const second = await start('api');

  const readAll = () => inTurns(jobs, ({ id }) => readEnded(second.url, id));
  const states = await readAll();
  for (const [at, { question, id }] of jobs.entries()) {
    const { body } = states[at] as Answer;
    expect(body.state, id).toBe(cancelled.get(id) === 200 ? 'cancelled' : 'succeeded');
    if (body.state === 'succeeded') {
      expectAnswered({ ...(states[at] as Answer), body: body.result }, question);
    } else expect(body.problem).toMatchObject({ status: 409, code: 'job_cancelled' });
  }
  expect((await readAll()).map(({ body }) => body)).toEqual(states.map(({ body }) => body));
  expect(await countListed(second.url, 'cancelled')).toBe(
    [...cancelled.values()].filter((status) => status === 200).length,
  );
  expect(await countListed(second.url)).toBe(count);
});

async function submit(url: string, index: number): Promise<Submitted> {
  const question = questions[index % questions.length] as Question;
  const { status, headers, body } = await post(
    `${url}/v1/models/${faqName}/score`,
    { input: question.text },
    { prefer: 'respond-async' },
  );
  expect(status, JSON.stringify(body)).toBe(202);
  expect(headers.get('location')).toBe(`/v1/jobs/${body.id}`);
  return { question, id: body.id };
}

/** Asks again while Redis is away. */
async function untilAnswered(send: () => Promise<Answer>): Promise<Answer> {
  let answer = await send();
  await waitUntil('the service answers', async () => {
    if (answer.status !== 503) return true;
    answer = await send();
    return false;
  });
  return answer;
}

async function readEnded(url: string, id: string): Promise<Answer> {
  let answer: Answer | undefined;
  await waitUntil(`the job ${id} has ended`, async () => {
    answer = await ask(`${url}/v1/jobs/${id}`, { headers: { prefer: 'wait=5' } });
    return answer.status === 200 && ended.test(answer.body.state);
  });
  return answer as Answer;
}

/** Counts the jobs on all pages of the list. */
async function countListed(url: string, state?: string): Promise<number> {
  const filter = state === undefined ? '' : `&state=${state}`;
  let listed = 0;
  let after = '';
  for (;;) {
    const { body } = await ask(`${url}/v1/jobs?limit=37${filter}${after}`);
    listed += body.jobs.length;
    if (body.next === undefined) return listed;
    after = `&after=${encodeURIComponent(body.next)}`;
  }
}

function sequence(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}

/** Does something for each value, for sixteen at a time. Returns the outcomes in order. */
async function inTurns<T, R>(values: readonly T[], act: (value: T) => Promise<R>): Promise<R[]> {
  const outcomes: R[] = [];
  const rest = values.entries();
  const work = async () => {
    for (const [at, value] of rest) outcomes[at] = await act(value);
  };
  await Promise.all(sequence(16).map(work));
  return outcomes;
}
