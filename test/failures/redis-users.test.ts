import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { poisonText } from '../../chaos/poison.js';
import { openReceiver, receiverSettings } from '../../chaos/receiver.js';
import { aclRules } from '../../shared/redis/commands.js';
import { ask, post, waitUntil } from '../harness.js';
import { createKey, listStatus, runKeys } from '../keys-command.js';
import { countFor } from './counter.js';
import {
  expectAllAnswered,
  expectCounted,
  faqName,
  type Question,
  questions,
  untilTaken,
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
      const board = await ask(`${service.url}/admin/queues/api/queues`);
      // Two models, with a queue for each priority.
      expect([board.status, board.body.queues.length]).toEqual([200, 4]);
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

  test('is refused nothing where callers have keys, limits and kept results', async () => {
    let redisUrl = '';
    const asThatUser = async (url: string) => {
      redisUrl = await asUser(url);
      return redisUrl;
    };
    const environment = { AUTH: 'keys' };
    await withScene({ redisUrl: asThatUser, environment }, async ({ redis, service }) => {
      const address = `${service.url}/v1/models/${faqName}/score`;
      const limits = ['--per-second', '1', '--burst', '3', '--concurrent', '2'];
      const commandsRedis = { REDIS_URL: redisUrl };
      const key = await createKey([service.url], commandsRedis, 'billing', ...limits);
      const bearer = (credential: string) => ({ authorization: `Bearer ${credential}` });
      const statusOf = (credential: string) => listStatus(service.url, credential);

      const repeated = { ...bearer(key), 'idempotency-key': '"0b0e7f1c-order"' };
      await waitUntil('it is answered', async () => {
        const { status } = await post(address, { input: 'once' }, repeated);
        return status === 200;
      });
      const later = { ...bearer(key), prefer: 'respond-async' };
      const { body } = await untilTaken(() => post(address, { input: 'later' }, later));
      const job = `${service.url}/v1/jobs/${body.id}`;
      for (const [url, method] of [
        [`${service.url}/v1/jobs?state=queued`, 'GET'],
        [job, 'GET'],
        [job, 'DELETE'],
      ] as const) {
        const { status } = await untilTaken(() => ask(url, { method, headers: bearer(key) }));
        expect(status === 200 || status === 409).toBe(true);
      }
      const many = Array.from({ length: 12 }, () => post(address, { input: 'x' }, bearer(key)));
      const codes = (await Promise.all(many)).map(({ body }) => body.code);
      expect(codes).toContain('rate_limited');

      const id = key.split('_')[1] as string;
      const { stdout: next } = await runKeys(commandsRedis, 'rotate', id, '--keep-old', '0m');
      await waitUntil('the new key is known', async () => (await statusOf(next)) !== 401);
      await waitUntil('the old key is refused', async () => (await statusOf(key)) === 401);
      await service.close();
      const { stdout: listed } = await runKeys(commandsRedis, 'list');
      expect(listed).toMatch(/billing\n.*; used \d{4}-/);
      await runKeys(commandsRedis, 'revoke', id);
      expect(await redis.client.acl('LOG')).toEqual([]);
      // Redis does log what it refuses to this user.
      const user = new Redis(redisUrl);
      await expect(user.call('KEYS', '*')).rejects.toThrow('NOPERM');
      await expect(user.get('other:key')).rejects.toThrow('NOPERM');
      user.disconnect();
      expect(await redis.client.acl('LOG')).toHaveLength(2);
    });
  });

  test('is refused nothing where webhooks are delivered, fail and are sent again', async () => {
    let status = 500;
    const receiver = await openReceiver(() => ({ status }));
    const environment = { ...receiverSettings(receiver), WEBHOOK_ATTEMPTS_MAX: '2' };
    await withScene({ redisUrl: asUser, environment }, async ({ redis, service }) => {
      const address = `${service.url}/v1/models/${faqName}/score`;
      const later = { prefer: 'respond-async', 'webhook-url': receiver.origin };
      const { body } = await untilTaken(() => post(address, { input: 'later' }, later));
      const untilState = (state: string) =>
        waitUntil(`the webhook is ${state}`, async () => {
          const job = await ask(`${service.url}/v1/jobs/${body.id}`);
          return job.body.webhook?.state === state;
        });
      await untilState('dead');
      status = 200;
      expect((await ask(`${service.url}/v1/webhooks`)).body.dead).toHaveLength(1);
      await post(`${service.url}/v1/webhooks/${body.id}/redeliver`, {});
      await untilState('delivered');
      await service.close();
      expect(await redis.client.acl('LOG')).toEqual([]);
    });
    await receiver.close();
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
