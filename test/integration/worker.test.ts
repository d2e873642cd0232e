// Tests a worker process with real models and a real Redis, but without an API.

import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { copyModels } from '../../chaos/models.js';
import { poisonText } from '../../chaos/poison.js';
import type { Child } from '../../cli/processes/children.js';
import { findFreePort } from '../../cli/redis/redis.js';
import { findModel, readModels } from '../../shared/registry/models.js';
import { mapScores } from '../../shared/tensors/scores.js';
import { checkTensor, encodeStrings, type Tensor, toFloats } from '../../shared/tensors/tensors.js';
import { makeItemId, membersOf } from '../../shared/wire/item-id.js';
import { encodeJob } from '../../shared/wire/job.js';
import type { Reply } from '../../shared/wire/reply.js';
import { wireVersion } from '../../shared/wire/version.js';
import { parseMetrics, type Sample } from '../../top/exposition.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import { addCounter, counterName, countFor, hangsForever } from '../failures/counter.js';
import {
  ask as askHttp,
  type LogLine,
  openRedis,
  serviceEnvironment,
  startProcess,
  type TestRedis,
  waitUntil,
} from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';
import { keys, openWorkerClient, type WorkerClient } from '../worker-client.js';

const faqName = 'faq-matcher';

interface Stage {
  readonly redis: TestRedis;
  readonly log: LogLine[];
  readonly faq: WorkerClient;
  readonly counter: WorkerClient;
  /** Resolves when the worker is ready. */
  start(): Promise<Child>;
  untilLogged(message: string): Promise<LogLine>;
}

