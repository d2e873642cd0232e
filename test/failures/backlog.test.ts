// Tests the number by which KEDA scales workers, against a queue in each state. KEDA evaluates a script
// that reads the length of the key which its trigger names, whatever type the key has; a missing key counts
// as 0. BullMQ's own lists would be wrong: they count jobs, and the waiting one is empty while a worker is
// busy.

import { describe, expect, test } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import { waitUntil } from '../harness.js';
import { hangsForever } from './counter.js';
import {
  counterQueue,
  expectCounted,
  expectRefused,
  keys,
  type Scene,
  withScene,
} from './scene.js';

/** Counts as KEDA's redis scaler does: by the type of the key, in one script. */
const countScript = `
  local kind = redis.call('TYPE', KEYS[1]).ok
  if kind == 'none' then return 0 end
  local length = { list = 'LLEN', set = 'SCARD', zset = 'ZCARD', hash = 'HLEN' }
  return redis.call(length[kind], KEYS[1])`;

const key = keys.unanswered(counterQueue);
const read = ({ redis }: Scene) => redis.client.eval(countScript, 1, key).then(Number);
const untilRead = (scene: Scene, expected: number) =>
  waitUntil(`KEDA reads ${expected}`, async () => (await read(scene)) === expected);
const listOf = (name: string) => `${keys.prefix}:${counterQueue}:${name}`;

describe('KEDA reads', () => {
  test('items that wait, until they are answered, expired or abandoned', async () => {
    await withScene({ workers: 0 }, async (scene) => {
      const { client } = scene.redis;
      expect(await client.exists(key)).toBe(0);
      expect(await read(scene)).toBe(0);

      // Expired: no worker has ever run.
      const expired = ['1', '2'].map((input) => scene.count(input, { deadlineMs: 1500 }));
      await untilRead(scene, 2);
      for (const answer of expired) expectRefused(await answer, 504, 'deadline_exceeded');
      await untilRead(scene, 0);

      // Abandoned.
      const hangUp = new AbortController();
      const abandoned = scene.count('1', { signal: hangUp.signal });
      await untilRead(scene, 1);
      hangUp.abort();
      await expect(abandoned).rejects.toThrow();
      await untilRead(scene, 0);
      // BullMQ still has their jobs, since only a worker can drop them.
      expect(await client.llen(listOf('wait'))).toBeGreaterThan(0);

      // Wherever BullMQ keeps a job, its items count.
      const inputs = ['1', '2', '3', '4', '5'];
      const answers = inputs.map((input) => scene.count(input));
      await untilRead(scene, 5);
      const job = (await client.lpop(listOf('wait'))) as string;
      await client.zadd(listOf('delayed'), 0, job);
      expect(await read(scene)).toBe(5);
      await client.zrem(listOf('delayed'), job);
      await client.lpush(listOf('wait'), job);

      // Answered.
      await scene.service.addWorker();
      for (const [index, answer] of answers.entries()) {
        expectCounted(await answer, inputs[index] as string);
      }
      await untilRead(scene, 0);
    });
  });

  test('items of workers that are busy, dead, or on their way out', async () => {
    await withScene({ environment: { SHUTDOWN_MS: '2010' } }, async (scene) => {
      const hangUp = new AbortController();
      const answer = scene.count(hangsForever, { deadlineMs: 60_000, signal: hangUp.signal });
      const abandoned = expect(answer).rejects.toThrow();
      await scene.untilHeld(1);
      expect(await scene.redis.client.llen(listOf('wait'))).toBe(0);
      expect(await read(scene)).toBe(1);

      // Handed back, with no worker left.
      const [leaving] = scene.service.workers as [Child];
      leaving.kill('SIGTERM');
      await scene.untilWaiting(1);
      leaving.kill('SIGKILL');
      await leaving.exited;
      expect(await read(scene)).toBe(1);

      // Left behind by a worker that was killed.
      const victim = await scene.service.addWorker();
      await scene.untilHeld(1);
      victim.kill('SIGKILL');
      await victim.exited;
      expect(await read(scene)).toBe(1);

      // Tried again in quarantine.
      await scene.service.addWorker();
      await scene.untilLogged('a job is in quarantine');
      expect(await read(scene)).toBe(1);
      hangUp.abort();
      await abandoned;
      await untilRead(scene, 0);
    });
  });

  test('expired items while neither API nor worker is left, until the worker that they bring has come', async () => {
    await withScene({ workers: 0 }, async (scene) => {
      const { api } = scene.service;
      const { client } = scene.redis;
      const ended = expect(scene.count('1', { deadlineMs: 1000 })).rejects.toThrow();
      // If no worker can come either, the whole set is gone after a day.
      await waitUntil('the set expires', async () => (await client.pttl(key)) > 0);
      api.kill('SIGKILL');
      await Promise.all([api.exited, ended]);
      await waitUntil('the item has expired', async () => {
        const [, deadlineAt] = await client.zrange(key, '0', '0', 'WITHSCORES');
        return Number(deadlineAt) < Date.now();
      });
      // Nobody removes it, so KEDA starts a worker. That worker does, and KEDA takes it away again.
      expect(await read(scene)).toBe(1);
      await scene.service.addWorker();
      await untilRead(scene, 0);
    });
  });
});
