import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import { ask, waitUntil } from '../harness.js';
import { countFor } from './counter.js';
import {
  counterQueue,
  expectAllAnswered,
  expectAnswered,
  expectCounted,
  expectRefused,
  faqName,
  keys,
  questions,
  type Scene,
  withScene,
} from './scene.js';

const connectionsMax = 1500;
const headersMsMax = 1500;
const requestMsMax = 2000;
/** From a job that is held to its run. */
const startMs = 200;
/** The deadline of requests whose API is killed meanwhile, which takes less time. */
const abandonedMs = 3000;
/** How long after its limit a connection may live on. Node checks once a second. */
const lateMsMax = 15_000;
const body = JSON.stringify({ input: 'How do I sort an array?' });
const head = `POST /v1/models/${faqName}/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;

describe('a wasteful client', () => {
  let scene: Scene;
  let end: () => void;
  let ended: Promise<void>;
  const sockets: Socket[] = [];

  beforeAll(async () => {
    const environment = {
      CONNECTIONS_MAX: String(connectionsMax),
      HEADERS_MS_MAX: String(headersMsMax),
      REQUEST_MS_MAX: String(requestMsMax),
    };
    await new Promise<void>((ready, failed) => {
      ended = withScene({ environment }, async (opened) => {
        scene = opened;
        const finish = new Promise<void>((resolve) => {
          end = resolve;
        });
        ready();
        await finish;
      });
      ended.catch(failed);
    });
  });
  afterAll(async () => {
    end?.();
    await ended;
  });
  // After every test, the service must still serve other clients.
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await expectAllAnswered(scene, questions.slice(0, 10));
  });

  test.each([
    ['headers', `${head}X-Slow: `, 'y', headersMsMax],
    ['a body', `${head}Content-Length: ${body.length}\r\n\r\n`, ' ', requestMsMax],
  ])(
    'that sends %s slowly gets 408 in time, and delays nobody else',
    async (_, first, more, msMax) => {
      const startedAt = performance.now();
      const slow = await Promise.all(Array.from({ length: 50 }, () => open()));
      for (const { socket } of slow) socket.write(first);
      const trickle = setInterval(() => {
        for (const { socket } of slow) if (socket.writable) socket.write(more);
      }, 100);
      const others = expectAllAnswered(scene, questions.slice(0, 100));
      await Promise.all(slow.map(({ closed }) => closed));
      clearInterval(trickle);
      expect(performance.now() - startedAt).toBeGreaterThan(msMax);
      expect(performance.now() - startedAt).toBeLessThan(msMax + lateMsMax);
      for (const { received } of slow) expect(received()).toMatch(/^HTTP\/1\.1 408 /);
      await others;
    },
  );

  test.each([
    ['announces a body and sends none', `${head}Content-Length: 100\r\n\r\n`, requestMsMax],
    ['sends half a chunk', `${head}Transfer-Encoding: chunked\r\n\r\nff\r\n{`, requestMsMax],
    ['sends nothing at all', '', headersMsMax],
  ])('that %s is disconnected in time', async (_, sent, msMax) => {
    const { socket, closed } = await open();
    const startedAt = performance.now();
    socket.write(sent);
    await closed;
    expect(performance.now() - startedAt).toBeLessThan(msMax + lateMsMax);
  });

  test('that closes its half of the connection counts as gone', async () => {
    const { socket, closed, received } = await open();
    // While the worker is stopped, the answer cannot come before the API sees the end.
    const worker = scene.service.workers[0];
    worker?.kill('SIGSTOP');
    try {
      socket.end(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
      await closed;
    } finally {
      worker?.kill('SIGCONT');
    }
    expect(received()).toBe('');
  });

  test('that opens idle connections locks nobody out, and loses those over the limit', async () => {
    const request = `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
    const kept = await open();
    const answers = () => kept.received().split('HTTP/1.1 200 ').length - 1;
    kept.socket.write(request);
    await waitUntil('there is an answer', () => answers() === 1);
    const idle = await Promise.all(Array.from({ length: connectionsMax - 100 }, () => open()));
    await expectAllAnswered(scene, questions.slice(0, 20));

    const more = await Promise.all(Array.from({ length: 600 }, () => open()));
    const isOpen = ({ socket }: Awaited<ReturnType<typeof open>>) => !socket.closed;
    await waitUntil(
      'those beyond the limit are closed',
      () => [kept, ...idle, ...more].filter(isOpen).length <= connectionsMax,
    );
    // A client that was served earlier is still served.
    kept.socket.write(request);
    await waitUntil('there is another answer', () => answers() === 2);
    // The service closes the idle connections, so there is room for new ones.
    await Promise.all([...idle, ...more].map(({ closed }) => closed));
    expectAnswered(await scene.ask(questions[0] as never), questions[0] as never);
  });

  async function open() {
    const port = Number(new URL(scene.service.url).port);
    const socket = connect({ port, host: '127.0.0.1' });
    sockets.push(socket);
    let received = '';
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.setEncoding('utf8').on('data', (chunk) => {
      received += chunk;
    });
    socket.on('error', () => {});
    await once(socket, 'connect');
    return { socket, closed, received: () => received };
  }
});

