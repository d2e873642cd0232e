import { expect, onTestFinished, test } from 'vitest';
import { anyone } from '../../api/access/caller.js';
import { JobEnds } from '../../api/jobs/job-ends.js';
import type { JobRecord } from '../../api/jobs/job-record.js';
import { makeJobStore } from '../../api/jobs/job-store.js';
import { Courier, type CourierOptions } from '../../api/webhooks/courier.js';
import { PendingWebhooks } from '../../api/webhooks/pending-webhooks.js';
import { openReceiver, type ReceiverAnswer } from '../../chaos/receiver.js';
import { nowMs } from '../../shared/clock.js';
import { ScorelineError } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import { makeKeys } from '../../shared/redis/keys.js';
import { openRedisForAll, waitUntil } from '../harness.js';

const redis = await openRedisForAll();
let scenes = 0;

/** Starts a courier, of whose jobs each has failed when it is submitted. */
function openScene(origin: string, options: Partial<CourierOptions>) {
  const keys = makeKeys(`courier-${++scenes}`);
  const pending = new PendingWebhooks({ redis: redis.client, keys, pendingMax: 100, deadMax: 10 });
  const store = makeJobStore({ redis: redis.client, keys, jobsMax: 100, webhooks: pending });
  const ends = new JobEnds();
  const lines: object[] = [];
  const outcomes: string[] = [];
  const courier = new Courier({
    ...{ hosts: [{ origin, networks: ['127.0.0.0/8'] }], secrets: [], store, pending, ends },
    ...{ attemptsMax: 2, attemptMs: 60_000, concurrentMax: 1, mustWaitForModel: () => false },
    states: {
      read: async () => ({
        state: 'failed',
        error: new ScorelineError('model_failed', 'as an example'),
      }),
    },
    write: ({ record: { id } }) => ({ kept: id, body: id }),
    resolve: async () => {
      throw new Error('No name is looked up.');
    },
    log: { warn: (line: object) => lines.push(line) } as unknown as Logger,
    onAttempt: (_, outcome) => outcomes.push(outcome),
    ...options,
  });
  onTestFinished(() => courier.close());

  const add = async (id: string, caller: string) => {
    const record: JobRecord = {
      ...{ id, caller, model: 'any', version: '1', queue: 'any-1', queued: id, items: [id] },
      ...{ priority: 'interactive', form: { route: 'native' }, keepMs: 60_000 },
      ...{ submittedAt: nowMs(), deadlineAt: nowMs() + 60_000, webhook: `${origin}/${caller}` },
    };
    await store.add(record);
    return record;
  };
  const addAgain = async (earlier: JobRecord, webhook: string) => {
    const record = { ...earlier, queued: `${earlier.queued}-again`, webhook };
    await store.add(record, earlier);
    return record;
  };
  const addMany = (count: number, caller: string) =>
    Promise.all(Array.from({ length: count }, (_, at) => add(`${caller}-${at}`, caller)));
  const end = (...records: JobRecord[]) => {
    for (const record of records) ends.end(record);
  };
  return { keys, pending, lines, outcomes, add, addAgain, addMany, end };
}

/** Opens a receiver with a path for each caller. */
async function openShared(answer: (caller: string) => ReceiverAnswer) {
  const receiver = await openReceiver(({ path }) => answer(path.slice(1)));
  onTestFinished(() => receiver.close());
  const callers = () => receiver.received.map(({ path }) => path.slice(1));
  return { origin: receiver.origin, callers };
}

test('a message that cannot be written becomes a dead letter after as many attempts as any other', async () => {
  const scene = openScene('https://hooks.example.com', {
    write: () => {
      throw new RangeError('Invalid string length');
    },
  });
  const { pending, lines, outcomes } = scene;
  const record = await scene.add('job', 'caller');
  await waitUntil('its webhook is a dead letter', async () => {
    scene.end(record);
    return (await pending.listDead()).length === 1;
  });
  const [letter] = await pending.listDead();
  expect(letter).toMatchObject({
    job: 'job',
    webhook: { state: 'dead', attempts: 2, error: 'the message could not be written' },
  });
  expect(outcomes).toEqual(['unwritten', 'unwritten']);
  expect(lines[0]).toMatchObject({ err: { message: 'Invalid string length' } });
});

