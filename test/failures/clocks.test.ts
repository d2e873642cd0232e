import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openReceiver, receiverSettings } from '../../chaos/receiver.js';
import {
  ask,
  type LogLine,
  openRedis,
  post,
  serviceEnvironment,
  startProcess,
  waitUntil,
} from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';
import { faqName } from './scene.js';

const hourMs = 3_600_000;
const preload = new URL('./shifted-clock.js', import.meta.url).href;

/** Starts an API and a worker whose clocks are ahead by so much. Ends them after the test. */
async function openScene(aheadMs: { api: number; worker: number }) {
  const directory = writeFolder({});
  const setFile = path.join(directory, 'set');
  const redis = await openRedis();
  const receiver = await openReceiver();
  const log: LogLine[] = [];
  const start = (role: 'api' | 'worker') =>
    startProcess(
      role,
      {
        ...serviceEnvironment({ redisUrl: redis.url, models: faqName }),
        ...receiverSettings(receiver),
        LOG_LEVEL: 'info',
        PROBE_PORT: role === 'worker' ? '0' : '',
        NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import ${preload}`.trim(),
        TEST_CLOCK_AHEAD_MS: String(aheadMs[role]),
        TEST_CLOCK_SET: setFile,
      },
      log,
    );
  const [api, worker] = [start('api'), start('worker')];
  onTestFinished(async () => {
    for (const child of [api, worker]) child.kill('SIGKILL');
    await redis.close();
    await receiver.close();
    rmSync(directory, { recursive: true });
  });
  const [{ port }] = await Promise.all([api.ready, worker.ready]);
  const url = `http://127.0.0.1:${port}`;
  return {
    log,
    worker,
    receiver,
    score: (deadlineMs?: number, headers = {}) =>
      post(`${url}/v1/models/${faqName}/score`, { input: 'how do I sort?', deadlineMs }, headers),
    readiness: () => ask(`${url}/v2/health/ready`),
    model: async () => (await ask(`${url}/v1/models`)).body.models[0],
    setClocks: () => writeFileSync(setFile, ''),
    linesOf: (role: string, message: string) =>
      log.filter((line) => line.role === role && line.msg.startsWith(message)),
  };
}

describe('clocks that differ from that of Redis', () => {
  test.each([
    { api: -hourMs, worker: 0 },
    { api: 0, worker: hourMs },
    { api: -3000, worker: 4000 },
  ])('do no harm, and are reported ($api ms, $worker ms)', async (aheadMs) => {
    const scene = await openScene(aheadMs);
    const answer = await scene.score();
    expect(answer).toMatchObject({ status: 200, body: { predictions: expect.any(Array) } });
    expect(answer.body.timing.queueMs).toBeLessThan(30_000);
    await waitUntil('the worker is counted', async () => (await scene.model()).workers === 1);

    const { status, body } = await scene.readiness();
    expect([status, body.ready]).toEqual([200, true]);
    for (const role of ['api', 'worker'] as const) {
      const ms = aheadMs[role];
      const warnings: string[] = body.warnings.filter((line: string) => line.includes(`${role} `));
      expect(warnings).toHaveLength(ms === 0 ? 0 : 1);
      expect(scene.linesOf(role, 'the clock of this machine is not')).toHaveLength(ms ? 1 : 0);
      if (ms === 0) continue;
      const [, seconds, side] =
        /is ([\d.]+) s (.*) that of Redis. Set/.exec(warnings[0] ?? '') ?? [];
      expect(side).toBe(ms > 0 ? 'ahead of' : 'behind');
      // A busy machine measures less exactly.
      expect(Math.abs(Number(seconds) * 1000 - Math.abs(ms))).toBeLessThan(2000);
    }
  });

  test('do not make receivers of webhooks refuse them', async () => {
    const { score, receiver } = await openScene({ api: hourMs, worker: 0 });
    const headers = { prefer: 'respond-async', 'webhook-url': receiver.origin };
    expect((await score(undefined, headers)).status).toBe(202);
    await waitUntil('the webhook has come', () => receiver.received.length > 0);
    const [webhook] = receiver.received;
    expect(webhook?.isSigned).toBe(true);
    expect(Math.abs(Date.parse(webhook?.event.timestamp) - Date.now())).toBeLessThan(60_000);
  });

  test('let deadlines pass when they do', async () => {
    const { score, model, worker } = await openScene({ api: hourMs, worker: -hourMs });
    worker.kill('SIGSTOP');
    expect((await score(500)).body.code).toBe('deadline_exceeded');
    worker.kill('SIGCONT');
    await waitUntil('the worker drops it', async () => (await model()).dropped === 1);
    expect((await score()).status).toBe(200);
  });

  test('are reported no more once they are set right', async () => {
    const scene = await openScene({ api: 5000, worker: -5000 });
    await waitUntil('both are reported', async () => {
      const { body } = await scene.readiness();
      return body.warnings?.length === 2;
    });
    scene.setClocks();
    await waitUntil('nothing is reported', async () => {
      const { body } = await scene.readiness();
      return body.warnings === undefined;
    });
    for (const role of ['api', 'worker']) {
      const lines = () => scene.linesOf(role, 'the clock of this machine is that of');
      await waitUntil('it is logged', () => lines().length === 1);
    }
    expect((await scene.score()).status).toBe(200);
  });
});

describe('clocks that agree', () => {
  test('are not mentioned', async () => {
    const scene = await openScene({ api: 0, worker: 0 });
    expect((await scene.readiness()).body).toEqual({ ready: true });
    expect(scene.log.filter(({ msg }) => msg.includes('clock'))).toEqual([]);
  });
});
