// Shared by the tests with several Redis servers: a service whose worker for pictures can be frozen, so
// pictures wait in Redis while questions go on.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import { makeKeys } from '../../shared/redis/keys.js';
import {
  type Answer,
  ask,
  type LogLine,
  post,
  queueOf,
  root,
  serviceEnvironment,
  startProcess,
  waitUntil,
} from '../harness.js';
import type { RedisServer } from '../redis-groups.js';
import { startLoad } from './load.js';
import { faqName } from './scene.js';

const imageName = 'efficientnet-lite0';
const picturesHeld = 8;
const answersAfter = 50;

export interface GroupService {
  readonly url: string;
  readonly log: readonly LogLine[];
  readonly pictureWorker: Child;
  /** Throws if a process has ended. */
  expectStillThere(): void;
  kill(): void;
}

/** Starts an API, a worker for questions and a worker for pictures. */
export async function startGroupService(redisUrl: string): Promise<GroupService> {
  const log: LogLine[] = [];
  const start = (role: 'api' | 'worker', models: string) => {
    const environment = { LOG_LEVEL: 'info' };
    return startProcess(role, serviceEnvironment({ redisUrl, models, environment }), log);
  };
  const api = start('api', `${faqName},${imageName}`);
  const [textWorker, pictureWorker] = [start('worker', faqName), start('worker', imageName)];
  const children = [api, textWorker, pictureWorker];
  const [{ port }] = await Promise.all([api.ready, textWorker.ready, pictureWorker.ready]);
  return {
    url: `http://127.0.0.1:${port}`,
    log,
    pictureWorker,
    expectStillThere: () => {
      for (const { pid } of children) process.kill(pid, 0);
    },
    kill: () => {
      for (const child of children) child.kill('SIGKILL');
    },
  };
}

/** Expects the right answers to a question and to a picture. */
export async function expectBothScenarios({ url }: GroupService): Promise<void> {
  const text = await post(`${url}/score`, { input: 'copy an object' });
  expect(text).toMatchObject({ status: 200 });
  expect(text.body.result[0][0]).toEqual([1041, 2041, expect.any(Number)]);
  expectCat(await askPicture(url));
}

/**
 * Changes the Redis under a load of questions, while pictures wait there. Expects that questions are
 * refused meanwhile and answered afterwards, and that all pictures are answered.
 * @param held the server that has the pictures, which its replica has, too, before the change
 */
export async function changeUnderLoad(
  service: GroupService,
  { server: { client }, prefix }: { server: RedisServer; prefix: string },
  change: (untilRefused: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const load = startLoad(service);
  service.pictureWorker.kill('SIGSTOP');
  try {
    const waiting = makeKeys(prefix).unanswered(queueOf(imageName));
    // An earlier change may have left items there, until their deadlines.
    await client.del(waiting);
    const pictures = Array.from({ length: picturesHeld }, () => askPicture(service.url));
    for (const picture of pictures) picture.catch(() => {});
    await waitUntil('pictures wait', async () => (await client.zcard(waiting)) === picturesHeld);
    await client.set(`${prefix}:mark`, '1', 'PX', 1000);
    expect(await client.wait(1, 10_000)).toBe(1);

    await change(() => untilRefused(service));
    service.pictureWorker.kill('SIGCONT');
    for (const picture of pictures) expectCat(await picture);
    const answered = load.answered();
    await waitUntil('questions go on', () => load.answered() >= answered + answersAfter);
    await load.stop();
  } finally {
    service.pictureWorker.kill('SIGCONT');
  }
  await expectBothScenarios(service);
  service.expectStillThere();
}

/** Waits until a new question is refused, as it is while Redis is away. */
async function untilRefused({ url }: GroupService): Promise<void> {
  await waitUntil('questions are refused', async () => {
    const question = { input: 'copy an object', deadlineMs: 1000 };
    const { status, body } = await post(`${url}/v1/models/${faqName}/score`, question);
    return status === 503 && body.code === 'queue_unavailable';
  });
}

const cat = readFileSync(path.join(root, 'test/photographs/siamese-cat.jpg'));

function askPicture(url: string): Promise<Answer> {
  const headers = { 'content-type': 'image/jpeg' };
  return ask(`${url}/v1/models/${imageName}/score`, { method: 'POST', headers, body: cat });
}

function expectCat(answer: Answer): void {
  expect(answer).toMatchObject({ status: 200 });
  expect(answer.body.predictions[0].label).toBe('Siamese cat, Siamese');
}
