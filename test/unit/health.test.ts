import { expect, test, vi } from 'vitest';
import { WorkerHealth } from '../../worker/health.js';
import { HeldJobs } from '../../worker/queue/held-jobs.js';
import { stopClock } from './clock.js';
import { makeSampleModel } from './sample-model.js';

/** A connection whose status the test sets. */
function makeConnection(status: 'ready' | 'reconnecting') {
  const listeners: (() => void)[] = [];
  const connection = {
    status,
    on: (event: string, listener: () => void) => {
      if (event !== 'error') listeners.push(listener);
      return connection;
    },
  };
  return {
    connection: connection as unknown as Parameters<WorkerHealth['watchRedis']>[0],
    change: (next: 'ready' | 'reconnecting') => {
      connection.status = next;
      for (const listener of listeners) listener();
    },
  };
}

/** The health of a worker whose oldest job has been held for `heldMs`. */
function makeWorker(heldMs: number, status: 'ready' | 'reconnecting' = 'ready') {
  const health = new WorkerHealth();
  const redis = makeConnection(status);
  health.watchPlaces(() => [
    {
      model: makeSampleModel({ name: 'faq' }),
      device: () => ({ type: 'cpu' }),
      heldMs: () => heldMs,
      heldMsMax: () => 1,
    },
  ]);
  health.watchRedis(redis.connection);
  return { health, redis };
}

test('a worker is loading, then ready, then draining', () => {
  const health = new WorkerHealth();
  expect(health.read().status).toBe('loading');
  health.watchRedis(makeConnection('ready').connection);
  expect(health.read().status).toBe('loading');
  health.open();
  expect(health.read()).toEqual({ status: 'ready', models: [] });
  health.drain();
  expect(health.read().status).toBe('draining');
});

test('a ready worker warns of its clock', () => {
  const { health } = makeWorker(0);
  health.watchClock({ warning: 'The clock is slow.' });
  health.open();
  expect(health.read()).toMatchObject({ status: 'ready', warning: 'The clock is slow.' });
});

test('a worker is away while Redis cannot be reached', () => {
  const { health, redis } = makeWorker(0, 'reconnecting');
  expect(health.read()).toMatchObject({
    status: 'away',
    reason: expect.stringContaining('REDIS_URL'),
    models: [{ name: 'faq', version: '1', heldMs: 0 }],
  });
  health.open();
  redis.change('ready');
  expect(health.read().status).toBe('ready');
  redis.change('reconnecting');
  expect(health.read().status).toBe('away');
});

test('a worker that holds a job for too long is stuck, unless Redis was away meanwhile', async () => {
  const { health, redis } = makeWorker(Number.POSITIVE_INFINITY);
  health.open();
  await expect.poll(() => health.read().status).toBe('stuck');
  expect(health.read().reason).toContain('A job of faq');
  redis.change('reconnecting');
  expect(health.read().status).toBe('away');
});

test('the held jobs know how long the oldest has been held', async () => {
  stopClock();
  const held = new HeldJobs({ rowsMax: 1, setJobsMax: () => {} });
  expect(held.oldestMs()).toBe(0);
  const finish: (() => void)[] = [];
  const hold = (id: string) =>
    held.hold({ id, data: undefined, losses: 0, giveBack: async () => {} }, 1, () => {
      return new Promise((resolve) => finish.push(resolve));
    });
  const first = hold('first');
  vi.advanceTimersByTime(300);
  const second = hold('second');
  vi.advanceTimersByTime(20);
  expect(held.oldestMs()).toBe(320);
  finish[0]?.();
  await first;
  expect(held.oldestMs()).toBe(20);
  finish[1]?.();
  await second;
  expect(held.oldestMs()).toBe(0);
});

test('a worker says on which device its models run, and why where that is the fallback', () => {
  const health = new WorkerHealth();
  const place = { heldMs: () => 0, heldMsMax: () => 1 };
  const reason = 'ONNX Runtime cannot use cuda here.';
  health.watchPlaces(() => [
    { ...place, model: makeSampleModel({ name: 'a' }), device: () => undefined },
    { ...place, model: makeSampleModel({ name: 'b' }), device: () => ({ type: 'cuda' }) },
    { ...place, model: makeSampleModel({ name: 'c' }), device: () => ({ type: 'cpu', reason }) },
  ]);
  expect(health.read().models).toEqual([
    { name: 'a', version: '1', heldMs: 0 },
    { name: 'b', version: '1', heldMs: 0, device: 'cuda' },
    { name: 'c', version: '1', heldMs: 0, device: 'cpu', reason },
  ]);
});
