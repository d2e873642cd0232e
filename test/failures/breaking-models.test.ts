// Models that crash, hang or answer nonsense as soon as they are tried: at the start, moved into a running service,
// or edited in place. Each is left out with its reason, and the other models are served.

import { spawn } from 'node:child_process';
import { readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Add, addCrash, addHang } from '../breaking-network.js';
import {
  type Answer,
  ask,
  openRedisForAll,
  post,
  root,
  type Service,
  serviceEnvironment,
  startProcess,
  startService,
  waitUntil,
} from '../harness.js';
import { environmentOfTests, hasPython } from '../python.js';
import { makeFolder } from '../unit/sample-model.js';
import { addCounter, counterName } from './counter.js';

const redis = await openRedisForAll();

/** Of the models that hang. */
const runMsMax = 300;
const environment = hasPython ? environmentOfTests() : '';

/** Adds a network that breaks on its example. */
function addNetwork(directory: string, name: string, add: Add): void {
  const example = { inputs: [{ name: 'in', shape: [1], data: [1] }] };
  const changes = { name, example, ...(name === 'hangs' && { runMsMax }) };
  add(directory, changes);
  renameSync(path.join(directory, 'model'), path.join(directory, name));
}

function manifestOf(name: string) {
  return {
    name,
    version: 1,
    description: 'Says whether a text is short.',
    engine: 'python',
    input: { kind: 'text' },
    output: { kind: 'classification', labels: 'labels.txt', top: 1 },
    ...(name === 'sleeps' && { runMsMax }),
    example: { input: 'a', expected: { label: 'short' } },
  };
}

/** Writes a program as a model beside its place, and moves it there when it is complete. */
function addProgram(directory: string, name: string, action: string): void {
  const folder = makeFolder({
    'model.yaml': manifestOf(name),
    'labels.txt': '0 short\n1 long\n',
    'requirements.txt': '',
    'predict.py': programOf(action),
  });
  symlinkSync(environment, path.join(folder, '.venv'));
  renameSync(folder, path.join(directory, name));
}

const programOf = (action: string) =>
  `import os, sys, time\ndef predict(texts):\n    ${action}\n    return [[1, 0] for text in texts]\n`;

/** What programs do, and what the log then says. */
const programs = {
  aborts: ['os.abort()', 'has ended (SIGABRT)'],
  exits: ['sys.exit(3)', 'has ended (3)'],
  sleeps: ['time.sleep(1000)', `a run takes longer than runMsMax, ${runMsMax} ms`],
  raises: ['raise KeyError("a")', "KeyError: 'a'"],
  nan: ['return [[float("nan"), 0] for text in texts]', 'numbers that are not finite'],
} as const;

const networks = {
  crashes: [addCrash, 'in a process of its own. The process ended (SIGFPE).'],
  hangs: [addHang, `It was lost: a run takes longer than runMsMax, ${runMsMax} ms.`],
} as const;

const askCounter = (url: string) => post(`${url}/v1/models/${counterName}/score`, { input: '7' });
const counted = { status: 200, body: { predictions: [{ label: 'digit 7' }] } };

async function expectLeftOut(url: string, name: string): Promise<void> {
  const datatype = name === 'hangs' ? 'INT64' : 'INT32';
  const inputs = [{ name: 'in', datatype, shape: [1], data: [3] }];
  const answer =
    name in networks
      ? await post(`${url}/v2/models/${name}/infer`, { inputs })
      : await post(`${url}/v1/models/${name}/score`, { input: 'a' });
  expect(answer.status).toBe(422);
  expect(answer.body.detail ?? answer.body.error).toContain('No worker can load');
}

function reasonsIn({ log }: Service): string {
  return log.map(({ err }) => (err as Error | undefined)?.message).join('\n');
}

