// Tests streams of inputs while something breaks: every line is answered once, and rightly.

import { expect, onTestFinished, test } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import { waitUntil } from '../harness.js';
import { type AnswerLine, LineClient } from '../integration/line-client.js';
import { expectAnswered, faqName, questions, type Scene, withScene } from './scene.js';

const total = 1500;

test('a stream loses no line, whatever breaks', async () => {
  await withScene({ workers: 2 }, async (scene) => {
    await breakWorkerAndRedis(scene);
    await breakConnection(scene);
    await endApi(scene);
  });
});

/** A worker is killed, and Redis restarts: each line is answered. */
async function breakWorkerAndRedis(scene: Scene): Promise<void> {
  const { service, redis } = scene;
  const client = openStream(scene);
  const first = send(client, 0, 500);
  await waitUntil('some lines are answered', () => client.lines.length > 100);
  const second = first.then(() => send(client, 500, 1000));
  (service.workers[0] as Child).kill('SIGKILL');
  await waitUntil('later lines are answered', () => client.lines.length > 600);
  const last = second.then(() => send(client, 1000, total));
  await redis.stop();
  await redis.start();
  await last;
  client.end();
  await waitUntil('the answer ends', () => client.isEnded);
  expectEachOnce(client.lines, total);
}

/** The connection of a stream with a key breaks: the same stream goes on where it was. */
async function breakConnection(scene: Scene): Promise<void> {
  const headers = { 'Idempotency-Key': 'a stream' };
  const first = openStream(scene, headers);
  first.send(...linesFrom(0, 300));
  await waitUntil('some lines are answered', () => first.lines.length >= 100);
  const before = new Map(first.lines.map((line) => [line.index, line]));
  first.hangUp();

  const second = openStream(scene, headers);
  second.send(...linesFrom(0, 300));
  second.end();
  await waitUntil('the answer ends', () => second.isEnded);
  expectEachOnce(second.lines, 300);
  for (const line of second.lines) {
    const known = before.get(line.index);
    if (known) expect(line).toEqual({ ...known, replayed: true });
  }
  const other = openStream(scene, headers);
  other.send({ input: 'something else' });
  other.end();
  await waitUntil('the answer ends', () => other.isEnded);
  expect(other.lines).toMatchObject([{ index: 0, problem: { code: 'idempotency_key_reused' } }]);
}

/** The API is told to end: it answers the lines that it has taken, and says which it has not. */
async function endApi(scene: Scene): Promise<void> {
  const { service } = scene;
  const client = openStream(scene);
  const first = send(client, 0, 300);
  await waitUntil('some lines are answered', () => client.lines.length > 100);
  // While the worker is stopped, the API cannot take all of them.
  const worker = service.workers[1] as Child;
  worker.kill('SIGSTOP');
  const sending = first.then(() => send(client, 300, total));
  service.api.kill('SIGTERM');
  await scene.untilLogged('shutting down');
  worker.kill('SIGCONT');
  await waitUntil('the answer ends', () => client.isEnded);
  client.hangUp();
  await sending;
  expect(await service.api.exited).toBe(0);
  const last = client.lines.at(-1);
  expect(last).toMatchObject({ problem: { code: 'shutting_down' } });
  expect(last.nextIndex).toBeGreaterThan(100);
  expect(last.nextIndex).toBeLessThan(total);
  expectEachOnce(client.lines.slice(0, -1), last.nextIndex);
}

function openStream({ service }: Scene, headers: Record<string, string> = {}): LineClient {
  const client = new LineClient(`${service.url}/v1/models/${faqName}/score`, { headers });
  onTestFinished(() => client.hangUp());
  return client;
}

async function send(client: LineClient, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += 50) {
    const lines = linesFrom(at, at + 50).map((line) => `${JSON.stringify(line)}\n`);
    await client.offer(lines.join(''), 1);
  }
}

function linesFrom(from: number, to: number) {
  return Array.from({ length: to - from }, (_, at) => ({ input: questionAt(from + at).text }));
}

function questionAt(index: number) {
  return questions[index % questions.length] as (typeof questions)[number];
}

/** Expects the right answer to each of the first lines. */
function expectEachOnce(lines: readonly AnswerLine[], count: number): void {
  expect(lines.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: count }, (_, index) => index),
  );
  for (const line of lines) {
    expectAnswered({ status: 200, headers: new Headers(), body: line }, questionAt(line.index));
  }
}
