// Versions that come, share requests, fail and go under load, with two API instances and two workers. The answers of
// each version are different, so each answer shows which one gave it. The tests share the processes: each begins with
// the versions that the one before it leaves.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import {
  type Answer,
  ask,
  type LogLine,
  openRedisForAll,
  post,
  serviceEnvironment,
  startProcess,
  waitUntil,
} from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';
import { counterName, writeCounter } from './counter.js';

const letters: Readonly<Record<string, string>> = { 1: 'd', 2: 'e', 4: 'f' };
const users = ['anna', 'bert', 'cleo', 'dora', 'emil', 'fred', 'gina', 'hugo'];

interface Given {
  readonly api: number;
  readonly user: string;
  readonly version: string;
  /** How many requests were sent before it. */
  readonly number: number;
}

class Stage {
  readonly directory = writeFolder({});
  readonly log: LogLine[] = [];
  readonly children: Child[] = [];
  urls: readonly string[] = [];
  /** The answers, in the order in which they came. */
  readonly given: Given[] = [];
  #metricsUrls: readonly string[] = [];
  #settings: Parameters<typeof startProcess>[1] = {};
  #sent = 0;
  #isStopped = false;
  #load: Promise<unknown> = Promise.resolve();

  /** Writes a version in another folder, and renames it when it is complete. */
  add(version: string, options: { network?: Buffer } = {}): void {
    const hidden = path.join(this.directory, counterName, `.${version}`);
    writeCounter(hidden, { version, letter: letters[version] ?? 'x', ...options });
    renameSync(hidden, path.join(this.directory, counterName, version));
  }

  /** Cuts the network of a version, which nobody reads before a worker starts. */
  cut(version: string): void {
    writeFileSync(path.join(this.directory, counterName, version, 'model.onnx'), 'cut');
  }

  /** Changes the manifest of a version in place. */
  change(version: string, output: object): void {
    const folder = path.join(this.directory, counterName, version);
    const hidden = path.join(folder, '.model.yaml');
    const manifest = JSON.parse(readFileSync(path.join(folder, 'model.yaml'), 'utf8'));
    const changed = { ...manifest, output: { ...manifest.output, ...output } };
    writeFileSync(hidden, JSON.stringify(changed));
    renameSync(hidden, path.join(folder, 'model.yaml'));
  }

  remove(name: string): void {
    rmSync(path.join(this.directory, counterName, name), { recursive: true });
  }

  share(traffic: object): void {
    const file = path.join(this.directory, counterName, 'traffic.yaml');
    writeFileSync(file, JSON.stringify(traffic));
  }

