import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type CuttableProxy, openProxy } from '../../chaos/proxy.js';
import { cuts } from '../../chaos/schedule.js';
import type { Child } from '../../cli/processes/children.js';
import {
  type Answer,
  ask,
  type LogLine,
  openRedis,
  post,
  readModel,
  serviceEnvironment,
  startProcess,
  type TestRedis,
  waitUntil,
} from '../harness.js';
import { listenOnFreePort } from '../peer.js';
import { counterName, countFor } from './counter.js';
import {
  expectAllAnswered,
  expectAnswered,
  expectCounted,
  expectRefused,
  faqName,
  keys,
  type Question,
  questions,
  type Scene,
  withScene,
} from './scene.js';

describe('API and worker refuse to start', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await openRedis();
  });
  afterAll(() => redis?.close());

  test('with a wrong password for Redis', async () => {
    await redis.client.config('SET', 'requirepass', 'right');
    await redis.client.auth('right');
    const url = redis.url.replace('//', '//:wrong@');
    for (const told of [url, redis.url]) {
      await expectRefusedStart(told, /user and password that Redis accepts.*Check both/, 'right');
    }
    await expectRefusedStart(redis.url, /password that Redis accepts.*REDIS_PASSWORD/, 'right', {
      REDIS_PASSWORD: 'wrong',
    });
    await redis.client.config('SET', 'requirepass', '');
  });

  test('on a Redis that is too old', async () => {
    const url = await openOldRedis(redis.url, '6.0.16');
    await expectRefusedStart(url, /Redis 6\.2 or later; got Redis 6\.0\.16\. Upgrade it/);
  });

  test('on a Redis that evicts keys when it is full', async () => {
    await redis.client.config('SET', 'maxmemory', '100mb', 'maxmemory-policy', 'allkeys-lru');
    await expectRefusedStart(
      redis.url,
      /noeviction; got allkeys-lru.*Set maxmemory-policy noeviction/,
    );
    await redis.client.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
  });

  test('on a Redis that is a replica', async () => {
    const primary = await openRedis();
    await redis.client.replicaof('127.0.0.1', Number(new URL(primary.url).port));
    await expectRefusedStart(redis.url, /takes writes; got a read-only replica.*primary/);
    await redis.client.replicaof('NO', 'ONE');
    await primary.close();
  });
});

describe('a Redis that becomes a replica', () => {
  test('causes 503 and a log line with advice, until it takes writes again', async () => {
    const primary = await openRedis();
    try {
      await withScene({}, async (scene) => {
        await expectAllAnswered(scene, questions.slice(0, 3));
        await scene.redis.client.replicaof('127.0.0.1', Number(new URL(primary.url).port));
        await untilRefused(scene);
        await expectRefusedAtOnce(scene);
        const { advice } = await scene.untilLogged('Redis takes no writes');
        expect(advice).toMatch(/^Redis is a read-only replica: promote it/);
        const connectionsBefore = await countConnections(scene);
        const startedAt = performance.now();
        for (let round = 0; round < 10; round++) {
          await Promise.all(Array.from({ length: 50 }, () => expectRefusedAtOnce(scene)));
        }
        const seconds = (performance.now() - startedAt) / 1000;
        // Meanwhile, the service does not flood Redis with new connections: each of its few connects again at most
        // once a second.
        expect((await countConnections(scene)) - connectionsBefore).toBeLessThan(20 + 10 * seconds);
        await scene.redis.client.replicaof('NO', 'ONE');
        await untilAnswered(scene);
        await expectAllAnswered(scene, questions.slice(0, 20));
        expectStillThere(scene);
      });
    } finally {
      await primary.close();
    }
  });
});

