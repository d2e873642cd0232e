// Tests the engine of Python programs with real programs: what they get and return, what they print and
// raise, and the ways in which they end.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeLogger } from '../../shared/log.js';
import {
  type Datatype,
  datatypes,
  decodeStrings,
  elementBytes,
  encodeStrings,
  type Tensor,
  toFloats,
} from '../../shared/tensors.js';
import type { Engine, TensorValue, Watch } from '../../worker/engine/engine.js';
import { openPythonEngine, type PythonOptions } from '../../worker/engine/python/python.js';
import { waitUntil } from '../harness.js';
import { environmentOfTests, hasPython } from '../python.js';
import { makeFolder } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const environment = hasPython ? environmentOfTests() : '';
const device = { type: 'cpu', id: 0, threads: 1, memoryArena: true } as const;

function value(name: string, datatype: Datatype, shape: (number | string)[] = [-1]): TensorValue {
  return { name, datatype, shape, type: datatype };
}

function writeProgram(program: string): string {
  const folder = makeFolder({ 'predict.py': program, 'requirements.txt': '' });
  symlinkSync(environment, path.join(folder, '.venv'));
  return folder;
}

type Changes = Partial<PythonOptions> & { watch?: Partial<Watch>; log?: typeof log };

function start(program: string, { watch, log: ownLog, ...changes }: Changes = {}): Promise<Engine> {
  const folder = writeProgram(program);
  const options: PythonOptions = {
    name: 'sample',
    folder,
    file: path.join(folder, 'predict.py'),
    requirements: 'requirements.txt',
    kind: 'tensors',
    inputs: [value('x', 'FP32')],
    outputs: [value('y', 'FP32')],
    device,
    ...changes,
  };
  return openPythonEngine(options, ownLog ?? log, {
    runMsMax: 60_000,
    onLost: () => {},
    ...watch,
  });
}

async function open(program: string, changes?: Changes): Promise<Engine> {
  const engine = await start(program, changes);
  onTestFinished(() => engine.close());
  return engine;
}

function floats(...numbers: number[]): Tensor {
  const data = new Uint8Array(Float32Array.from(numbers).buffer);
  return { name: 'x', datatype: 'FP32', shape: [numbers.length], data };
}

function texts(...strings: string[]): Tensor {
  return {
    name: 'x',
    datatype: 'BYTES',
    shape: [strings.length],
    data: encodeStrings(strings),
  };
}

function some(datatype: Datatype): Uint8Array {
  if (datatype === 'BYTES') return encodeStrings(['a', '', 'äö😀', 'x'.repeat(70_000)]);
  if (datatype === 'BOOL') return Uint8Array.of(1, 0, 0, 1);
  return randomBytes(4 * (elementBytes[datatype] as number));
}

async function reasonOf(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  expect(error).toMatchObject({ code: 'model_failed' });
  return String((error as Error).cause);
}