/** Runs a test with its own Redis and models folder, and ends everything afterwards. */
async function withStage(
  options: {
    environment?: NodeJS.ProcessEnv;
    preload?: string;
    /** Of the counter. */
    runMsMax?: number;
    device?: object;
  },
  act: (stage: Stage) => Promise<void>,
): Promise<void> {
  const directory = writeFolder({});
  copyModels(directory, [faqName]);
  const { runMsMax, device } = options;
  addCounter(directory, { ...(runMsMax !== undefined && { runMsMax }), ...(device && { device }) });
  const redis = await openRedis();
  const log: LogLine[] = [];
  const workers: Child[] = [];
  const models = readModels({ directory, filesNeeded: true });
  const clients = await Promise.all(
    [faqName, counterName].map((name) => openWorkerClient(redis.client, findModel(models, name))),
  );
  const preload = options.preload && new URL(options.preload, import.meta.url).href;
  const environment = serviceEnvironment({
    redisUrl: redis.url,
    models: `${faqName},${counterName}`,
    environment: {
      MODELS_DIR: directory,
      LOG_LEVEL: 'info',
      ...(preload && { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import ${preload}` }),
      ...options.environment,
    },
  });
  const find = (message: string) => log.find(({ msg }) => msg.startsWith(message));
  try {
    await act({
      redis,
      log,
      faq: clients[0] as WorkerClient,
      counter: clients[1] as WorkerClient,
      start: async () => {
        const worker = startProcess('worker', environment, log);
        workers.push(worker);
        await worker.ready;
        return worker;
      },
      untilLogged: async (message) => {
        await waitUntil(`"${message}" is logged`, () => find(message) !== undefined);
        return find(message) as LogLine;
      },
    });
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
    await Promise.all(workers.map((worker) => worker.exited));
    for (const client of clients) await client.close().catch(() => {});
    await redis.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Returns the samples of our metrics by name, without `scoreline_`. */
async function readMetrics(port: number): Promise<Record<string, readonly Sample[]>> {
  const { body } = await askHttp(`http://127.0.0.1:${port}/metrics`);
  return Object.fromEntries(
    [...parseMetrics(body)].map(([name, { samples }]) => [name.replace('scoreline_', ''), samples]),
  );
}

const ask = (text: string) => ({ inputs: textInputs(text), top: 1 });
const textTensor = (texts: string[]): Tensor => ({
  name: 'input',
  datatype: 'BYTES',
  shape: [texts.length],
  data: encodeStrings(texts),
});
const outputsOf = (reply: Reply | undefined) => {
  if (!reply || 'error' in reply) throw new Error(`No outputs: ${JSON.stringify(reply)}`);
  return reply.outputs;
};
const classOf = (reply: Reply | undefined) => mapScores(outputsOf(reply), (label) => label)[0];
const codesOf = (replies: readonly Reply[]) =>
  replies.map((reply) => ('error' in reply ? reply.error.code : 'answered'));

describe('the probes of a worker', () => {
  test('tell whether it loads, is ready, has lost Redis, or drains', async () => {
    const port = await findFreePort();
    const environment = { PROBE_PORT: String(port) };
    await withStage({ environment }, async ({ counter, start, redis, untilLogged }) => {
      const probe = async (name: string) => {
        const { status, body } = await askHttp(`http://127.0.0.1:${port}/${name}`);
        return [status, body.status];
      };
      const metrics = () => readMetrics(port);
      const untilProbed = (name: string, status: number, health: string) =>
        waitUntil(`${name} says ${health}`, async () => {
          const got = await probe(name).catch(() => []);
          return got[0] === status && got[1] === health;
        });
      await redis.stop();
      const starting = start();
      await untilProbed('startupz', 503, 'away');
      expect(await probe('livez')).toEqual([200, 'away']);
      await redis.start();
      const worker = await starting;
      expect(await probe('readyz')).toEqual([200, 'ready']);
      expect(await probe('startupz')).toEqual([200, 'ready']);
      expect((await metrics()).redis_reconnects_total).toMatchObject([{ value: 0 }]);
      expect((await askHttp(`http://127.0.0.1:${port}/nothing`)).status).toBe(404);

      await redis.stop();
      await untilProbed('readyz', 503, 'away');
      expect((await metrics()).redis_up).toMatchObject([{ value: 0 }]);
      const states = (await metrics()).worker_state?.filter(({ value }) => value === 1);
      expect(states).toMatchObject([{ labels: { state: 'away' } }]);
      // A restart would not bring Redis back.
      expect(await probe('startupz')).toEqual([200, 'away']);
      expect(await probe('livez')).toEqual([200, 'away']);
      await redis.start();
      await untilProbed('readyz', 200, 'ready');
      expect((await metrics()).redis_up).toMatchObject([{ value: 1 }]);
      expect((await metrics()).redis_reconnects_total).toMatchObject([{ value: 1 }]);

      await counter.send([ask(hangsForever)]);
      await waitUntil('the job is held', async () => {
        const { body } = await askHttp(`http://127.0.0.1:${port}/readyz`);
        return body.models.some(({ heldMs }: { heldMs: number }) => heldMs > 0);
      });
      worker.kill('SIGTERM');
      await untilLogged('shutting down');
      expect(await probe('readyz')).toEqual([503, 'draining']);
      expect(await probe('livez')).toEqual([200, 'draining']);
    });
  });

  test('say why Redis cannot be used, and what to do', async () => {
    const port = await findFreePort();
    const environment = { PROBE_PORT: String(port) };
    await withStage({ environment }, async ({ start, redis }) => {
      await start();
      const readiness = async () => (await askHttp(`http://127.0.0.1:${port}/readyz`)).body;
      await redis.client.acl('SETUSER', 'default', 'resetpass', '>another');
      await redis.client.call('CLIENT', 'KILL', 'SKIPME', 'yes');
      const detail = /^Redis cannot be used: NOAUTH .*another password now: correct REDIS_PASSWORD/;
      await waitUntil('it says so', async () => detail.test((await readiness()).reason));
      await redis.client.acl('SETUSER', 'default', 'nopass');
      await waitUntil('it is ready', async () => (await readiness()).status === 'ready');
    });
  });
});

test('a worker on a fallback device says so in its readiness and its log, and counts it', async () => {
  const port = await findFreePort();
  const environment = { PROBE_PORT: String(port) };
  const device = { type: 'dml', fallback: 'cpu' };
  await withStage({ environment, device }, async ({ counter, faq, start, log }) => {
    await start();
    const [reply] = await counter.answers(await counter.send([ask('7')]));
    expect(classOf(reply)).toBe(7);
    const { body } = await askHttp(`http://127.0.0.1:${port}/readyz`);
    const reason = expect.stringContaining('cannot use dml here');
    expect(body.models).toContainEqual(
      expect.objectContaining({ name: counterName, device: 'cpu', reason }),
    );
    const lines = log.filter(({ msg }) => msg === 'model runs on its fallback device');
    expect(lines).toEqual([expect.objectContaining({ model: counterName, reason })]);
    await waitUntil('it is counted', async () => (await counter.countOf('fallbacks')) === 1);
    expect(await faq.countOf('fallbacks')).toBe(0);
  });
});

describe('a worker', () => {
  test('answers with a ranking, with all outputs, or with the outputs asked for', async () => {
    await withStage({}, async ({ counter, start, redis }) => {
      await start();
      const rows = { name: 'input', datatype: 'BYTES', shape: [3] } as const;
      const three = [{ ...rows, data: encodeStrings(['4', '15', '26']) }];
      const ids = await counter.send([
        ask('7'),
        { inputs: three },
        { inputs: three, top: 2 },
        { inputs: textInputs('8'), outputs: ['output'] },
        { inputs: textInputs('8'), outputs: ['other'] },
        { inputs: [{ ...rows, shape: [1, 1], data: encodeStrings(['9']) }], top: 1 },
      ]);
      const [one, raw, ranked, named, unknown, column] = await counter.answers(ids);
      expect(classOf(one)).toBe(7);
      expect(classOf(column)).toBe(9);
      const [scores] = outputsOf(raw) as [Tensor];
      expect(scores).toMatchObject({ name: 'output', datatype: 'FP32', shape: [3, 10] });
      checkTensor(scores);
      const floats = toFloats(scores);
      expect([0, 1, 2].map((row) => floats.subarray(row * 10, row * 10 + 10).indexOf(1))).toEqual([
        4, 5, 6,
      ]);
      expect(outputsOf(ranked).map(({ name, shape }) => [name, shape])).toEqual([
        ['classes', [3, 2]],
        ['scores', [3, 2]],
      ]);
      expect(outputsOf(named)).toMatchObject([{ name: 'output', shape: [1, 10] }]);
      expect(codesOf([unknown as Reply])).toEqual(['tensor_invalid']);
      await waitUntil(
        'nothing is unanswered',
        async () => (await redis.client.exists(keys.unanswered(counter.queue))) === 0,
      );
    });
  });

  test('fails an item that the model cannot take, and answers its neighbours', async () => {
    await withStage({}, async ({ counter, start }) => {
      await start();
      const float = { name: 'input', datatype: 'FP32', shape: [1], data: Buffer.alloc(4) } as const;
      const drafts = [ask('1'), { inputs: [float], top: 1 }, ask('2'), { ...ask('3'), top: 99 }];
      const replies = await counter.answers(await counter.send(drafts));
      expect(codesOf(replies)).toEqual(['answered', 'tensor_invalid', 'answered', 'answered']);
      expect(replies[1]).toMatchObject({
        error: { detail: 'Expected strings of shape [rows]; got "input" of FP32[1].' },
      });
    });
  });

  test('reads large inputs from beside the job, and deletes them with it', async () => {
    await withStage({}, async ({ faq, start, redis }) => {
      const ids = await faq.send([ask('where is my card '.repeat(500)), ask('short')]);
      expect(await redis.client.keys(keys.payload('*'))).toHaveLength(1);
      await start();
      expect(codesOf(await faq.answers(ids))).toEqual(['answered', 'answered']);
      await waitUntil(
        'the payload is gone',
        async () => (await redis.client.keys(keys.payload('*'))).length === 0,
      );
    });
  });

  test('batches the rows of items, answers each item, and counts all its rows as answered', async () => {
    await withStage({}, async ({ faq, start, redis }) => {
      const texts = ['How do I copy an object?', 'How do I sort an array?', 'What is a closure?'];
      const together = { ...ask(''), inputs: [textTensor(texts)] };
      const ids = await faq.send([
        { ...together, id: makeItemId(randomUUID(), texts.length) },
        ...texts.map(ask),
      ]);
      const key = keys.unanswered(faq.queue);
      for (const member of membersOf(ids))
        await redis.client.zadd(key, Date.now() + 30_000, member);
      expect(await redis.client.zcard(key)).toBe(6);
      await start();
      const [whole, ...single] = await faq.answers(ids);
      expect(mapScores(outputsOf(whole), (label) => label)).toEqual(single.map(classOf));
      expect(whole).toMatchObject({ timing: { batchSize: 6 } });
      await waitUntil('nothing is unanswered', async () => !(await redis.client.exists(key)));
    });
  });

  test('removes items past their deadlines from the unanswered set', async () => {
    await withStage({}, async ({ counter, start, redis }) => {
      const key = keys.unanswered(counter.queue);
      await redis.client.zadd(key, 1, 'late', 9_000_000_000_000, 'waiting');
      await start();
      await waitUntil(
        'the late item is removed',
        async () => (await redis.client.zcard(key)) === 1,
      );
      expect(await redis.client.zrange(key, '0', '-1')).toEqual(['waiting']);
    });
  });
});

describe('a job that cannot be read', () => {
  const item = { id: 'x', submittedAt: 1, deadlineAt: 9e12 };
  const whole = (changes: object) => ({ wire: wireVersion, replyTo: 'api', ...changes });

  test.each([
    ['is not JSON', () => '{"wire":'],
    ['is not an object', () => 'null'],
    ['has no items', () => JSON.stringify(whole({ items: [] }))],
    ['has items of another type', () => JSON.stringify(whole({ items: 'all' }))],
  ])('because it %s leaves the queue, and the worker goes on', async (_, text) => {
    await withStage({}, async ({ counter, log, start }) => {
      await start();
      await counter.sendRaw(text());
      await expectLeft(counter, log);
    });
  });

  test.each([
    ['another version', (job: object) => ({ ...job, wire: 99 })],
    ['no layout', (job: { items: readonly object[] }) => withItem(job, { layout: undefined })],
    [
      'an unknown datatype',
      (job: object) => ({ ...job, layouts: [[{ name: 'input', datatype: 'X', shape: [1] }]] }),
    ],
    ['no deadline', (job: { items: readonly object[] }) => withItem(job, { deadlineAt: 'soon' })],
  ])('because it has %s fails once, for each item it names', async (_, spoil) => {
    await withStage({}, async ({ counter, log, start, redis }) => {
      await start();
      const items = ['a', 'b'].map((id) => ({ ...item, id, inputs: textInputs('1') }));
      await redis.client.zadd(
        keys.unanswered(counter.queue),
        '9000000000000',
        'a',
        '9000000000000',
        'b',
      );
      const { job } = encodeJob({ replyTo: counter.instance, items });
      await counter.sendRaw(JSON.stringify(spoil(job)));
      await expectLeft(counter, log);
      const replies = await counter.replies();
      for (const id of ['a', 'b']) {
        expect(replies.get(id)).toMatchObject([{ error: { code: 'wire_mismatch' } }]);
      }
      expect(await redis.client.exists(keys.unanswered(counter.queue))).toBe(0);
    });
  });

  test('fails only the item whose bytes are wrong', async () => {
    await withStage({}, async ({ counter, log, start }) => {
      await start();
      const ids = await counter.send([
        ask('1'),
        { inputs: [{ name: 'input', datatype: 'BYTES', shape: [2], data: encodeStrings(['1']) }] },
        { inputs: [{ name: 'input', datatype: 'FP64', shape: [2], data: Buffer.alloc(7) }] },
        { inputs: [{ name: 'input', datatype: 'FP64', shape: [900], data: Buffer.alloc(7000) }] },
        ask('2'),
      ]);
      expect(codesOf(await counter.answers(ids))).toEqual([
        'answered',
        ...['wire_mismatch', 'wire_mismatch', 'wire_mismatch'],
        'answered',
      ]);
      expect(log.filter(({ msg }) => msg === 'a job is in quarantine')).toEqual([]);
    });
  });

  function withItem(job: { items: readonly object[] }, changes: object) {
    return { ...job, items: job.items.map((one, at) => (at === 0 ? { ...one, ...changes } : one)) };
  }

  /** Expects that the job failed once, and that the worker answers the next job. */
  async function expectLeft(counter: WorkerClient, log: readonly LogLine[]) {
    await waitUntil('the job is counted', async () => (await counter.countOf('unreadable')) > 0);
    const replies = await counter.answers(await counter.send([ask('5')]));
    expect(classOf(replies[0])).toBe(5);
    await counter.untilEmpty();
    expect(await counter.countOf('unreadable')).toBe(1);
    const lines = log.filter(({ msg }) => msg === 'a job cannot be read');
    expect(lines).toMatchObject([{ reason: expect.any(String) }]);
  }
});

describe('a worker whose engine thread ends', () => {
  test('leaves at once, and neither answers nor keeps anything of the batch', async () => {
    const environment = { PROBE_PORT: '0' };
    await withStage({ environment, preload: '../failures/ending.js' }, async (stage) => {
      const { faq, start, redis, untilLogged } = stage;
      const worker = await start();
      const ids = await faq.send([
        { ...ask(poisonText('crash', 'of the thread')), id: 'ends', keepMs: 60_000 },
        { ...ask('where is my card'), id: 'sound', keepMs: 60_000 },
      ]);
      expect(await worker.exited).toBe('SIGKILL');
      expect((await untilLogged('leaving at once')).reason).toContain('engine thread has ended');
      expect((await faq.replies()).size).toBe(0);
      expect(await redis.client.keys(keys.result('*'))).toEqual([]);

      // In quarantine, the end of the thread ends its process, which identifies the culprit.
      const { probePort } = await (await start()).ready;
      expect(codesOf(await faq.answers(ids))).toEqual(['model_crashed', 'answered']);
      const metrics = () => readMetrics(Number(probePort));
      await waitUntil('its metrics have both', async () => {
        const { items_total: items = [] } = await metrics();
        return ['ok', 'model_crashed'].every((code) =>
          items.some(({ labels, value }) => labels.code === code && value === 1),
        );
      });
      const { recovered_jobs_total: recovered, quarantine_crashes_total: crashes } =
        await metrics();
      expect(recovered?.find(({ labels }) => labels.model === faqName)?.value).toBe(1);
      // Together with its neighbour, and alone.
      expect(crashes?.find(({ labels }) => labels.model === faqName)?.value).toBe(2);
    });
  });
});

describe('a worker that gets SIGTERM while Redis is away', () => {
  // From the signal to the end of the process, with some time to spare for slow machines.
  /** A second or two on an idle machine; what it guards against is SIGKILL after 26 s. */
  const endMsMax = 15_000;

  test.each([
    ['stopped', 'at once'],
    ['frozen', 'at once'],
    ['stopped', 'once a look waits'],
    ['frozen', 'once a look waits'],
  ])('(%s, %s) ends soon when it holds no job', async (how, when) => {
    await withStage({}, async ({ counter, redis, start }) => {
      const worker = await start();
      await counter.answers(await counter.send([ask('5')]));
      await counter.untilEmpty();
      if (how === 'stopped') await redis.stop();
      else await redis.client.client('PAUSE', 60_000, 'ALL');
      // It looks for changed models each second.
      if (when !== 'at once') await delay(1500);
      const toldAt = performance.now();
      worker.kill('SIGTERM');
      expect(await worker.exited).toBe(0);
      expect(performance.now() - toldAt).toBeLessThan(endMsMax);
    });
  });

  test('shuts down in order by SHUTDOWN_MS when it holds a job', async () => {
    await withStage(
      { environment: { SHUTDOWN_MS: '4000' } },
      async ({ counter, redis, start, log }) => {
        const worker = await start();
        await counter.send([ask(countFor(300, 5))]);
        await counter.untilActive(1);
        await redis.stop();
        worker.kill('SIGTERM');
        expect(await worker.exited).toBe(0);
        expect(log.map(({ msg }) => msg)).not.toContain('not done within SHUTDOWN_MS; leaving now');
      },
    );
  });

  test('closes its consumers first: it finishes held jobs and starts no new ones', async () => {
    await withStage({}, async ({ counter, redis, start, untilLogged }) => {
      const worker = await start();
      const held = await counter.send([ask(countFor(500, 5))]);
      await counter.untilActive(1);
      worker.kill('SIGTERM');
      await untilLogged('shutting down');
      const later = await counter.send([ask('6')]);
      expect(classOf((await counter.answers(held))[0])).toBe(5);
      expect(await worker.exited).toBe(0);
      expect((await counter.replies()).has(later[0] as string)).toBe(false);
      expect(await redis.client.zcard(keys.workers(counter.queue))).toBe(0);
    });
  });
});

describe('a run that hangs', () => {
  test('ends its worker, which answers nothing of the batch', async () => {
    await withStage({ runMsMax: 3000 }, async ({ counter, start, untilLogged }) => {
      const worker = await start();
      const ids = await counter.send([ask(hangsForever), ask('4')]);
      expect(await worker.exited).toBe('SIGKILL');
      expect((await untilLogged('leaving at once')).reason).toContain('runMsMax, 3000 ms');
      expect((await counter.replies()).size).toBe(0);
      await start();
      expect(codesOf(await counter.answers(ids))).toEqual(['model_crashed', 'answered']);
    });
  });
});
