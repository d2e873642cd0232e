// Faults of a Python program while others wait for answers: it is killed, ends by itself, hangs, or has no
// memory left. Nothing is lost, and only the input at fault gets an error.

import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, test } from 'vitest';
import type { Child } from '../../cli/processes/children.js';
import {
  type Answer,
  ask as get,
  isAlive,
  type LogLine,
  openRedis,
  post,
  type Service,
  serviceEnvironment,
  startProcess,
  startService,
  waitUntil,
} from '../harness.js';
import { environmentOfTests, hasPython } from '../python.js';
import { makeFolder } from '../unit/sample-model.js';

const program = `
import os, time

def predict(texts):
    for text in texts:
        if text == "exit": os._exit(1)
        if text == "hang": time.sleep(3600)
        if text == "memory": bytearray(1 << 60)
    time.sleep(0.01)
    return [[float(text[-1] == digit) for digit in "0123456789"] for text in texts]
`;

const manifest = {
  name: 'last-digit',
  version: 1,
  description: 'Says the last digit of a text.',
  engine: 'python',
  input: { kind: 'text' },
  output: { kind: 'classification', labels: 'labels.txt', top: 1 },
  batch: { max: 8 },
  runMsMax: 3000,
  example: { input: '7', expected: { label: 'seven' } },
};
/** What the log says of a program that has ended. */
const lost = 'a model is lost; loading it again';
const labels = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];

/** The files of a model, by path. */
function filesOf(name: string, code: string): Record<string, unknown> {
  return {
    [`${name}/model.yaml`]: { ...manifest, name, device: { instances: name === 'copies' ? 2 : 1 } },
    [`${name}/labels.txt`]: labels.map((label, at) => `${at} ${label}`).join('\n'),
    [`${name}/predict.py`]: code,
    [`${name}/requirements.txt`]: name === 'unmade' ? './own\n' : '',
  };
}

async function withProgram(
  act: (service: Service, directory: string) => Promise<void>,
  others: Record<string, string> = {},
): Promise<void> {
  const programs = Object.entries({ 'last-digit': program, ...others });
  const directory = makeFolder(Object.assign({}, ...programs.map((each) => filesOf(...each))));
  for (const [name] of programs) {
    if (name === 'unmade') continue;
    symlinkSync(environmentOfTests(), path.join(directory, name, '.venv'));
  }
  const redis = await openRedis();
  let service: Service | undefined;
  try {
    const environment = { MODELS_DIR: directory, PROBE_PORT: '0' };
    const models = programs.map(([name]) => name).join();
    service = await startService({ redisUrl: redis.url, models, environment });
    await act(service, directory);
  } finally {
    for (const child of [service?.api, ...(service?.workers ?? [])]) child?.kill('SIGKILL');
    await redis.close();
  }
}

function ask({ url }: Service, input: string, name = 'last-digit'): Promise<Answer> {
  return post(`${url}/v1/models/${name}/score`, { input });
}

/** Asks many at the same time and expects the right answer to each. */
async function expectAllAnswered(service: Service, name?: string): Promise<void> {
  const inputs = Array.from({ length: 60 }, (_, at) => String(at));
  const answers = await Promise.all(inputs.map((input) => ask(service, input, name)));
  for (const [at, answer] of answers.entries()) {
    expect(answer).toMatchObject({
      status: 200,
      body: { predictions: [{ label: labels[at % 10], score: 1 }] },
    });
  }
}

/** The processes of programs that this worker has started. */
function programsOf({ pid }: Child, name = ''): number[] {
  const listed = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(pid)], {
    encoding: 'utf8',
  });
  return listed
    .split('\n')
    .filter((line) => line.includes('host.py') && line.includes(`${name}/predict.py`))
    .map((line) => Number.parseInt(line, 10));
}

/** Expects that no worker has ended, and that the one there is ends in order. */
async function expectSameWorker(service: Service): Promise<void> {
  expect(service.workers.length).toBe(1);
  await service.close();
  expect(await (service.workers[0] as Child).exited).toBe(0);
}