describe.skipIf(!hasPython)('the engine of Python programs (needs Python 3.11)', () => {
  test('finds a program by a path that is relative to the folder of the worker', async () => {
    const program = 'def predict(inputs): return {"y": inputs["x"]}';
    const folder = path.relative(process.cwd(), writeProgram(program));
    const engine = await open('', { folder, file: path.join(folder, 'predict.py') });
    const { outputs } = await engine.run([floats(1, 2)]);
    expect([...toFloats(outputs[0] as Tensor)]).toEqual([1, 2]);
  });

  test('passes every datatype on, bit by bit', async () => {
    const inputs = datatypes.map((datatype) => value(datatype, datatype, [-1, 2]));
    const engine = await open('def predict(inputs): return inputs', { inputs, outputs: inputs });
    const sent = datatypes.map((datatype) => ({
      name: datatype,
      datatype,
      shape: [2, 2],
      data: some(datatype),
    }));
    const { outputs, computeMs } = await engine.run(sent);
    expect(outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape }))).toEqual(
      sent.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    );
    for (const [at, { data }] of outputs.entries()) {
      expect(Buffer.compare(data, (sent[at] as Tensor).data), sent[at]?.name).toBe(0);
    }
    expect(computeMs).toBeGreaterThan(0);
  });

  test('gives texts as a list, and takes a list of lists', async () => {
    const engine = await open(
      `
def predict(texts):
    assert type(texts) is list and type(texts[0]) is str, texts
    return [[len(text), text.count("ö")] for text in texts]`,
      { kind: 'text', inputs: [value('x', 'BYTES')], outputs: [value('y', 'FP32', [-1, 2])] },
    );
    const { outputs } = await engine.run([texts('aö', '', 'ööö')]);
    expect([...toFloats(outputs[0] as Tensor)]).toEqual([2, 1, 0, 0, 3, 3]);
    const broken = { ...texts(''), data: Uint8Array.of(1, 0, 0, 0, 255) };
    expect(await reasonOf(engine.run([broken]))).toContain('expected a text in UTF-8');
  });

  test('gives a picture as an array that may be written to', async () => {
    const engine = await open(
      `
def predict(pictures):
    pictures[:, 0, 0, 0] = 0
    return pictures.reshape(len(pictures), -1).sum(axis=1)`,
      { kind: 'image', inputs: [value('x', 'UINT8', [-1, 2, 2, 3])] },
    );
    const pixels = new Uint8Array(24).fill(1);
    const input = { name: 'x', datatype: 'UINT8', shape: [2, 2, 2, 3], data: pixels } as const;
    const { outputs } = await engine.run([input]);
    expect([...toFloats(outputs[0] as Tensor)]).toEqual([11, 11]);
  });

  test('takes texts and bytes, and returns the outputs that are asked for', async () => {
    const outputs = [value('y', 'BYTES'), value('z', 'BYTES'), value('n', 'INT64', [])];
    const engine = await open(
      'def predict(inputs): return {"y": ["ä", b"b"], "z": [b"", ""], "n": 7}',
      { outputs },
    );
    const all = await engine.run([floats(1, 2)]);
    expect(all.outputs.map(({ name }) => name)).toEqual(['y', 'z', 'n']);
    const one = await engine.run([floats(1, 2)], ['y']);
    expect(one.outputs).toMatchObject([{ name: 'y', datatype: 'BYTES', shape: [2] }]);
    expect(decodeStrings((one.outputs[0] as Tensor).data)).toEqual(['ä', 'b']);
  });

  test.each([
    ['a dict without the output', '{"z": [1, 2]}', 'expected the output y'],
    ['another shape', '[[1.0, 2.0]]', 'expected the shape (any) in the output y; got (1, 2)'],
    ['texts for numbers', '["a", "b"]', 'expected numbers of float32 in the output y'],
    ['nothing', 'None', 'expected numbers of float32 in the output y; got object'],
    ['a number too large', '[1e300, 1]', 'expected numbers that float32 can hold'],
    ['lists of unequal lengths', '[[1], [2, 3]]', 'inhomogeneous'],
  ])('refuses %s, and goes on', async (_, result, reason) => {
    const engine = await open(`
def predict(inputs):
    return ${result} if inputs["x"][0] == 0 else inputs["x"]`);
    expect(await reasonOf(engine.run([floats(0, 1)]))).toContain(reason);
    const { outputs } = await engine.run([floats(1, 2)]);
    expect([...toFloats(outputs[0] as Tensor)]).toEqual([1, 2]);
  });

  test('does not wrap numbers that an output cannot hold', async () => {
    const engine = await open(
      'import numpy\ndef predict(inputs): return inputs["x"].astype("int64") * 2**20',
      { outputs: [value('y', 'INT32')] },
    );
    expect(await reasonOf(engine.run([floats(5000)]))).toContain('numbers that int32 can hold');
    const { outputs } = await engine.run([floats(2)]);
    expect(new Int32Array(Uint8Array.from((outputs[0] as Tensor).data).buffer)[0]).toBe(2 ** 21);
  });

  test('says what a program raises, and whether it is for the caller', async () => {
    const engine = await open(`
def predict(inputs):
    if inputs["x"][0] == 0: raise ValueError("expected no zero")
    if inputs["x"][0] == 1: raise KeyError("secret")
    return inputs["x"]`);
    const runs = [0, 1, 2].map((number) => engine.run([floats(number)]));
    const [ofCaller, ofProgram, right] = await Promise.allSettled(runs);
    expect(ofCaller).toMatchObject({
      reason: { cause: { message: 'expected no zero', isForCaller: true, runtime: 'predict.py' } },
    });
    expect(ofProgram).toMatchObject({
      reason: { cause: { message: "KeyError: 'secret'", isForCaller: false } },
    });
    expect(right).toMatchObject({ status: 'fulfilled' });
  });

  test('logs what a program prints, in lines of bounded length', async () => {
    const folder = makeFolder({});
    const file = path.join(folder, 'log');
    const { pino } = await import('pino');
    const written = pino(pino.destination({ dest: file, sync: true }));
    const engine = await open(
      `
import os, sys
print("hello from the import")
def predict(inputs):
    os.write(1, b"x" * 5_000_000)
    print("\\nafter it")
    print("an error", file=sys.stderr)
    for line in range(1000): print(line)
    return inputs["x"]`,
      { log: written },
    );
    const { outputs } = await engine.run([floats(1)]);
    expect([...toFloats(outputs[0] as Tensor)]).toEqual([1]);
    const lines = () =>
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    await waitUntil('the last line is logged', () =>
      lines().some(({ line }) => line === 'an error'),
    );
    expect(lines()[0]).toMatchObject({ line: 'hello from the import', stream: 'stdout' });
    expect(lines().map(({ line }) => line)).toContain('x'.repeat(2000));
    expect(lines().length).toBeLessThan(200);
  });

  test.each([
    ['exits', 'os._exit(3)', '3'],
    ['is killed', 'os.kill(os.getpid(), 9)', 'SIGKILL'],
    ['crashes', 'import ctypes; ctypes.string_at(0)', 'SIGSEGV'],
    ['writes garbage to the worker', 'os.write(3, b"\\xff" * 100)', 'what is no frame'],
  ])('is lost before its runs are rejected if the process %s', async (_, act, reason) => {
    const events: string[] = [];
    const engine = await start(
      `
import os
def predict(inputs):
    ${act}
    return inputs["x"]`,
      { watch: { onLost: (why) => events.push(why) } },
    );
    const runs = [engine.run([floats(1)]), engine.run([floats(2)])];
    for (const run of runs) run.catch(() => events.push('rejected'));
    await Promise.allSettled(runs);
    await waitUntil('both are rejected', () => events.length === 3);
    expect(events[0]).toContain(reason);
    expect(events.slice(1)).toEqual(['rejected', 'rejected']);
    await expect(engine.run([floats(1)])).rejects.toMatchObject({ name: 'EngineEnded' });
    await engine.close();
  });

  test('is lost if a run hangs', async () => {
    let lost: string | undefined;
    const engine = await start(
      'import time\ndef predict(inputs): time.sleep(3600)\ndef load(): print(1)',
      { watch: { runMsMax: 100, onLost: (reason) => (lost = reason) } },
    );
    engine.run([floats(1)]).catch(() => {});
    await waitUntil('the run counts as hung', () => lost !== undefined);
    expect(lost).toContain('runMsMax, 100 ms');
  });

  test('finishes its runs before it closes, and a signal to all processes ends none', async () => {
    const folder = makeFolder({});
    const pidFile = path.join(folder, 'pid');
    const engine = await start(`
import os, time
open(${JSON.stringify(pidFile)}, "w").write(str(os.getpid()))
def predict(inputs):
    time.sleep(0.3)
    return inputs["x"]`);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    const runs = [engine.run([floats(1)]), engine.run([floats(2)])];
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGINT');
    await engine.close();
    expect((await Promise.all(runs)).length).toBe(2);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test('ends with its worker, whatever the program does', async () => {
    const pidFile = path.join(makeFolder({}), 'pid');
    const folder = writeProgram(`
import os, time
open(${JSON.stringify(pidFile)}, "w").write(str(os.getpid()))
time.sleep(3600)`);
    const module = new URL('../../worker/engine/python/python.js', import.meta.url).href;
    const options = {
      folder,
      file: path.join(folder, 'predict.py'),
      requirements: 'requirements.txt',
    };
    const rest = { kind: 'tensors', inputs: [], outputs: [], device };
    const code = `import { openPythonEngine } from ${JSON.stringify(module)};
      const log = { info() {}, error() {} };
      await openPythonEngine(${JSON.stringify({ ...options, ...rest })}, log, {});`;
    const worker = spawn(process.execPath, ['--input-type=module', '--eval', code]);
    const pidOf = () => Number(existsSync(pidFile) && readFileSync(pidFile, 'utf8'));
    await waitUntil('the program runs', () => pidOf() > 0);
    worker.kill('SIGKILL');
    await waitUntil('the program has ended', () => {
      try {
        process.kill(pidOf(), 0);
        return false;
      } catch {
        return true;
      }
    });
  });

  test.each([
    ['does not parse', 'def predict(:', 'SyntaxError'],
    ['lacks predict', 'x = 1', 'expected a function predict(batch)'],
    [
      'fails to load',
      'def load(): raise OSError("no weights")\ndef predict(x): pass',
      'no weights',
    ],
    ['ends while it loads', 'import os; os._exit(7)', 'has ended (7)'],
    ['asks to end', 'raise SystemExit(0)', 'SystemExit'],
  ])('does not open a program that %s', async (_, program, reason) => {
    const error = await start(program).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({
      code: 'model_file_wrong',
      message: expect.stringContaining(reason),
    });
  });
});