describe('a Redis that is full', () => {
  test('refuses new requests, delays the running one, and tells the results that it has', async () => {
    await withScene({}, async (scene) => {
      const { client } = scene.redis;
      const done = await submitJob(scene, '5');
      const input = countFor(1500, 6);
      const running = scene.count(input);
      await scene.untilHeld(1);
      await client.config('SET', 'maxmemory', '1');
      const unsent = await scene.untilLogged('replies cannot be sent');
      expect(unsent.advice).toMatch(/^The memory of Redis is full: raise its maxmemory/);
      // Until the API has looked, Redis refuses the job: 503.
      await waitUntil('it is known to be full', async () => {
        const { status, body } = await scene.ask(questions[0] as never);
        expect([429, 503]).toContain(status);
        return body.code === 'overloaded';
      });
      const job = await ask(`${scene.service.url}${done.headers.get('location')}`);
      expectCounted({ ...job, body: job.body.result }, '5');
      // The stream of replies outlives the time for which Redis is full.
      const [stream] = await client.keys(keys.replies('*'));
      await client.pexpire(stream as string, 20_000);
      await waitUntil('it is renewed', async () => (await client.pttl(stream as string)) > 20_000);

      await client.config('SET', 'maxmemory', '0');
      expectCounted(await running, input);
      await untilAnswered(scene);
      await expectAllAnswered(scene, questions.slice(0, 20));
      expectStillThere(scene);
    });
  });
});

describe('a Redis that jobs fill while there is no worker', () => {
  test('takes no more before it is full, so a worker that comes finds room to work', async () => {
    const redis = await openRedis();
    onTestFinished(() => redis.close());
    const used = Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))?.[1]);
    // The last fifth takes a client longer to fill than the API takes to look again.
    await redis.client.config('SET', 'maxmemory', String(used + 50_000_000));
    const environment = serviceEnvironment({ redisUrl: redis.url, models: faqName });
    const start = async (role: 'api' | 'worker') => {
      const child = startProcess(role, environment, []);
      onTestFinished(() => child.kill('SIGKILL'));
      return child.ready;
    };
    const { port } = await start('api');
    const address = `http://127.0.0.1:${port}/v1/models/${faqName}/score`;
    const input = 'How? '.repeat(3000);
    let accepted = 0;
    const fill = async (): Promise<Answer> => {
      const answer = await post(address, { input }, { Prefer: 'respond-async' });
      // A machine that is busy may not answer in time.
      if (answer.status !== 202 && answer.status !== 503) return answer;
      if (answer.status === 202) accepted++;
      return fill();
    };
    const { status: last, body } = await fill();
    expect({ last, code: body.code }).toEqual({ last: 429, code: 'overloaded' });
    expect(body.detail).toMatch(/^Expected at most 80 % of Redis' memory to be used; \d\d % are\./);
    expect(accepted).toBeGreaterThan(500);

    await start('worker');
    // Requests that wait have room of their own.
    const { status } = await post(address, { input: (questions[0] as { text: string }).text });
    expect(status).toBe(200);
    await waitUntil('jobs are taken again', async () => {
      const answer = await post(address, { input: 'How?' }, { Prefer: 'respond-async' });
      return answer.status === 202;
    });
  });
});

describe('a Redis that is full when API and worker start', () => {
  test('is waited for, with advice in the log', async () => {
    const redis = await openRedis();
    onTestFinished(() => redis.close());
    await redis.client.config('SET', 'maxmemory', '1');
    const log: LogLine[] = [];
    const environment = serviceEnvironment({ redisUrl: redis.url, models: faqName });
    const start = (role: 'api' | 'worker') => {
      const child = startProcess(role, { ...environment, LOG_LEVEL: 'info' }, log);
      onTestFinished(() => child.kill('SIGKILL'));
      return child;
    };
    const children = [start('api'), start('worker')];
    const lineOf = () => log.find(({ msg }) => msg.startsWith('the stream of replies cannot be'));
    await waitUntil('it is logged', () => lineOf() !== undefined);
    expect(lineOf()).toMatchObject({ level: 40 });
    expect(lineOf()?.advice).toMatch(/^The memory of Redis is full/);
    await redis.client.config('SET', 'maxmemory', '0');
    await Promise.all(children.map((child) => child.ready));
  });
});

describe('a Redis that is cut off while a process starts', () => {
  // The first connection checks it. The others stay, and those of a worker are BullMQ's for the most part.
  test.each([
    ['api', 1],
    ['api', 2],
    ['api', 3],
    ['worker', 1],
    ['worker', 2],
    ['worker', 3],
    ['worker', 4],
  ] as const)('is waited for: %s, at connection %i', async (role, last) => {
    const redis = await openRedis();
    onTestFinished(() => redis.close());
    let connections = 0;
    const proxy = await openProxy(Number(new URL(redis.url).port), () => {
      if (++connections === last) {
        void proxy.cut('refuse').then((mend) => setTimeout(mend, 2500));
      }
    });
    onTestFinished(() => proxy.close());
    const environment = serviceEnvironment({
      redisUrl: `redis://127.0.0.1:${proxy.port}`,
      models: faqName,
    });
    const child = startProcess(role, environment, []);
    onTestFinished(() => child.kill('SIGKILL'));
    await child.ready;
    await waitUntil('it was cut off', () => connections > last);
  });
});