test('a caller whose receiver hangs holds up no other caller at the same host', async () => {
  const { origin, callers } = await openShared((caller) =>
    caller.startsWith('hanging') ? 'hang' : { status: 204 },
  );
  const scene = openScene(origin, { concurrentMax: 4 });
  scene.end(...(await scene.addMany(10, 'hanging-1')));
  await waitUntil('its share of the places is taken', () => callers().length >= 2);
  scene.end(...(await scene.addMany(10, 'hanging-2')));
  await waitUntil('another one is stuck, too', () => callers().length >= 3);

  for (const id of ['first', 'second', 'third']) {
    scene.end(await scene.add(id, 'well'));
    await waitUntil(
      'it is delivered',
      async () => (await scene.pending.read(id))?.state === 'delivered',
    );
  }
  expect(callers()).toEqual(['hanging-1', 'hanging-1', 'hanging-2', 'well', 'well', 'well']);
  expect(scene.outcomes).toEqual(['delivered', 'delivered', 'delivered']);
  expect(await scene.pending.count([origin])).toEqual({ pending: [20], dead: 0 });
});

test('callers take turns when there are not enough places for all', async () => {
  const { origin, callers } = await openShared((caller) =>
    caller === 'ada' ? 'hang' : { status: 204 },
  );
  const scene = openScene(origin, { concurrentMax: 1, attemptMs: 200 });
  const records = await scene.addMany(20, 'ada');
  scene.end(...records, ...(await scene.addMany(2, 'bob')));
  await waitUntil(
    'both of the other caller have come',
    () => callers().lastIndexOf('bob') !== callers().indexOf('bob'),
  );
  expect(callers().lastIndexOf('bob')).toBeLessThan(6);
});

test('where nobody says who asks, a hanging receiver takes all places of its host', async () => {
  const { origin, callers } = await openShared(() => 'hang');
  const scene = openScene(origin, { concurrentMax: 4 });
  scene.end(...(await scene.addMany(10, anyone.id)));
  await waitUntil('all places are taken', () => callers().length === 4);
});

test('a job that is done again with another host has a webhook there alone', async () => {
  const before = await openShared(() => ({ status: 503 }));
  const after = await openShared(() => 'hang');
  const hosts = [before, after].map(({ origin }) => ({ origin, networks: ['127.0.0.0/8'] }));
  const scene = openScene(before.origin, { hosts, attemptsMax: 9 });
  const { pending } = scene;
  const record = await scene.add('job', 'caller');
  scene.end(record);
  await waitUntil(
    'an attempt has failed',
    async () => (await pending.read('job'))?.state === 'retrying',
  );
  scene.end(await scene.addAgain(record, `${after.origin}/caller`));
  await waitUntil('the other host has it', () => after.callers().length === 1);
  await pending.hurry([{ origin: before.origin, caller: 'caller', job: 'job' }]);
  await waitUntil('the first host is done', async () => {
    const { pending: counts } = await pending.count([before.origin, after.origin]);
    return counts[0] === 0 && counts[1] === 1;
  });
  expect(after.callers()).toHaveLength(1);
});

test.each([
  ['the former host hangs', true],
  ['the former message is on its way to the same host', false],
])('an end that is heard of while %s is told at once', async (_, isElsewhere) => {
  const before = await openShared((path) => (path === 'caller' ? 'hang' : { status: 204 }));
  const after = isElsewhere ? await openShared(() => ({ status: 204 })) : before;
  const hosts = [before, after].map(({ origin }) => ({ origin, networks: ['127.0.0.0/8'] }));
  const scene = openScene(before.origin, { hosts, attemptMs: isElsewhere ? 60_000 : 2000 });
  const record = await scene.add('job', 'caller');
  scene.end(record);
  await waitUntil('the former host hangs', () => before.callers().length === 1);
  const again = await scene.addAgain(record, `${after.origin}/again`);
  // Without having heard of it, nobody would look at it today.
  const tomorrow = nowMs() + 86_400_000;
  await redis.client.zadd(scene.keys.webhooks(after.origin, 'caller'), tomorrow, 'job');
  scene.end(again);
  await waitUntil('the new message has come', () => after.callers().includes('again'));
});