describe.skipIf(!hasPython)('the environment of a Python program (needs Python 3.11)', () => {
  const program = `
import numpy, importlib.util
def predict(inputs): return inputs["x"] * (2 if importlib.util.find_spec("own_package") else 1)`;
  const ownPackage = {
    'own/pyproject.toml':
      '[project]\nname = "own-package"\nversion = "1"\n[tool.setuptools]\npy-modules = ["own_package"]\n',
    'own/own_package.py': '',
  };

  async function double(folder: string): Promise<number> {
    const engine = await openPythonEngine(
      {
        name: 'doubler',
        folder,
        file: path.join(folder, 'predict.py'),
        requirements: 'requirements.txt',
        kind: 'tensors',
        inputs: [value('x', 'FP32')],
        outputs: [value('y', 'FP32')],
        device,
      },
      log,
      { runMsMax: 60_000, onLost: () => {} },
    );
    const { outputs } = await engine.run([floats(4)]);
    await engine.close();
    return toFloats(outputs[0] as Tensor)[0] as number;
  }

  test('has what the list says, and is made again when the list changes', {
    timeout: 300_000,
  }, async () => {
    const folder = makeFolder({ 'predict.py': program, 'requirements.txt': '', ...ownPackage });
    expect(await double(folder)).toBe(4);
    const marker = path.join(folder, '.venv', 'marker');
    writeFileSync(marker, '');
    expect(await double(folder)).toBe(4);
    expect(existsSync(marker)).toBe(true);
    writeFileSync(path.join(folder, 'requirements.txt'), './own\n');
    expect(await double(folder)).toBe(8);
    expect(existsSync(marker)).toBe(false);
  });

  test('that cannot be made is explained, and leaves nothing behind', {
    timeout: 120_000,
  }, async () => {
    const folder = makeFolder({ 'predict.py': program, 'requirements.txt': './nowhere\n' });
    const error = await double(folder).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'model_file_wrong' });
    expect(String(error)).toMatch(
      /\.venv with the packages in requirements.txt.*nowhere.*npm run models -- check doubler/s,
    );
    expect(existsSync(path.join(folder, '.venv'))).toBe(false);
  });
});