describe('a Redis that is cut off for five seconds', () => {
  test.each(cuts)(
    '(%s) delays the running request, causes 503 for new ones, and ends no process',
    async (how) => {
      let proxy: CuttableProxy | undefined;
      const redisUrl = async (url: string) => {
        proxy = await openProxy(Number(new URL(url).port));
        return `redis://127.0.0.1:${proxy.port}`;
      };
      // A small heap holds little garbage, so a leak shows in the memory of the process.
      const environment = { NODE_OPTIONS: '--max-old-space-size=64 --max-semi-space-size=2' };
      await withScene({ redisUrl, environment }, async (scene) => {
        await expectAllAnswered(scene, questions.slice(0, 50));
        const bytesBefore = memoryOf(scene);
        const input = countFor(600, 4);
        const running = scene.count(input);
        await scene.untilHeld(1);
        // Redis is known to be away after three seconds.
        const late = scene.count(countFor(600, 5), { deadlineMs: 4500 });
        await scene.untilHeld(2);
        const mend = await (proxy as CuttableProxy).cut(how);
        const cutAt = performance.now();

        while (performance.now() - cutAt < 5000) {
          await Promise.all(Array.from({ length: 50 }, () => expectRefusedAtOnce(scene)));
        }
        expectRefused(await late, 503, 'queue_unavailable');

        await mend();
        expectCounted(await running, input);
        await untilAnswered(scene);
        await expectAllAnswered(scene, questions.slice(0, 50));
        expectStillThere(scene);
        expectSeldom(scene, performance.now() - cutAt);
        expect(memoryOf(scene) - bytesBefore).toBeLessThan(60_000_000);
        await proxy?.close();
      });
    },
  );
});

describe('a connection to Redis that is silently lost', () => {
  // Those of the API, of a worker, and the one on which BullMQ waits for jobs of the FAQ matcher.
  test.each([
    'scoreline-api',
    'scoreline-replies',
    'scoreline-worker',
    `scoreline:${Buffer.from(readModel(faqName).queue).toString('base64')}`,
  ])('is replaced before requests of ten seconds fail: %s', async (name) => {
    let proxy: CuttableProxy | undefined;
    const redisUrl = async (url: string) => {
      proxy = await openProxy(Number(new URL(url).port));
      return `redis://127.0.0.1:${proxy.port}`;
    };
    await withScene({ redisUrl }, async (scene) => {
      await expectAllAnswered(scene, questions.slice(0, 3));
      proxy?.lose(await portOf(scene, name));
      await expectAllAnswered(scene, questions.slice(0, 10), { deadlineMs: 10_000 });
      expectStillThere(scene);
      await proxy?.close();
    });
  });
});

describe('a password of Redis', () => {
  test('may stand in REDIS_PASSWORD, with any characters, and is not logged', async () => {
    const REDIS_PASSWORD = 'a/b+c=:@#%20 "$x"';
    const redis = await openRedis();
    await redis.client.config('SET', 'requirepass', REDIS_PASSWORD);
    const environment = serviceEnvironment({
      redisUrl: redis.url,
      models: faqName,
      environment: { REDIS_PASSWORD, LOG_LEVEL: 'debug' },
    });
    const log: LogLine[] = [];
    const [api, worker] = (['api', 'worker'] as const).map((role) =>
      startProcess(role, environment, log),
    ) as [Child, Child];
    try {
      const [{ port }] = await Promise.all([api.ready, worker.ready]);
      const [question] = questions as [Question];
      const url = `http://127.0.0.1:${port}/v1/models/${faqName}/score`;
      expectAnswered(await post(url, { input: question.text }), question);
      expect(JSON.stringify(log)).not.toContain('a/b+c');
    } finally {
      await Promise.all([api.close(), worker.close()]);
      await redis.close();
    }
  });
});