test('networks that crash or hang at the start are left out by the next worker', async () => {
  const directory = makeFolder({});
  addCounter(directory);
  addNetwork(directory, 'crashes', addCrash);
  addNetwork(directory, 'hangs', addHang);
  const places = {
    MODELS: '',
    MODELS_DIR: directory,
    MODEL_CACHE_DIR: makeFolder({}),
  };
  const settings = serviceEnvironment({ redisUrl: redis.url, environment: places });
  const started = spawn(process.execPath, ['dist/cli/start.js'], {
    cwd: root,
    env: { ...settings, LOG_LEVEL: 'warn' },
  });
  onTestFinished(async () => {
    started.kill('SIGTERM');
    await new Promise((resolve) => started.once('exit', resolve));
  });
  let output = '';
  for (const stream of [started.stdout, started.stderr]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  await waitUntil('it is ready', () => output.includes('Press Ctrl-C'));
  expect(output).toContain('before it was ready (SIGFPE). Restarting it.');
  for (const [name, [, reason]] of Object.entries(networks)) {
    expect(output).toContain(reason);
    expect(output).toContain(`left out: ${name}: no worker can load it`);
  }
  const url = /API +(\S+)/.exec(output)?.[1] as string;
  expect(await askCounter(url)).toMatchObject(counted);
  for (const name of Object.keys(networks)) await expectLeftOut(url, name);
});

describe.skipIf(!hasPython)('in a running service (needs Python 3.11)', () => {
  test('a model that breaks is left out, and none other fails', async () => {
    const directory = makeFolder({});
    addCounter(directory);
    addProgram(directory, 'edited', 'pass');
    const service = await startService({
      redisUrl: redis.url,
      models: '',
      environment: {
        MODELS_DIR: directory,
        MODELS_LOOK_MS: '100',
        MODEL_CACHE_DIR: makeFolder({}),
      },
    });
    onTestFinished(() => service.close());
    let isOver = false;
    const load = (async () => {
      while (!isOver) {
        expect(await askCounter(service.url)).toMatchObject(counted);
        await delay(20);
      }
    })();
    load.catch(() => {});

    for (const [name, [add]] of Object.entries(networks)) addNetwork(directory, name, add);
    for (const [name, [action]] of Object.entries(programs)) addProgram(directory, name, action);
    const reasons = [...Object.values(networks), ...Object.values(programs)].map(([, why]) => why);
    await waitUntil('all are left out', () =>
      reasons.every((reason) => reasonsIn(service).includes(reason)),
    );
    for (const name of [...Object.keys(networks), ...Object.keys(programs)]) {
      await waitUntil(`the list says so of ${name}`, async () => {
        const { body } = await ask(`${service.url}/v1/models`);
        return body.waiting.some(
          (each: Answer['body']) => each.name === name && each.state === 'failed',
        );
      });
      await expectLeftOut(service.url, name);
    }

    for (const [action, reason] of [programs.aborts, programs.nan]) {
      const count = reasonsIn(service).split('edited: ').length;
      writeFileSync(path.join(directory, 'edited', 'predict.py'), programOf(action));
      await waitUntil(`the edit is refused: ${reason}`, () => {
        const said = reasonsIn(service).split('edited: ');
        return said.length > count && said.at(-1)?.includes(reason) === true;
      });
      const answer = await post(`${service.url}/v1/models/edited/score`, { input: 'a' });
      expect(answer).toMatchObject({ status: 200, body: { predictions: [{ label: 'short' }] } });
    }
    isOver = true;
    await load;
    expect(service.workers.length).toBe(1);
    expect(service.log.filter(({ msg }) => msg === 'leaving at once')).toEqual([]);
  });
});

test.skipIf(process.platform !== 'linux')(
  'a worker that is told to end while it tries a new model ends soon',
  async () => {
    const directory = makeFolder({});
    addCounter(directory);
    const places = {
      MODELS_DIR: directory,
      MODELS_LOOK_MS: '100',
      MODEL_CACHE_DIR: makeFolder({}),
    };
    const options = { redisUrl: redis.url, models: '', environment: places };
    const worker = startProcess('worker', serviceEnvironment(options), []);
    await worker.ready;
    addNetwork(directory, 'patient', addHang);
    const children = `/proc/${worker.pid}/task/${worker.pid}/children`;
    // Beside the one that is kept ready for the quarantine.
    await waitUntil('the trial runs', () => readFileSync(children, 'utf8').split(' ').length > 2);
    const startedAt = performance.now();
    await worker.close();
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  },
);