  async start(redisUrl: string): Promise<void> {
    this.#settings = serviceEnvironment({
      redisUrl,
      models: counterName,
      environment: {
        MODELS_DIR: this.directory,
        MODELS_LOOK_MS: '100',
        LOG_LEVEL: 'info',
        METRICS_PORT: '0',
      },
    });
    const roles = ['worker', 'worker', 'api', 'api'] as const;
    this.children.push(...roles.map((role) => this.#startChild(role)));
    const reports = await Promise.all(this.children.map(({ ready }) => ready));
    const apis = reports.slice(2);
    this.urls = apis.map(({ port }) => `http://127.0.0.1:${port}`);
    this.#metricsUrls = apis.map(({ metricsPort }) => `http://127.0.0.1:${metricsPort}/metrics`);
  }

  /** Returns how many requests to the model an API has answered with a code, by its metrics. */
  async counted(api: number, code: string): Promise<number> {
    const { body } = await ask(String(this.#metricsUrls[api]));
    const samples = String(body).matchAll(/^scoreline_requests_total{(.*)} (\d+)$/gm);
    const labels = [`model="${counterName}"`, `code="${code}"`];
    return [...samples]
      .filter(([, given = '']) => labels.every((label) => given.includes(label)))
      .reduce((sum, [, , count]) => sum + Number(count), 0);
  }

  /** Puts another worker in place of both. */
  async replaceWorkers(): Promise<void> {
    const workers = this.children.splice(0, this.children.length - this.urls.length);
    for (const worker of workers) worker.kill('SIGTERM');
    await Promise.all(workers.map(({ exited }) => exited));
    this.children.unshift(this.#startChild('worker'));
  }

  #startChild(role: 'api' | 'worker'): Child {
    return startProcess(role, this.#settings, this.log);
  }

  /** Asks all the time, and fails with the first answer that is wrong or an error. */
  load(): void {
    const client = async (user: string, at: number) => {
      for (let turn = 0; !this.#isStopped; turn++) {
        const api = (at + turn) % this.urls.length;
        const digit = (at + turn) % 10;
        const number = this.#sent++;
        const answer = await this.score({ api, input: String(digit), user });
        expectRight(answer, digit);
        this.given.push({ api, user, version: answer.body.version, number });
      }
    };
    this.#load = Promise.all(users.map(client));
    // Awaited by `stop`.
    this.#load.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#load;
  }

  score(of: { api: number; input: string; user?: string; version?: string }): Promise<Answer> {
    const { api, input, user, version } = of;
    const part = version === undefined ? '' : `/versions/${version}`;
    const url = `${this.urls[api]}/v1/models/${counterName}${part}/score`;
    return post(url, { input }, user === undefined ? {} : { 'x-user': user });
  }

  order(what: 'load' | 'unload', api = 0): Promise<Answer> {
    return post(`${this.urls[api]}/v2/repository/models/${counterName}/${what}`, {});
  }

  /** Waits until the list of models of each API instance is right. */
  async untilListed(what: string, isRight: (list: Answer['body']) => boolean): Promise<void> {
    await waitUntil(what, async () => {
      const lists = await Promise.all(this.urls.map((url) => ask(`${url}/v1/models`)));
      return lists.every(({ body }) => isRight(body));
    });
  }

  /** Waits for answers to requests that are sent from now on, and returns them. */
  async answers(count = 100): Promise<readonly Given[]> {
    const from = this.#sent;
    const fresh = () => this.given.filter(({ number }) => number >= from);
    await waitUntil('answers come', () => fresh().length >= count);
    return fresh();
  }

  async close(): Promise<void> {
    this.#isStopped = true;
    for (const child of this.children) child.kill('SIGKILL');
    await Promise.all(this.children.map(({ exited }) => exited));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const stage = new Stage();
const redis = await openRedisForAll();

beforeAll(async () => {
  stage.add('1');
  await stage.start(redis.url);
});

afterEach(({ task }) => {
  if (task.result?.state === 'fail')
    console.log(
      stage.log
        .slice(-60)
        .map((line) => JSON.stringify(line))
        .join('\n'),
    );
});

afterAll(() => stage.close());

function expectRight(answer: Answer, digit: number): void {
  expect(answer).toMatchObject({ status: 200, body: { predictions: [{ score: 1 }] } });
  const { version, predictions } = answer.body;
  expect(predictions[0].id).toBe(`${letters[version]}${digit}`);
}

const versionsIn = (given: readonly Given[]) => [
  ...new Set(given.map(({ version }) => version).toSorted()),
];
const servedIn = (list: Answer['body']) =>
  list.models.map(({ version }: { version: string }) => version);
const untilServed = (...versions: string[]) =>
  stage.untilListed(`${versions} are served`, (list) => servedIn(list).join() === versions.join());

test('under load, versions are switched, shared, refused and unloaded, and no request fails', async () => {
  stage.load();
  expect(versionsIn(await stage.answers())).toEqual(['1']);

  stage.add('2');
  await untilServed('2', '1');
  expect(versionsIn(await stage.answers())).toEqual(['2']);
  expectRight(await stage.score({ api: 0, input: '7', version: '1' }), 7);

  stage.share({ weights: { 2: 50, 1: 50 }, sticky: { header: 'X-User' } });
  await stage.untilListed('the traffic is shared', ({ models }) =>
    models.every(({ traffic }: { traffic: { share: number } }) => traffic.share === 0.5),
  );
  const shared = await stage.answers(200);
  expect(versionsIn(shared)).toEqual(['1', '2']);
  for (const user of users) {
    expect(versionsIn(shared.filter((each) => each.user === user))).toHaveLength(1);
  }

  stage.add('3', { network: Buffer.from('no network') });
  await stage.untilListed('version 3 has failed', ({ waiting }) =>
    waiting.some(
      ({ version, code }: Record<string, unknown>) =>
        version === '3' && code === 'model_file_wrong',
    ),
  );
  expect(await stage.order('load')).toMatchObject({
    status: 422,
    body: { code: 'model_load_failed', error: expect.stringContaining('version 3') },
  });
  expect(versionsIn(await stage.answers())).toEqual(['1', '2']);

  stage.remove('3');
  stage.remove('traffic.yaml');
  stage.remove('1');
  await untilServed('2');
  await waitUntil('both workers have unloaded version 1', () => {
    const lines = stage.log.filter(({ msg }) => msg.startsWith('a version is drained'));
    return lines.filter(({ version }) => version === '1').length === 2;
  });
  expect(versionsIn(await stage.answers())).toEqual(['2']);
  await stage.stop();
});

test('a version whose settings change in place is loaded anew, and each answer is one of the old or of the new', async () => {
  const scoreAt = async (api: number) => {
    const { status, body } = await stage.score({ api, input: '7' });
    expect(status).toBe(200);
    return Number(body.predictions[0].score.toFixed(2));
  };
  expect(await scoreAt(0)).toBe(1);
  stage.change('2', { activation: 'sigmoid' });
  for (const api of [0, 1]) {
    const before: number[] = [];
    await waitUntil('the instance has switched', async () => {
      const score = await scoreAt(api);
      if (score !== 0.73) before.push(score);
      return score === 0.73;
    });
    expect(new Set([...before, 1])).toEqual(new Set([1]));
  }
  await waitUntil('both workers have unloaded the old one', () => {
    const lines = stage.log.filter(({ msg }) => msg.startsWith('a version is drained'));
    return lines.filter(({ version }) => version === '2').length === 2;
  });
  const scores = await Promise.all(Array.from({ length: 20 }, (_, at) => scoreAt(at % 2)));
  expect(new Set(scores)).toEqual(new Set([0.73]));

  stage.change('2', { activation: undefined });
  for (const api of [0, 1]) {
    await waitUntil('the instance has switched back', async () => (await scoreAt(api)) === 1);
  }
});

test('a model is unloaded and loaded again by order, at all instances, and comes back as its folder is then', async () => {
  expect((await stage.order('unload')).status).toBe(200);
  expect(await stage.score({ api: 0, input: '7' })).toMatchObject({
    status: 404,
    body: { code: 'model_not_found', detail: expect.stringContaining('unloaded') },
  });
  await untilServed();
  stage.add('4');
  expect((await stage.order('load', 1)).status).toBe(200);
  await untilServed('4', '2');
  const answers = [0, 1].map((api) => stage.score({ api, input: '7' }));
  for (const answer of await Promise.all(answers)) {
    expectRight(answer, 7);
    expect(answer.body.version).toBe('4');
  }
  const unknown = await post(`${stage.urls[0]}/v2/repository/models/gone/load`, {});
  expect(unknown).toMatchObject({ status: 404, body: { code: 'model_not_found' } });
});

test('a shadow gets copies of requests, its answers are compared and counted, and it answers nobody', async () => {
  stage.share({ latest: '2', shadow: { version: '4' } });
  const shadowIn = ({ models }: Answer['body']) =>
    models.find(({ version }: { version: string }) => version === '4')?.traffic.shadow;
  await stage.untilListed('version 4 is a shadow', (list) => shadowIn(list) !== undefined);
  const answers = Array.from({ length: 20 }, (_, at) =>
    stage.score({ api: 0, input: String(at % 10) }),
  );
  expect((await Promise.all(answers)).map(({ body }) => body.version)).toEqual(
    answers.map(() => '2'),
  );
  // The ids of its classes are others, so it differs each time.
  await waitUntil('all copies are compared', async () => {
    const { body } = await ask(`${stage.urls[0]}/v1/models`);
    return shadowIn(body).different === 20;
  });
});

test('a version that breaks while workers restart keeps nobody waiting, and the others take its requests', async () => {
  stage.remove('traffic.yaml');
  await untilServed('4', '2');
  stage.cut('4');
  await stage.replaceWorkers();
  const sent = [0, 1].map((api) => stage.score({ api, input: '7' }));
  for (const answer of await Promise.all(sent)) {
    expect(answer).toMatchObject({ status: 422, body: { code: 'model_load_failed' } });
  }
  await untilServed('2');
  await stage.untilListed('version 4 has failed', ({ waiting }) =>
    waiting.some(({ state }: Record<string, unknown>) => state === 'failed'),
  );
  // The worker tries it again once it has looked at the folder twice. It still has it failed meanwhile.
  for (let turn = 0; turn < 20; turn++) {
    expectRight(await stage.score({ api: 0, input: '7' }), 7);
    await delay(50);
  }
});

test('requests to a model that no worker can load are refused, although its worker has ended', async () => {
  stage.cut('2');
  await stage.replaceWorkers();
  const refusal = { status: 422, body: { code: 'model_load_failed' } };
  const before = await stage.counted(0, 'model_load_failed');
  expect(await stage.score({ api: 0, input: '7' })).toMatchObject(refusal);
  await stage.untilListed('all versions have failed', ({ waiting }) => waiting.length === 2);
  expect(await stage.score({ api: 0, input: '7' })).toMatchObject(refusal);
  const ready = await ask(`${stage.urls[0]}/v2/models/${counterName}/ready`);
  expect(ready.body).toMatchObject({ ready: false });
  // The alert ScorelineModelNotLoaded and the goal of the model count them.
  await waitUntil('both are counted for the model', async () => {
    return (await stage.counted(0, 'model_load_failed')) === before + 2;
  });
});