describe('a Redis that restarts', () => {
  test('with its append-only file loses no waiting or running request', async () => {
    await withScene({}, async (scene) => {
      await expectAllAnswered(scene, questions.slice(0, 3));
      // More items than a worker holds.
      const inputs = Array.from({ length: 20 }, (_, at) => countFor(60, at % 10));
      const answers = inputs.map((input) => scene.count(input));
      await scene.untilAccepted(answers);
      await scene.redis.stop();
      await scene.redis.start();
      for (const [at, answer] of answers.entries()) {
        expectCounted(await answer, inputs[at] as string);
      }
      await expectAllAnswered(scene, questions.slice(0, 20));
      expectStillThere(scene);
    });
  });

  test('with its append-only file loses nobody who waits for a job', async () => {
    await withScene({}, async (scene) => {
      const [worker] = scene.service.workers;
      worker?.kill('SIGSTOP');
      const waiting = waitForJob(scene, '3', 60);
      const leaving = waitForJob(scene, '4', 5);
      await untilListed(scene, 2);
      await scene.redis.stop('SIGKILL');
      const { status, headers, body } = await leaving;
      expect([status, body.state]).toEqual([202, 'queued']);
      await scene.redis.start();
      worker?.kill('SIGCONT');
      expectCounted(await waiting, '3');
      const job = `${scene.service.url}${headers.get('location')}`;
      const ended = await ask(job, { headers: { prefer: 'wait=60' } });
      expectCounted({ ...ended, body: ended.body.result }, '4');
    });
  });

  test('without its data fails waiting requests with queue_lost, but no later ones', async () => {
    await withScene({}, async (scene) => {
      const waiting = [0, 1].map((digit) => scene.count(countFor(1000, digit)));
      await scene.untilHeld(2);
      waiting.push(waitForJob(scene, countFor(300, 2), 60));
      await untilListed(scene, 1);
      // Its answers would still count if they came soon after the server.
      const [worker] = scene.service.workers;
      worker?.kill('SIGSTOP');
      await scene.redis.client.config('SET', 'appendonly', 'no');
      await scene.redis.stop('SIGKILL');
      await scene.redis.startEmpty();
      for (const answer of waiting) expectRefused(await answer, 503, 'queue_lost');
      worker?.kill('SIGCONT');
      await scene.untilLogged('Redis has lost its data');
      await untilAnswered(scene);
      await expectAllAnswered(scene, questions.slice(0, 20));
      expectCounted(await scene.count('7'), '7');
      expectStillThere(scene);
    });
  });
});

describe('an API that is frozen for longer than its stream lives', () => {
  test('refuses what it may have missed, does not accuse Redis, and goes on', async () => {
    await withScene({}, async (scene) => {
      const { redis, service } = scene;
      const waiting = scene.count(countFor(1500, 4));
      await scene.untilHeld(1);
      const [stream] = await redis.client.keys(keys.replies('*'));
      service.api.kill('SIGSTOP');
      // The time to live runs out as it would after two minutes.
      await redis.client.pexpire(stream as string, 1);
      await waitUntil('it is gone', async () => !(await redis.client.exists(stream as string)));
      service.api.kill('SIGCONT');
      expectRefused(await waiting, 503, 'queue_unavailable');
      await scene.untilLogged('the stream of replies is gone');
      expect(service.log.map(({ msg }) => msg).join()).not.toContain('lost its data');
      await expectAllAnswered(scene, questions.slice(0, 10));
      expectStillThere(scene);
    });
  });
});

/** Returns the port of the only connection with this name, as Redis sees it. */
async function portOf({ redis }: Scene, name: string): Promise<number> {
  const clients = String(await redis.client.client('LIST')).split('\n');
  const [client, ...others] = clients.filter((line) => line.includes(` name=${name} `));
  expect(others, name).toEqual([]);
  return Number(/ addr=[^ ]*:(\d+) /.exec(client ?? '')?.[1]);
}

/** Resolves once the job has ended. */
async function submitJob(scene: Scene, input: string): Promise<Answer> {
  const url = `${scene.service.url}/v1/models/${counterName}/score`;
  const accepted = await post(url, { input }, { prefer: 'respond-async' });
  await ask(`${scene.service.url}${accepted.headers.get('location')}`, {
    headers: { prefer: 'wait=60' },
  });
  return accepted;
}

/** Asks the counter, and takes a job if there is no answer after this time. */
function waitForJob({ service }: Scene, input: string, seconds: number): Promise<Answer> {
  const url = `${service.url}/v1/models/${counterName}/score`;
  return post(url, { input }, { prefer: `wait=${seconds}` });
}

