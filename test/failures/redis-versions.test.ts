// The same service on the oldest Redis that Scoreline supports, on the one it is developed on, and
// on Valkey. TEST_REDIS_IMAGES names other images, separated by commas.

import process from 'node:process';
import { expect, test } from 'vitest';
import { poisonText } from '../../chaos/poison.js';
import { findDockerProblem, hasImage } from '../../cli/docker/docker.js';
import { post, waitUntil } from '../harness.js';
import { makeContainer } from '../redis/container.js';
import { countFor } from './counter.js';
import {
  counterQueue,
  expectAllAnswered,
  expectCounted,
  expectRefused,
  faqName,
  keys,
  questions,
  type Scene,
  untilTaken,
  withScene,
} from './scene.js';

const { TEST_REDIS_IMAGES = 'redis:6.2-bookworm,redis:7-bookworm,valkey/valkey:9' } = process.env;
const problem = await findDockerProblem();

test.for(TEST_REDIS_IMAGES.split(','))('on %s nothing is lost', async (image, context) => {
  if (problem) context.skip(problem);
  if (!(await hasImage(image)))
    context.skip(`The image is not here; docker pull ${image} gets it.`);
  const makeRedis = makeContainer(image);
  await withScene({ workers: 2, poisonable: true, makeRedis }, async (scene) => {
    await expectAllAnswered(scene, questions.slice(0, 40));
    await expectRepeatable(scene);
    await expectRestartSurvived(scene);
    await expectDeathsSurvived(scene);
    await expectAllAnswered(scene, questions.slice(0, 20));
    await waitUntil(
      'nothing is unanswered',
      async () => (await scene.redis.client.zcard(keys.unanswered(counterQueue))) === 0,
    );
  });
});

/** A repeated request must get the one result that its key has. */
async function expectRepeatable({ service }: Scene): Promise<void> {
  const url = `${service.url}/v1/models/${faqName}/score`;
  const ask = () => post(url, { input: questions[0]?.text }, { 'idempotency-key': '"one"' });
  const first = await ask();
  expect(first.status).toBe(200);
  expect(await ask()).toMatchObject({ status: 200, body: { id: first.body.id } });
}

async function expectRestartSurvived(scene: Scene): Promise<void> {
  // More items than the workers hold.
  const inputs = Array.from({ length: 20 }, (_, at) => countFor(60, at % 10));
  const answers = inputs.map((input) => scene.count(input));
  await scene.untilAccepted(answers);
  await scene.redis.stop();
  await scene.redis.start();
  for (const [at, answer] of answers.entries()) expectCounted(await answer, inputs[at] as string);
}

/** One worker is ended by its input, and all others are killed while they work. */
async function expectDeathsSurvived(scene: Scene): Promise<void> {
  const { service } = scene;
  const url = `${service.url}/v1/models/${faqName}/score`;
  const poison = { input: poisonText('crash', 'alone') };
  expectRefused(await untilTaken(() => post(url, poison)), 500, 'model_crashed');
  const input = countFor(500, 7);
  const answer = scene.count(input);
  await scene.untilHeld(1);
  for (const worker of service.workers) worker.kill('SIGKILL');
  await service.addWorker();
  expectCounted(await answer, input);
}