describe.skipIf(!hasPython)('a Python program (needs Python 3.11)', () => {
  test('that is killed under load loses nothing, and costs no other model its worker', async () => {
    await withProgram(
      async (service) => {
        const [worker] = service.workers as [Child];
        await Promise.all([expectAllAnswered(service), expectAllAnswered(service, 'other')]);
        // The third time, it waits before it is loaded.
        for (let times = 0; times < 3; times++) {
          await waitUntil('both are loaded', () => programsOf(worker).length === 2);
          const asked = Promise.all([
            expectAllAnswered(service),
            expectAllAnswered(service, 'other'),
          ]);
          const [pid] = programsOf(worker, 'last-digit');
          process.kill(pid as number, 'SIGKILL');
          await asked;
          expect(service.log.filter(({ msg }) => msg === lost)).toHaveLength(times + 1);
        }
        await expectSameWorker(service);
      },
      { other: program },
    );
  });

  test.each(['exit', 'hang'])('that an input makes %s answers all others', async (poison) => {
    await withProgram(
      async (service) => {
        const [bad] = await Promise.all([
          ask(service, poison),
          expectAllAnswered(service),
          expectAllAnswered(service, 'other'),
        ]);
        expect(bad).toMatchObject({ status: 500, body: { code: 'model_crashed' } });
        // More may be refused: the workers answered slowly for a while.
        expect(await ask(service, '7')).toMatchObject({ status: 200 });
        await expectSameWorker(service);
      },
      { other: program },
    );
  });

  test('that ends or hangs while it is warmed up is left out, and costs no other model its worker', async () => {
    const act = (what: string) => `import os, time\ndef predict(texts): ${what}`;
    const others = {
      ends: act('os._exit(1)'),
      hangs: act('time.sleep(3600)'),
      // Is not what was verified, once it is read.
      changes: `${program}
def load():
    if not os.path.exists("once"):
        open("once", "w").close()
        open(__file__, "a").write("\\n")`,
      // The first of two copies ends when it is warm, and the second one is not.
      copies: `${program}
import threading
isFirst = False
def load():
    global isFirst
    try:
        open("first", "x").close()
        isFirst = True
    except FileExistsError: pass
score = predict
def predict(texts):
    if isFirst: threading.Timer(0.5, os._exit, [1]).start()
    else: time.sleep(2)
    return score(texts)`,
    };
    await withProgram(async (service) => {
      await expectAllAnswered(service);
      for (const name of ['ends', 'hangs', 'copies']) {
        const asked = post(`${service.url}/v1/models/${name}/score`, { input: 'a' });
        expect(await asked).toMatchObject({ body: { code: 'model_load_failed' } });
      }
      expect(service.workers.length).toBe(1);
      const reasons = service.log.map(({ err }) => (err as Error | undefined)?.message).join();
      expect(reasons).toContain('changes: expected the files of version 1 to stay as they are');
      expect(reasons).toContain('ends: expected the model to score one input');
      expect(reasons).toContain('a run takes longer than runMsMax, 3000 ms');
    }, others);
  });

  test('that is killed while it starts, as when memory is short, is tried again, whatever it was doing', async () => {
    const dying = `${program}
import signal, threading
def die(times):
    with open("starts", "a+") as file:
        file.write("x")
        if file.tell() <= times: os.kill(os.getpid(), signal.SIGKILL)`;
    const others = {
      imported: `${dying}\ndie(2)`,
      loaded: `${dying}\ndef load(): die(2)`,
      warm: `${dying}\nscore = predict\ndef predict(texts):\n    die(2)\n    return score(texts)`,
      // A copy is killed when it has done its part of the warm-up, and another has not.
      copies: `${dying}
def load():
    global isFirst
    try: open("first", "x").close()
    except FileExistsError: isFirst = False
    else: isFirst = True
score = predict
def predict(texts):
    if isFirst: threading.Timer(0.5, die, [1]).start()
    else: time.sleep(2)
    return score(texts)`,
    };
    await withProgram(async (service) => {
      for (const name of Object.keys(others)) {
        await expect
          .poll(async () => (await ask(service, '7', name)).status, { timeout: 60_000 })
          .toBe(200);
      }
      const left = service.log.filter(({ msg }) => msg === 'a model is left out');
      expect(new Set(left.map(({ code }) => code))).toEqual(new Set(['memory_insufficient']));
      expect(new Set(left.map(({ model }) => model))).toEqual(new Set(Object.keys(others)));
      await expectSameWorker(service);
    }, others);
  });

  test('whose packages cannot be had for a while is loaded once they can', async () => {
    await withProgram(
      async (service, directory) => {
        const codes = async () => {
          const { body } = await get(`${service.url}/v1/models`);
          return body.waiting.map(({ code, reason }: Record<string, string>) => [code, reason]);
        };
        await expect
          .poll(codes, { timeout: 60_000 })
          .toEqual([['environment_failed', 'The Python environment of a model could not be made']]);
        expect(await get(`${service.url}/v1/models/unmade`)).toMatchObject({
          status: 503,
          body: { ready: false, reason: 'environment_failed' },
        });
        const setup = 'import setuptools; setuptools.setup(name="own", py_modules=[])';
        mkdirSync(path.join(directory, 'unmade/own'));
        writeFileSync(path.join(directory, 'unmade/own/setup.py'), setup);
        await expect
          .poll(async () => (await ask(service, '7', 'unmade')).status, { timeout: 120_000 })
          .toBe(200);
        await expectSameWorker(service);
      },
      { unmade: program },
    );
  });

  test('that takes long to load holds up no other model, is ended if it is unloaded, and does not hold up the end of its worker', async () => {
    const loading = (end: string) => `${program}
def load():
    while not os.path.exists("go on"): time.sleep(0.05)
    ${end}`;
    const others = {
      late: loading('pass'),
      broken: loading('raise Exception("no weights")'),
      unwanted: loading('pass'),
      endless: loading('pass'),
    };
    await withProgram(async (service, directory) => {
      const late = ask(service, '7', 'late');
      await expectAllAnswered(service);
      const [worker] = service.workers as [Child];
      const { models, loading, probePort } = await worker.ready;
      expect([models, loading]).toEqual([
        ['last-digit'],
        ['late', 'broken', 'unwanted', 'endless'],
      ]);
      const health = await fetch(`http://127.0.0.1:${probePort}/readyz`);
      expect([health.status, await health.json()]).toMatchObject([503, { status: 'loading' }]);
      for (const name of ['late', 'broken']) {
        writeFileSync(path.join(directory, name, 'go on'), '');
      }
      expect(await late).toMatchObject({ body: { predictions: [{ label: 'seven' }] } });
      const refused = await ask(service, '7', 'broken');
      expect(refused).toMatchObject({ status: 422, body: { code: 'model_load_failed' } });
      for (const name of ['unwanted', 'endless']) {
        expect(programsOf(worker, name)).toHaveLength(1);
      }
      const { status } = await post(`${service.url}/v2/repository/models/unwanted/unload`, {});
      expect(status).toBe(200);
      await waitUntil('it is ended', () => programsOf(worker, 'unwanted').length === 0);
      expect(programsOf(worker, 'endless')).toHaveLength(1);
      await expectSameWorker(service);
    }, others);
  });

  test('that hangs while it is loaded again does not hold up the end of its worker', async () => {
    const hangs = `${program}
def load():
    if os.path.exists("once"): time.sleep(3600)
    open("once", "w").close()`;
    await withProgram(
      async (service) => {
        expect(await ask(service, '7', 'hangs')).toMatchObject({ status: 200 });
        const [pid] = programsOf(service.workers[0] as Child, 'hangs');
        process.kill(pid as number, 'SIGKILL');
        await waitUntil('it is lost', () => service.log.some(({ msg }) => msg === lost));
        await expectAllAnswered(service);
        await expectSameWorker(service);
      },
      { hangs },
    );
  });

  test.each([
    ['is told to end while Redis is away', 0],
    ['finds that it cannot use its Redis', 1],
  ])('leaves nothing of an installation behind if its worker %s', async (_what, exitCode) => {
    const directory = makeFolder({
      ...filesOf('last-digit', program),
      ...filesOf('late', program),
      'late/requirements.txt': './own\n',
      'late/own/setup.py': '',
    });
    const late = path.join(directory, 'late');
    const installer = path.join(directory, 'installer');
    const setup = `import os, time\nopen(${JSON.stringify(installer)}, "w").write(str(os.getpid()))\ntime.sleep(3600)`;
    writeFileSync(path.join(late, 'own/setup.py'), setup);
    symlinkSync(environmentOfTests(), path.join(directory, 'last-digit/.venv'));
    const parameters = ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'];
    const redis = await openRedis({ parameters });
    await redis.stop();
    const log: LogLine[] = [];
    const environment = serviceEnvironment({
      ...{ redisUrl: redis.url, models: 'last-digit,late' },
      environment: { MODELS_DIR: directory, LOG_LEVEL: 'info' },
    });
    const worker = startProcess('worker', environment, log);
    try {
      await waitUntil('one model is warm and one is installed', () => {
        const isWarm = log.some(({ msg }) => msg === 'model is warm');
        return isWarm && existsSync(installer) && readFileSync(installer, 'utf8') !== '';
      });
      if (exitCode === 0) worker.kill('SIGTERM');
      else await redis.start();
      expect(await worker.exited).toBe(exitCode);
      expect(readdirSync(late).filter((name) => name.startsWith('.venv'))).toEqual([]);
      expect(isAlive(Number(readFileSync(installer, 'utf8')))).toBe(false);
    } finally {
      worker.kill('SIGKILL');
      await worker.exited;
      await redis.close();
    }
  });

  test('that has no memory for an input goes on', async () => {
    await withProgram(async (service) => {
      const [bad] = await Promise.all([ask(service, 'memory'), expectAllAnswered(service)]);
      expect(bad).toMatchObject({ status: 500, body: { code: 'model_failed' } });
      await expectSameWorker(service);
    });
  });
});
