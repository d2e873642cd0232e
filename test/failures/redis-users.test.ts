import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { poisonText } from '../../chaos/poison.js';
import { aclRules } from '../../shared/redis-commands.js';
import { post, waitUntil } from '../harness.js';
import { countFor } from './counter.js';
import {
  expectAllAnswered,
  expectCounted,
  faqName,
  type Question,
  questions,
  withScene,
} from './scene.js';

/** Makes a user with the documented rights, and returns its URL. */
async function asUser(url: string): Promise<string> {
  const redis = new Redis(url);
  await redis.acl('SETUSER', 'scoreline', 'on', '>secret', ...aclRules('scoreline'));
  redis.disconnect();
  return url.replace('redis://', 'redis://scoreline:secret@');
}

describe('a user of Redis with the documented rights', () => {
  test('is refused nothing, whatever happens', async () => {
    await withScene({ redisUrl: asUser, workers: 2, poisonable: true }, async (scene) => {
      const { redis, service } = scene;
      await expectAllAnswered(scene, questions.slice(0, 20));

      const cancelled = new AbortController();
      const input = countFor(500, 3);
      const counted = [input, input, input].map((each) => scene.count(each));
      await scene.untilHeld(2);
      const left = scene.count(countFor(500, 4), { signal: cancelled.signal }).catch(() => {});
      cancelled.abort();
      const address = `${service.url}/v1/models/${faqName}/score`;
      const poison = await post(address, { input: poisonText('crash', 'alone') });
      expect(poison.body.code).toBe('model_crashed');
      for (const answer of counted) expectCounted(await answer, input);
      await left;

      const key = { 'idempotency-key': '"6d1f3fa6-5f4b-4c6b-b9c9-7b3f7ac0e0a4"' };
      for (const status of [200, 200, 422]) {
        const text = status === 422 ? 'another' : 'the same';
        expect((await post(address, { input: text }, key)).status).toBe(status);
      }
      await waitUntil('nothing is unanswered', async () => {
        const { models } = (await (await fetch(`${service.url}/v1/models`)).json()) as {
          models: { unanswered: number }[];
        };
        return models.every(({ unanswered }) => unanswered === 0);
      });
      await service.close();
      const denied = (await redis.client.acl('LOG')) as unknown[];
      expect(denied).toEqual([]);
    });
  });

  test('that loses some while all runs gets 503 and advice, until it has them again', async () => {
    await withScene({ redisUrl: asUser }, async (scene) => {
      await expectAllAnswered(scene, questions.slice(0, 3));
      await scene.redis.client.acl('SETUSER', 'scoreline', '-evalsha', '-eval');
      await waitUntil('requests are refused', async () => {
        const { status } = await scene.ask(questions[0] as Question, { deadlineMs: 1000 });
        return status === 503;
      });
      const { advice } = await scene.untilLogged('a job cannot be added');
      expect(advice).toMatch(/^The rights of the user in REDIS_URL have changed/);
      await scene.redis.client.acl('SETUSER', 'scoreline', '+evalsha', '+eval');
      await waitUntil('requests are answered', async () => {
        const { status } = await scene.ask(questions[0] as Question, { deadlineMs: 2000 });
        return status === 200;
      });
      await expectAllAnswered(scene, questions.slice(0, 20));
    });
  });
});
