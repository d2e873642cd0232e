// Tests the consumer and BullMQ against a real Redis, with a fake engine and a fake quarantine.

import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { nowMs } from '../../shared/clock.js';
import { Instruments } from '../../shared/metrics/instruments.js';
import { makeLogger } from '../../shared/process/log.js';
import { connectConsumer, type Redis, waitUntilReady } from '../../shared/redis/redis.js';
import { encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import type { Reply } from '../../shared/wire/reply.js';
import { parseMetrics } from '../../top/exposition.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import type { Scorer, ScorerItem } from '../../worker/batch/scorer.js';
import { EngineEnded } from '../../worker/engine/engine.js';
import type { ItemEvents } from '../../worker/events.js';
import { ItemMetrics } from '../../worker/metrics/items.js';
import { type Cell, NoCell, type Quarantine } from '../../worker/quarantine/quarantine.js';
import { makeConsumer } from '../../worker/queue/consumer.js';
import { makeQueue } from '../../worker/queue/redis-queue.js';
import { makeSendReplies } from '../../worker/queue/replies.js';
import { makeResults } from '../../worker/queue/results.js';
import { openRedisForAll, waitUntil } from '../harness.js';
import { openNarrow } from '../narrow.js';
import { makeSampleModel } from '../unit/sample-model.js';
import { keys, openWorkerClient, type WorkerClient } from '../worker-client.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const model = makeSampleModel();
const queue = model.queues[0] as { name: string; wire: number };

const redis = await openRedisForAll();
const connection = connectConsumer({ url: redis.url, name: 'test', log });
afterAll(() => connection.disconnect());
let client: WorkerClient;

beforeEach(async () => {
  await redis.client.flushall();
  client = await openWorkerClient(redis.client, model);
  onTestFinished(() => client.close());
});

const echo = (items: readonly ScorerItem[]) => items.map(({ inputs }) => ({ outputs: inputs }));
const scoreAll: Scorer['score'] = async (items) => ({ results: echo(items), computeMs: 1 });
const noQuarantine: Quarantine = {
  inTurn: () => Promise.reject(new Error('Nothing is suspect.')),
  close: () => {},
};
const cellOf = (cell: Partial<Cell>): Quarantine => ({
  inTurn: (work) => work({ open: async () => {}, score: async (items) => echo(items), ...cell }),
  close: () => {},
});

interface StartParts {
  readonly score?: Scorer['score'];
  readonly quarantine?: Quarantine;
  readonly events?: ItemEvents;
}

function start(parts: StartParts = {}) {
  const consumer = makeConsumer({
    model,
    events: parts.events,
    scorer: { score: parts.score ?? scoreAll },
    queue: makeQueue({ name: queue.name, priority: 'interactive', redis: connection, keys, log }),
    quarantine: parts.quarantine ?? noQuarantine,
    kept: makeResults({ wire: queue.wire, redis: connection, keys, log }),
    sendReplies: makeSendReplies({ queue, priority: 'interactive', redis: connection, keys, log }),
    log,
  });
  onTestFinished(() => consumer.close(0));
  return consumer;
}
const codesOf = (replies: readonly Reply[]) =>
  replies.map((reply) => ('error' in reply ? reply.error.code : 'answered'));
const item = (text: string) => ({ inputs: textInputs(text) });

test('a large answer on a slow network does not hold up what keeps the lock of its job', async () => {
  const url = await openNarrow(redis.url, 10_000_000);
  const [slow, carrier] = ['worker', 'worker-large'].map((name) => {
    const opened = connectConsumer({ url, name, log });
    onTestFinished(() => opened.disconnect());
    return opened;
  }) as [Redis, Redis];
  await Promise.all([waitUntilReady(slow), waitUntilReady(carrier)]);
  const to = { redis: slow, carrier, keys, log };
  const data = Buffer.alloc(8_000_000, 7);
  const outputs = [{ name: 'large', datatype: 'UINT8' as const, shape: [1, data.length], data }];
  const timing = { queueMs: 0, batchMs: 0, computeMs: 1, batchSize: 1 };
  const reply: Reply = { id: 'large', outputs, timing };
  const deadlineAt = Date.now() + 60_000;
  const there = async () => [
    await redis.client.exists(keys.result('large')),
    (await client.replies()).size,
  ];
  const keeping = makeResults(to).keep([{ id: 'large', keepMs: 60_000, deadlineAt }], [reply]);
  const send = makeSendReplies({ queue, priority: 'interactive', ...to });
  const sending = send(new Map([[client.instance, [reply]]]), deadlineAt);
  await setImmediate();
  await slow.ping();
  expect(await there()).toEqual([0, 0]);
  await Promise.all([keeping, sending]);
  expect(await there()).toEqual([1, 1]);
});

/** Sends a job that looks as if its worker had not finished it. */
async function sendSuspect(...texts: string[]): Promise<string[]> {
  return sendLost(1, ...texts);
}

/** The same, for a job that so many workers have lost. */
async function sendLost(losses: number, ...texts: string[]): Promise<string[]> {
  const dying = start({ score: () => new Promise(() => {}) });
  const ids = await client.send(texts.map(item));
  await client.untilActive(1);
  const [job] = await redis.client.lrange(`${keys.prefix}:${queue.name}:active`, 0, -1);
  await dying.close(0);
  await redis.client.hset(`${keys.prefix}:${queue.name}:${job}`, 'stc', losses);
  return ids;
}

test('items of different shapes are scored in different batches, and all are answered', async () => {
  const batches: Tensor['shape'][][] = [];
  start({
    score: (items) => {
      batches.push(items.map(({ inputs }) => (inputs[0] as Tensor).shape));
      return scoreAll(items);
    },
  });
  const wide = { ...textInputs('')[0], shape: [1, 2], data: encodeStrings(['a', 'b']) } as Tensor;
  const drafts = [item('a'), { inputs: [wide] }, item('b'), { inputs: [wide] }];
  const ids = await client.send(drafts);
  expect(codesOf(await client.answers(ids))).toEqual(ids.map(() => 'answered'));
  for (const shapes of batches) expect(new Set(shapes.map(String)).size).toBe(1);
  await client.untilEmpty();
});

test('a batch whose engine is lost is not answered, and its job returns as a suspect', async () => {
  start({
    score: () => Promise.reject(new EngineEnded('The engine thread has ended.')),
    quarantine: cellOf({}),
  });
  const ids = await client.send([{ ...item('a'), keepMs: 60_000 }, item('b')]);
  expect(codesOf(await client.answers(ids))).toEqual(['answered', 'answered']);
  const replies = await client.replies();
  for (const id of ids) expect(replies.get(id)).toHaveLength(1);
});

test('items count as unanswered until Redis has their replies, and no longer once their job is done', async () => {
  const countUnanswered = () => redis.client.zcard(keys.unanswered(queue.name));
  start({
    score: async (items) => {
      await redis.client.config('SET', 'maxmemory', '1');
      return scoreAll(items);
    },
  });
  const ids = await client.send([item('a'), item('b')]);
  await waitUntil('Redis refuses the replies', async () =>
    /cmdstat_xadd:.*rejected_calls=[1-9]/.test(await redis.client.info('commandstats')),
  );
  expect(await countUnanswered()).toBe(2);
  await redis.client.config('SET', 'maxmemory', '0');
  expect(codesOf(await client.answers(ids))).toEqual(['answered', 'answered']);
  await client.untilEmpty();
  expect(await countUnanswered()).toBe(0);
});

describe('a suspect', () => {
  const countSuspects = async () => (await redis.client.keys(keys.strikes('*'))).length;
  /** An item is cleared after its answer. */
  const untilCleared = () =>
    waitUntil('no item has a strike', async () => (await countSuspects()) === 0);

  test('waits, without blame, until there is a process for it', async () => {
    const ids = await sendSuspect('a', 'b');
    let opens = 0;
    start({
      quarantine: cellOf({
        open: async () => {
          if (++opens <= 2) throw new NoCell('There are no descriptors left.');
        },
      }),
    });
    expect(codesOf(await client.answers(ids))).toEqual(['answered', 'answered']);
    expect(await client.countOf('crashed')).toBe(0);
    await untilCleared();
    await client.untilEmpty();
  });

  test('whose process is gone while it is tried alone has no strike', async () => {
    const [id] = await sendSuspect('a');
    let isGone = true;
    start({
      quarantine: cellOf({
        score: async (items) => {
          if (!isGone) return echo(items);
          const isAlone = (await countSuspects()) > 0;
          if (!isAlone) return undefined;
          isGone = false;
          throw new NoCell('The quarantine is closed.');
        },
      }),
    });
    expect(codesOf(await client.answers([id as string]))).toEqual(['answered']);
    await untilCleared();
  });

  test('that is given back is tried no further, and the next worker tries what is not answered', async () => {
    const { max } = model.manifest.batch;
    const ids = await sendSuspect(...Array.from({ length: max + 1 }, String));
    const tried: string[] = [];
    const leaving = start({
      quarantine: cellOf({
        score: async (items) => {
          tried.push(`leaving ${items.length}`);
          await leaving.close(60_000);
          return echo(items);
        },
      }),
    });
    const begun = await client.answers(ids.slice(0, max));
    expect(codesOf(begun)).toEqual(begun.map(() => 'answered'));
    start({
      quarantine: cellOf({
        score: async (items) => {
          tried.push(`next ${items.length}`);
          return echo(items);
        },
      }),
    });
    expect(codesOf(await client.answers(ids.slice(max)))).toEqual(['answered']);
    expect(tried).toEqual([`leaving ${max}`, 'next 1']);
    await client.untilEmpty();
  });

  test('that never gets a process keeps no other job waiting', async () => {
    const ids = await sendSuspect('a');
    const job = (await redis.client.lrange(`${keys.prefix}:${queue.name}:wait`, 0, -1))[0];
    expect(job).toBeDefined();
    start({
      quarantine: cellOf({
        open: () => Promise.reject(new NoCell('There are no descriptors left.')),
      }),
    });
    const others = await client.send(['b', 'c'].map(item));
    expect(codesOf(await client.answers(others))).toEqual(['answered', 'answered']);
    const late = await client.send([{ ...item('d'), deadlineAt: nowMs() - 1 }]);
    expect((await client.replies()).has(late[0] as string)).toBe(false);
    expect((await client.replies()).has(ids[0] as string)).toBe(false);
    expect(await client.countOf('crashed')).toBe(0);
  });

  test('is tried by its worker if no process will ever have its model, and blamed if that has ended three', async () => {
    const ids = await sendSuspect('a', 'kills', 'b');
    const [job] = await redis.client.lrange(`${keys.prefix}:${queue.name}:wait`, 0, -1);
    await redis.client.hset(keys.strikes(String(job)), { [ids[1] as string]: 3 });
    start({
      quarantine: cellOf({
        open: () => Promise.reject(new NoCell('The file has changed.', { isForFiles: true })),
      }),
    });
    expect(codesOf(await client.answers(ids))).toEqual(['answered', 'model_crashed', 'answered']);
    expect(await client.countOf('crashed')).toBe(1);
    await untilCleared();
    await client.untilEmpty();
  });

  test('is tried together, and then item by item if that ends the process', async () => {
    const tried: string[] = [];
    const isFatal = ({ inputs }: ScorerItem) => String(inputs[0]?.data).includes('kills');
    const ids = await sendSuspect('a', 'kills', 'b');
    const instruments = new Instruments('worker');
    const readMetric = async (metric: string) => {
      const families = parseMetrics((await instruments.expose()).text);
      const samples = [...families.values()].flatMap((family) => family.samples);
      return samples.find(({ name }) => name === `scoreline_${metric}`)?.value;
    };
    start({
      events: new ItemMetrics(instruments, model),
      quarantine: cellOf({
        score: async (items) => {
          tried.push(items.map(({ inputs }) => String(inputs[0]?.data).slice(4)).join());
          return items.some(isFatal) ? undefined : echo(items);
        },
      }),
    });
    expect(codesOf(await client.answers(ids))).toEqual(['answered', 'model_crashed', 'answered']);
    expect(tried).toEqual(['a,kills,b', 'a', 'kills', 'b']);
    expect(await client.countOf('crashed')).toBe(1);
    await client.untilEmpty();
    expect(await readMetric('quarantine_crashes_total')).toBe(2);
    expect(await readMetric('run_duration_seconds_count')).toBe(2);
    expect(await readMetric('batch_size_rows_sum')).toBe(2);
  });
});

test('a suspect that two workers have lost is tried item by item at once, since the quarantine may take a third along', async () => {
  const tried: number[] = [];
  const ids = await sendLost(2, 'a', 'b');
  start({
    quarantine: cellOf({
      score: async (items) => {
        tried.push(items.length);
        return echo(items);
      },
    }),
  });
  expect(codesOf(await client.answers(ids))).toEqual(['answered', 'answered']);
  expect(tried).toEqual([1, 1]);
  await client.untilEmpty();
});

describe('a kept result', () => {
  test('is marked as kept when it is sent again', async () => {
    start();
    const id = randomUUID();
    const draft = { ...item('a'), id, keepMs: 60_000 };
    const [first] = await client.answers(await client.send([draft]));
    expect(first).toMatchObject({ outputs: [{ shape: [1] }] });
    expect(first).not.toHaveProperty('isKept', true);
    await client.send([draft]);
    await waitUntil(
      'the repeat is answered',
      async () => ((await client.replies()).get(id)?.length ?? 0) === 2,
    );
    expect((await client.replies()).get(id)?.[1]).toMatchObject({ isKept: true });
  });

  test('that cannot be read counts as missing', async () => {
    let runs = 0;
    start({
      score: (items) => {
        runs++;
        return scoreAll(items);
      },
    });
    const id = randomUUID();
    await redis.client.set(keys.result(id), 'of another version');
    const [reply] = await client.answers(await client.send([{ ...item('a'), id, keepMs: 60_000 }]));
    expect(codesOf([reply as Reply])).toEqual(['answered']);
    expect(runs).toBe(1);
  });
});