describe('an item whose caller is gone or out of time', () => {
  test('is dropped before it costs model time, and is counted', async () => {
    await withScene({}, async (scene) => {
      // The worker hands over a batch when it expects the current run to end. This run of the same
      // length gives it the estimate.
      const blocker = await findLong(scene);
      const blocked = scene.count(blocker);
      await scene.untilHeld(1);
      // What the worker holds starts in a moment. What comes before that joins the same batch.
      await setTimeout(startMs);
      // Scoring just one of these would take as long as the whole test may.
      const long = (digit: number) => countFor(60_000, digit);
      const late = [1, 2, 3].map((digit) => scene.count(long(digit), { deadlineMs: 2000 }));
      const hangUp = new AbortController();
      const left = [4, 5, 6].map((digit) => scene.count(long(digit), { signal: hangUp.signal }));
      const gone = Promise.allSettled(left);
      // When their callers give up, the worker already holds some of the items. Others still wait.
      await scene.untilHeld(2);
      // The run must not end before the callers have given up, however fast the machine is.
      const worker = scene.service.workers[0] as Child;
      worker.kill('SIGSTOP');
      const waiting = [7, 8, 9].map((digit) => scene.count(long(digit), { signal: hangUp.signal }));
      const goneToo = Promise.allSettled(waiting);
      const right = scene.count('8');
      // One that is given up on its way to Redis never counts.
      await scene.untilStored(11);
      for (const answer of late) expectRefused(await answer, 504, 'deadline_exceeded');
      hangUp.abort();
      await Promise.all([gone, goneToo]);
      worker.kill('SIGCONT');

      expectCounted(await blocked, blocker);
      expectCounted(await right, '8');
      await waitUntil('all nine are counted as dropped', async () => {
        const { models } = (await ask(`${scene.service.url}/v1/models`)).body;
        const counter = models.find(({ name }: { name: string }) => name === 'counter');
        return counter.dropped === 9 && counter.unanswered === 0;
      });
    });
  });
});

describe('an API', () => {
  test('that is killed leaves a stream that expires, and items dropped once late', async () => {
    await withScene({}, async (scene) => {
      const { client } = scene.redis;
      const running = scene.count(await findLong(scene));
      await scene.untilHeld(1);
      await setTimeout(startMs);
      const abandoned: Promise<unknown>[] = [];
      for (const digit of [1, 2, 3]) {
        abandoned.push(scene.count(countFor(60_000, digit), { deadlineMs: abandonedMs }));
        abandoned.at(-1)?.catch(() => {});
        await scene.untilHeld(1 + digit);
      }
      const submittedAt = performance.now();
      // The run must not end before the deadlines, however fast the machine is.
      const worker = scene.service.workers[0] as Child;
      worker.kill('SIGSTOP');
      const lost = Promise.allSettled([running, ...abandoned]);
      scene.service.api.kill('SIGKILL');
      expect((await lost).every(({ status }) => status === 'rejected')).toBe(true);
      await setTimeout(submittedAt + abandonedMs - performance.now());
      worker.kill('SIGCONT');

      const [stream] = await client.keys(keys.replies('*'));
      const timeToLiveMs = await client.pttl(stream as string);
      expect(timeToLiveMs).toBeGreaterThan(0);
      expect(timeToLiveMs).toBeLessThanOrEqual(120_000);
      // Delete the stream now, as if it had expired while the worker still has items of this API.
      await client.unlink(stream as string);
      await scene.untilIdle();
      expect(await client.exists(stream as string)).toBe(0);
      expect(await client.hget(keys.counts(counterQueue), 'dropped')).toBe('3');
    });
  });
});

/** Returns an input that runs for about 3 s. A process is slow right after its start, so it is tried. */
async function findLong(scene: Scene): Promise<string> {
  const ms = 3000;
  let speed = await scene.howFast();
  while (true) {
    const input = countFor(Math.round(1.2 * ms * speed), 1);
    const answer = await scene.count(input);
    expectCounted(answer, input);
    // Its job is held a little longer than until its answer.
    await scene.untilIdle();
    const { computeMs } = answer.body.timing;
    if (computeMs >= ms) return input;
    speed *= ms / computeMs;
  }
}
