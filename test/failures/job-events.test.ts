// A job that is followed through everything that breaks: real processes, and a Redis that keeps its data.

import { rmSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { listen } from '../event-source.js';
import { ask, openRedis, post, serviceEnvironment, startProcess, waitUntil } from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';
import { addCounter, counterName, countFor } from './counter.js';

test('a client that follows a job sees each state once, whatever is killed meanwhile', async () => {
  const directory = writeFolder({});
  addCounter(directory);
  const redis = await openRedis();
  onTestFinished(async () => {
    await redis.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const start = async (role: 'api' | 'worker', changes: NodeJS.ProcessEnv = {}) => {
    const environment = serviceEnvironment({
      redisUrl: redis.url,
      models: counterName,
      environment: { MODELS_DIR: directory, LOG_LEVEL: 'silent', ...changes },
    });
    const child = startProcess(role, environment, []);
    onTestFinished(() => child.kill('SIGKILL'));
    const { port } = await child.ready;
    return { child, url: `http://127.0.0.1:${port}` };
  };
  const PORT = String(await findFreePort());
  const lasting = await start('api');
  const first = await start('api', { PORT });
  const { body: job } = await post(`${first.url}/v1/models/${counterName}/score?async`, {
    input: countFor(2000, 7),
  });
  const listener = listen(`${first.url}/v1/jobs/${job.id}/events`);
  const beside = listen(`${lasting.url}/v1/jobs/${job.id}/events`);
  onTestFinished(() => {
    listener.close();
    beside.close();
  });
  await Promise.all([listener.untilTold('queued'), beside.untilTold('queued')]);

  first.child.kill('SIGKILL');
  await first.child.exited;
  const second = await start('api', { PORT });
  await waitUntil('the client is back', () => listener.connections === 2);
  const doomed = await start('worker');
  await Promise.all([listener.untilTold('running'), beside.untilTold('running')]);

  doomed.child.kill('SIGKILL');
  await redis.stop('SIGKILL');
  await redis.start();
  await start('worker');
  await Promise.all([listener.untilTold('succeeded'), beside.untilTold('succeeded')]);

  for (const each of [listener, beside]) {
    await each.untilClosed();
    expect(each.states).toEqual(['queued', 'running', 'succeeded']);
    const told = each.events.filter(({ type }) => type === 'message');
    expect(new Set(told.map(({ id }) => id)).size).toBe(3);
    expect(told.at(-1)?.data.result.predictions).toEqual([expect.objectContaining({ id: 'd7' })]);
    expect(told.at(-1)?.data).toEqual((await ask(`${second.url}/v1/jobs/${job.id}`)).body);
  }
  expect(listener.connections).toBe(2);
  expect(beside.connections).toBe(1);
});
