import { afterAll, beforeAll, expect, test } from 'vitest';
import { JobEnds } from '../../api/jobs/job-ends.js';
import type { JobRecord } from '../../api/jobs/job-record.js';
import { makeJobStore } from '../../api/jobs/job-store.js';
import { Courier } from '../../api/webhooks/courier.js';
import { PendingWebhooks } from '../../api/webhooks/pending-webhooks.js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { openRedis, type TestRedis, waitUntil } from '../harness.js';

const origin = 'https://hooks.example.com';

let redis: TestRedis;
beforeAll(async () => {
  redis = await openRedis();
});
afterAll(() => redis?.close());

test('a message that cannot be written becomes a dead letter after as many attempts as any other', async () => {
  const keys = makeKeys('unwritten');
  const pending = new PendingWebhooks({ redis: redis.client, keys, pendingMax: 10, deadMax: 10 });
  const store = makeJobStore({ redis: redis.client, keys, jobsMax: 10, webhooks: pending });
  const record: JobRecord = {
    ...{ id: 'job', caller: 'caller', model: 'any', version: '1', queue: 'any-1', queued: '1' },
    ...{ items: ['item'], priority: 'interactive', form: { route: 'native' }, keepMs: 60_000 },
    ...{ submittedAt: nowMs(), deadlineAt: nowMs() + 60_000, webhook: `${origin}/ended` },
  };
  const ends = new JobEnds();
  const lines: object[] = [];
  const outcomes: string[] = [];
  const courier = new Courier({
    ...{ hosts: [{ origin, networks: [] }], secrets: [], store, pending, ends },
    ...{ attemptsMax: 2, attemptMs: 1000, concurrentMax: 1, mustWaitForModel: () => false },
    states: {
      read: async () => ({
        state: 'failed',
        error: new ScorelineError('model_failed', 'as an example'),
      }),
    },
    write: () => {
      throw new RangeError('Invalid string length');
    },
    resolve: async () => {
      throw new Error('Nobody is called.');
    },
    log: { warn: (line: object) => lines.push(line) } as unknown as Logger,
    onAttempt: (_, outcome) => outcomes.push(outcome),
  });
  try {
    await store.add(record, undefined);
    await waitUntil('its webhook is a dead letter', async () => {
      ends.end(record);
      return (await pending.listDead()).length === 1;
    });
    const [letter] = await pending.listDead();
    expect(letter).toMatchObject({
      job: 'job',
      webhook: { state: 'dead', attempts: 2, error: 'the message could not be written' },
    });
    expect(outcomes).toEqual(['unwritten', 'unwritten']);
    expect(lines[0]).toMatchObject({ err: { message: 'Invalid string length' } });
  } finally {
    await courier.close();
  }
});
