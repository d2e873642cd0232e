// Tests rolling updates from one wire version to the next, while processes of both builds run side by
// side. The next build is a copy of this one that writes a later version and reads both.

import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Build, type Child, spawnChild, thisBuild } from '../../cli/processes/children.js';
import { readableWireVersions, wireVersion } from '../../shared/wire/version.js';
import {
  type Answer,
  openRedis,
  post,
  root,
  serviceEnvironment,
  type TestRedis,
  waitUntil,
} from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';

const model = 'faq-matcher';
const inputs = ['copy an object', 'why is 0.1 + 0.2 not 0.3', 'How do I sort an array?'];
const clients = 4;

let next: Build;
let redis: TestRedis;
let expected: string[];
const children: Child[] = [];

beforeAll(() => {
  next = buildNextVersion();
});
afterAll(() => rmSync(next.root, { recursive: true, force: true }));

beforeEach(async () => {
  redis = await openRedis();
});
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.close()));
  await redis.close();
});

test('a rolling update that begins with the workers answers every request correctly', async () => {
  const { api, worker } = await startBefore();
  const load = startLoad(() => api.url);
  await load.untilAnswered(20);

  const newWorker = await start('worker', next);
  await worker.child.close();
  await load.untilAnswered(20);
  const newApi = await start('api', next);
  await load.moveTo(newApi.url);
  await api.child.close();
  await load.untilAnswered(20);

  expectAllRight(await load.stop());
  await newWorker.child.close();
});

test('a rolling update that begins with the API answers every request correctly', async () => {
  const { api, worker } = await startBefore();
  const load = startLoad(() => api.url);
  await load.untilAnswered(20);

  const newApi = await start('api', next);
  // These requests wait for a worker that can read their jobs.
  const early = inputs.map((input) => ask(newApi.url, input));
  await load.untilAnswered(20);
  const newWorker = await start('worker', next);
  await load.moveTo(newApi.url);
  await api.child.close();
  await worker.child.close();
  await load.untilAnswered(20);

  expectAllRight(await load.stop());
  for (const [index, answer] of (await Promise.all(early)).entries()) {
    expect(answer.status).toBe(200);
    expect(labelOf(answer)).toBe(expected[index]);
  }
  await newWorker.child.close();
});

interface Running {
  readonly child: Child;
  readonly url: string;
}

async function startBefore(): Promise<{ api: Running; worker: Running }> {
  const [api, worker] = await Promise.all([start('api', thisBuild), start('worker', thisBuild)]);
  const answers = await Promise.all(inputs.map((input) => ask(api.url, input)));
  expected = answers.map(labelOf);
  expect(new Set(expected).size).toBe(inputs.length);
  return { api, worker };
}

async function start(role: 'api' | 'worker', build: Build): Promise<Running> {
  const environment = serviceEnvironment({ redisUrl: redis.url, models: model });
  const child = spawnChild(role, environment, 'inherit', build);
  children.push(child);
  const { port } = await child.ready;
  return { child, url: `http://127.0.0.1:${port}` };
}

/** Starts clients that send one request after the other to the API that `moveTo` named last. */
function startLoad(first: () => string) {
  let url = first();
  let isOver = false;
  const answers: { index: number; answer: Answer }[] = [];
  /** The API that each client asks at the moment. */
  const asking: string[] = [];
  const client = async (seed: number) => {
    for (let count = seed; !isOver; count++) {
      const index = count % inputs.length;
      asking[seed] = url;
      answers.push({ index, answer: await ask(url, inputs[index] as string) });
    }
  };
  const all = Promise.all(Array.from({ length: clients }, (_, seed) => client(seed)));
  return {
    /** Resolves when no client waits for the API before any more: it may then close connections. */
    async moveTo(other: string) {
      url = other;
      await waitUntil('every client has moved', () => asking.every((one) => one === other));
    },
    async untilAnswered(count: number) {
      const before = answers.length;
      await waitUntil(`${count} more are answered`, () => answers.length >= before + count);
    },
    async stop() {
      isOver = true;
      await all;
      return answers;
    },
  };
}

function expectAllRight(answers: readonly { index: number; answer: Answer }[]): void {
  for (const { index, answer } of answers) {
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    expect(labelOf(answer)).toBe(expected[index]);
  }
}

function ask(url: string, input: string): Promise<Answer> {
  return post(`${url}/v1/models/${model}/score`, { input });
}

function labelOf(answer: Answer): string {
  return answer.body.predictions[0].label;
}

/** Copies this build and gives the copy a later wire version. The copy writes only that, but reads both. */
function buildNextVersion(): Build {
  const folder = writeFolder({});
  for (const name of ['api', 'worker', 'shared']) {
    cpSync(path.join(root, 'dist', name), path.join(folder, 'dist', name), { recursive: true });
  }
  cpSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  const file = path.join(folder, 'dist', 'shared', 'wire', 'version.js');
  const text = readFileSync(file, 'utf8');
  const changed = text
    .replace(`wireVersion = ${wireVersion};`, `wireVersion = ${wireVersion + 1};`)
    .replace('[wireVersion];', `[wireVersion, ${readableWireVersions.join(', ')}];`);
  expect(changed).toContain(`wireVersion = ${wireVersion + 1};`);
  expect(changed).toContain(`[wireVersion, ${wireVersion}`);
  writeFileSync(file, changed);
  return { root: folder, v8Arguments: [] };
}