/** Waits until this many requests have become jobs, so their clients can learn of them. */
async function untilListed({ service }: Scene, count: number): Promise<void> {
  await waitUntil('the jobs are listed', async () => {
    const { body } = await ask(`${service.url}/v1/jobs`);
    return body.jobs.length === count;
  });
}

async function expectRefusedStart(
  redisUrl: string,
  reason: RegExp,
  secret?: string,
  settings: NodeJS.ProcessEnv = {},
) {
  await Promise.all(
    (['api', 'worker'] as const).map(async (role) => {
      const log: LogLine[] = [];
      const environment = serviceEnvironment({
        redisUrl,
        models: faqName,
        environment: settings,
      });
      const child = startProcess(role, environment, log);
      await expect(child.ready).rejects.toThrow(reason);
      expect(await child.exited).toBe(1);
      await waitUntil('the reason is logged', () => log.some(({ level }) => level === 60));
      const last = log.find(({ level }) => level === 60);
      expect(last).toMatchObject({ code: 'redis_unusable', msg: expect.stringMatching(reason) });
      if (secret) expect(JSON.stringify(log)).not.toMatch(/wrong/);
    }),
  );
}

/** Opens a proxy to a Redis that reports another version. Resolves to its URL. Both versions must be equally long. */
async function openOldRedis(url: string, version: string): Promise<string> {
  const { port } = new URL(url);
  const server = createServer((near) => {
    const far = connect(Number(port), '127.0.0.1');
    near.pipe(far);
    far.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      const older = text.replace(/redis_version:\S+/, `redis_version:${version}`);
      expect(older.length).toBe(text.length);
      near.write(Buffer.from(older, 'latin1'));
    });
    for (const socket of [near, far]) socket.on('error', () => {});
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  return `redis://127.0.0.1:${await listenOnFreePort(server)}`;
}

/** Expects a new request to get 503 with Retry-After long before its deadline of 30 s. */
async function expectRefusedAtOnce(scene: Scene): Promise<void> {
  const askedAt = performance.now();
  const long = { text: 'How? '.repeat(3000), expected: [] };
  expectRefused(await scene.ask(long), 503, 'queue_unavailable');
  expect(performance.now() - askedAt).toBeLessThan(15_000);
}

async function untilRefused(scene: Scene): Promise<void> {
  await waitUntil(
    'requests are refused',
    async () => (await scene.ask(questions[0] as never, { deadlineMs: 1000 })).status === 503,
  );
}

async function untilAnswered(scene: Scene): Promise<void> {
  await waitUntil('requests are answered', async () => {
    const answer = await scene.ask(questions[0] as never, { deadlineMs: 2000 });
    if (answer.status !== 200) return false;
    expectAnswered(answer, questions[0] as never);
    return true;
  });
}

/** Returns how many connections Redis has accepted since it started. */
async function countConnections({ redis }: Scene): Promise<number> {
  const info = await redis.client.info('stats');
  return Number(/total_connections_received:(\d+)/.exec(info)?.[1]);
}

/** Expects that no process logged a warning or an error much more often than after 1, 2, 4 … s. */
function expectSeldom({ service }: Scene, duringMs: number): void {
  const times = new Map<string, number>();
  // Each refused request has a line of its own.
  const lines = service.log.filter((line) => line.level >= 40 && line.requestId === undefined);
  for (const { pid, level, msg } of lines) {
    times.set(`${pid} ${level} ${msg}`, (times.get(`${pid} ${level} ${msg}`) ?? 0) + 1);
  }
  for (const [line, count] of times) {
    expect(count, line).toBeLessThanOrEqual(3 + Math.log2(1 + duringMs / 1000));
  }
}

/** Expects every process of the service to be running still. Throws if one is gone. */
function expectStillThere({ service }: Scene): void {
  for (const { pid } of [service.api, ...service.workers]) process.kill(pid, 0);
}

/** Returns the resident memory of the API in bytes; on systems other than Linux, 0. */
function memoryOf({ service }: Scene): number {
  if (process.platform !== 'linux') return 0;
  return Number(readFileSync(`/proc/${service.api.pid}/statm`, 'utf8').split(' ')[1]) * 4096;
}
