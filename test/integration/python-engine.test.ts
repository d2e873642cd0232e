// Tests the engine of Python programs with real programs: what they get and return, what they print and
// raise, and the ways in which they end.

import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { makePythonEnvironment, pythonIn } from '../../shared/python/environment.js';
import {
  type Datatype,
  datatypes,
  decodeStrings,
  elementBytes,
  encodeStrings,
  type Tensor,
  toFloats,
} from '../../shared/tensors/tensors.js';
import type { Engine, TensorValue, Watch } from '../../worker/engine/engine.js';
import { openPythonEngine, type PythonOptions } from '../../worker/engine/python/python.js';
import { runCommand } from '../command.js';
import { isAlive, waitUntil } from '../harness.js';
import { environmentOfTests, hasPython } from '../python.js';
import { makeFolder, rejectionOf } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const environment = hasPython ? environmentOfTests() : '';
const device = { type: 'cpu', id: 0, threads: 1, instances: 1, memoryArena: true } as const;

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
    json: [],
    inputs: [value('x', 'FP32')],
    outputs: [value('y', 'FP32')],
    device,
    loadMsMax: 60_000,
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

/** Returns a log and what is in it. */
async function makeLog() {
  const file = path.join(makeFolder({}), 'log');
  const { pino } = await import('pino');
  const written = pino(pino.destination({ dest: file, sync: true }));
  const lines = () =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  return { written, lines };
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

/** Runs one input. Resolves to the numbers of the first output. */
async function numbersOf(engine: Engine, input: Tensor): Promise<number[]> {
  const { outputs } = await engine.run([input]);
  return [...toFloats(outputs[0] as Tensor)];
}

function some(datatype: Datatype): Uint8Array {
  if (datatype === 'BYTES') return encodeStrings(['a', '', 'äö😀', 'x'.repeat(70_000)]);
  if (datatype === 'BOOL') return Uint8Array.of(1, 0, 0, 1);
  return randomBytes(4 * (elementBytes[datatype] as number));
}

async function reasonOf(run: Promise<unknown>): Promise<string> {
  const error = await rejectionOf(run);
  expect(error.code).toBe('model_failed');
  return String(error.cause);
}

/** A line of a program that writes the number of a process into a file, and a function that reads it. */
function makePidFile(): { write: (pid: string) => string; read: () => number } {
  const file = path.join(makeFolder({}), 'pid');
  return {
    write: (pid) => `open(${JSON.stringify(file)}, "w").write(str(${pid}))`,
    read: () => Number(existsSync(file) && readFileSync(file, 'utf8')),
  };
}

describe.skipIf(!hasPython)('the engine of Python programs (needs Python 3.11)', () => {
  test('finds a program by a path that is relative to the folder of the worker', async () => {
    const program = 'def predict(inputs): return {"y": inputs["x"]}';
    const folder = path.relative(process.cwd(), writeProgram(program));
    const engine = await open('', { folder, file: path.join(folder, 'predict.py') });
    expect(await numbersOf(engine, floats(1, 2))).toEqual([1, 2]);
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
    expect(await numbersOf(engine, texts('aö', '', 'ööö'))).toEqual([2, 1, 0, 0, 3, 3]);
    const broken = { ...texts(''), data: Uint8Array.of(1, 0, 0, 0, 255) };
    expect(await reasonOf(engine.run([broken]))).toContain('expected a text in UTF-8');
  });

  test('gives the categories of a table as texts', async () => {
    const engine = await open('def predict(rows): return rows["city"] == "Köln"', {
      kind: 'table',
      inputs: [value('city', 'BYTES')],
    });
    expect(await numbersOf(engine, { ...texts('Köln', 'Bonn'), name: 'city' })).toEqual([1, 0]);
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
    expect(await numbersOf(engine, input)).toEqual([11, 11]);
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

  test('takes lists whose type NumPy guesses otherwise, if their numbers are kept', async () => {
    const outputs = [value('i', 'INT64'), value('u', 'UINT8'), value('b', 'BOOL')];
    const engine = await open(
      'def predict(inputs): x = inputs["x"]; return {"i": [2] * int(x[0]), "u": [255], "b": [1, 0]}'.replace(
        ': x',
        ':\n    x',
      ),
      { outputs },
    );
    for (const count of [0, 2]) {
      const ran = await engine.run([floats(count)]);
      expect(ran.outputs.map(({ shape }) => shape)).toEqual([[count], [1], [2]]);
    }
  });

  test.each([
    ['a whole number for none', '-1', 'UINT8'],
    ['a whole number for true or false', '2', 'BOOL'],
    ['a number too large', '2**63', 'INT64'],
    ['a fraction', '0.5', 'INT64'],
  ] as const)('refuses %s', async (_what, number, datatype) => {
    const engine = await open(`def predict(inputs): return {"y": [${number}]}`, {
      outputs: [value('y', datatype)],
    });
    expect(await reasonOf(engine.run([floats(1)]))).toMatch(/expected numbers (that|of) /);
  });

  test.each([
    ['a dict without the output', '{"z": [1, 2]}', 'expected the output y'],
    ['another shape', '[[1.0, 2.0]]', 'expected the shape (any) in the output y; got (1, 2)'],
    ['texts for numbers', '["a", "b"]', 'expected numbers of float32 in the output y'],
    ['nothing', 'None', 'expected numbers of float32 in the output y; got object'],
    ['a number too large', '[1e300, 1]', 'expected numbers that float32 can hold'],
    ['lists of unequal lengths', '[[1], [2, 3]]', 'inhomogeneous'],
    ['a generator', '(x for x in inputs["x"])', 'got object, made of generator'],
    ['masked numbers', 'np.ma.masked_equal([7.0, 9.0], 7)', 'some are masked'],
    ['rows in another order', 'pd.Series([7.0, 9.0]).sort_values(ascending=False)', 'index is in'],
    ['more than a worker holds', 'np.zeros(2**28 + 1, "float32")', 'at most 1073741824 bytes'],
  ])('refuses %s as a fault of the program, and goes on', async (_, result, reason) => {
    const engine = await open(`
import numpy as np, pandas as pd
def predict(inputs):
    return ${result} if inputs["x"][0] == 0 else inputs["x"]`);
    const run = engine.run([floats(0, 1)]);
    await expect(run).rejects.toMatchObject({ cause: { reader: 'log' } });
    expect(await reasonOf(run)).toContain(reason);
    expect(await numbersOf(engine, floats(1, 2))).toEqual([1, 2]);
  });

  test.each([
    [
      'a dict',
      '{"seconds": 1}',
      'expected a list in the output y, with a value of JSON for each input; got dict',
    ],
    [
      'a text',
      '"abc"',
      'expected a list in the output y, with a value of JSON for each input; got str',
    ],
    ['nothing', 'None', 'with a value of JSON for each input; got NoneType'],
    ['NaN', '[float("nan")]', 'and None for NaN; Out of range float values'],
    ['NaN of NumPy', 'np.array([np.nan])', 'and None for NaN; Out of range float values'],
    ['an object', '[object()]', 'and None for NaN; object has no form in JSON'],
    ['bytes', '[b"a"]', 'and None for NaN; bytes has no form in JSON'],
    ['a key that is no text', '[{(1, 2): 3}]', 'and None for NaN; keys must be str'],
    ['a list in itself', '[itself]', 'and None for NaN; Circular reference'],
    ['a date', '[np.datetime64("2026-01-02")]', 'datetime64 of dates or times has no form in JSON'],
    ['dates', '[np.array(["2026-01-02"], "datetime64[ns]")]', 'ndarray of dates or times has'],
    ['a time', 'np.array([5], "timedelta64[ns]")', 'ndarray of dates or times has'],
    [
      'dates of pandas',
      'pd.Series(pd.to_datetime(["2026-01-02"]))',
      'Series of dates or times has',
    ],
    ['dates in fields', '[np.array([(1, "2026-01-02")], "i4,M8[ns]")]', 'ndarray with fields has'],
    ['an index', '[pd.Series([1, 2], index=["a", "b"])]', 'Series with an index of its own has'],
    ['rows in another order', 'pd.Series([1]).reindex([0, 0])', 'Series with an index of its own'],
    ['a value that is missing', '[pd.NA]', 'NAType has no form in JSON'],
    ['a decimal', '[__import__("decimal").Decimal("1.1")]', 'Decimal has no form in JSON'],
    ['a set', '[{1}]', 'and None for NaN; set has no form in JSON'],
    ['a long double', '[np.longdouble(1)]', 'longdouble has no form in JSON'],
    ['bytes of memory', '[memoryview(b"a")]', 'memoryview has no form in JSON'],
    ['keys that are one in JSON', '[{1: 2, "1": 3}]', 'several keys of an object are "1" in JSON'],
    ['such keys further in', '[[0, {"a": {0.5: 2, "0.5": 3}}]]', 'are "0.5" in JSON'],
    ['such keys of a bool', '[{"a": 1, True: 2, "true": 3}]', 'are "true" in JSON'],
    ['such keys of None', '[{"null": 2, None: 3}]', 'are "null" in JSON'],
    ['such keys below zero', '[{"a": {"b": 1, -1e300: 2, "-1e+300": 3}}]', 'are "-1e+300" in JSON'],
  ])('refuses %s where JSON is expected', async (_what, result, reason) => {
    const engine = await open(
      `
import numpy as np, pandas as pd
itself = []
itself.append(itself)
def predict(inputs):
    return ${result} if inputs[0] == 0 else inputs`,
      { kind: 'json', json: ['y'], inputs: [value('x', 'BYTES')], outputs: [value('y', 'BYTES')] },
    );
    expect(await reasonOf(engine.run([texts('0')]))).toContain(reason);
    const { outputs } = await engine.run([texts('1', '{"a": [1.0, "ä"]}')]);
    expect(outputs).toMatchObject([{ name: 'y', datatype: 'BYTES', shape: [2] }]);
    expect(decodeStrings((outputs[0] as Tensor).data)).toEqual(['1', '{"a":[1.0,"ä"]}']);
    const half = await engine.run([texts('"\\ud800"')]);
    expect(decodeStrings((half.outputs[0] as Tensor).data)).toEqual(['"\\ud800"']);
  });

  test('writes other keys of JSON than texts', async () => {
    const engine = await open(
      'def predict(inputs): return [{1: 2, "2": 3, True: 4, None: 5, 0.5: {1: 6}}]',
      {
        ...{
          kind: 'json',
          json: ['y'],
          inputs: [value('x', 'BYTES')],
          outputs: [value('y', 'BYTES')],
        },
      },
    );
    const { outputs } = await engine.run([texts('0')]);
    const [json] = decodeStrings((outputs[0] as Tensor).data);
    expect(json).toBe('{"1":4,"2":3,"null":5,"0.5":{"1":6}}');
  });

  test('takes arrays for JSON, and gives the bytes of files', async () => {
    const engine = await open(
      `
import numpy as np, pandas as pd
def predict(files):
    assert all(type(file) is bytes for file in files), files
    masked = np.ma.masked_equal([1, 2], 2)
    z = [[np.float32(0.1), np.int64(2**53 + 1)], pd.Series([masked[1], "a"])]
    return {"y": np.array([[len(file), file[0]] for file in files]), "z": z}`,
      {
        ...{ kind: 'file', json: ['y', 'z'], inputs: [value('x', 'BYTES')] },
        outputs: [value('y', 'BYTES'), value('z', 'BYTES')],
      },
    );
    const { outputs } = await engine.run([texts('a', 'bc')]);
    expect(outputs.map(({ data }) => decodeStrings(data))).toEqual([
      ['[1,97]', '[2,98]'],
      ['[0.10000000149011612,9007199254740993]', '[null,"a"]'],
    ]);
  });

  test('takes a column for a number for each row', async () => {
    const engine = await open('def predict(inputs): return inputs["x"].reshape(-1, 1)');
    const { outputs } = await engine.run([floats(3, 4)]);
    expect(outputs).toMatchObject([{ shape: [2] }]);
    expect([...toFloats(outputs[0] as Tensor)]).toEqual([3, 4]);
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
    const { written, lines } = await makeLog();
    const program = `
def predict(inputs):
    if inputs["x"][0] == 0: raise ValueError("expected no zero")
    if inputs["x"][0] == 1: raise KeyError("secret")
    return inputs["x"]`;
    const engine = await open(program, { log: written });
    const runs = [0, 1, 2].map((number) => engine.run([floats(number)]));
    const [ofCaller, ofProgram, right] = await Promise.allSettled(runs);
    expect(ofCaller).toMatchObject({
      reason: { cause: { message: 'expected no zero', reader: 'caller', runtime: 'predict.py' } },
    });
    expect(ofProgram).toMatchObject({
      reason: { cause: { message: "KeyError: 'secret'", reader: 'log' } },
    });
    expect(right).toMatchObject({ status: 'fulfilled' });
    const traces = lines().map(({ trace }) => trace);
    expect(traces).toEqual([
      expect.stringMatching(/predict\.py", line 4, in predict[\s\S]*KeyError/),
    ]);
  });

  test.each([
    [
      'an exception without a text',
      'class Mute(Exception):\n    def __str__(self): raise OSError()',
      'raise Mute()',
      'Mute: an exception whose text',
    ],
    [
      'what is no Exception',
      'class Panic(BaseException): pass',
      'raise Panic("here")',
      'Panic: here',
    ],
    ['an interrupt', '', 'raise KeyboardInterrupt()', 'KeyboardInterrupt'],
    ['a text without a form in UTF-8', '', 'return ["\\ud800"]', 'form in UTF-8'],
  ])('goes on after %s', async (_, before, act, reason) => {
    const outputs = [value('y', 'BYTES')];
    const engine = await open(
      `
${before}
def predict(inputs):
    if inputs["x"][0] == 0:
        ${act}
    return ["right"]`,
      { outputs },
    );
    const run = engine.run([floats(0)]);
    await expect(run).rejects.toMatchObject({ cause: { reader: 'log' } });
    expect(await reasonOf(run)).toContain(reason);
    const right = await engine.run([floats(1)]);
    expect(decodeStrings((right.outputs[0] as Tensor).data)).toEqual(['right']);
  });

  test.each(['fork', 'spawn'])('runs a program that uses multiprocessing by %s', async (method) => {
    const engine = await open(`
import multiprocessing
def predict(inputs):
    with multiprocessing.get_context(${JSON.stringify(method)}).Pool(2) as pool:
        return pool.map(abs, inputs["x"].tolist())`);
    expect(await numbersOf(engine, floats(-1, 2))).toEqual([1, 2]);
  });

  test.each(['SIGTERM', 'SIGINT'])(
    'runs a program whose processes get a %s when they begin',
    async (name) => {
      const engine = await open(`
import os, signal, time
def predict(inputs):
    for _ in range(50):
        child = os.fork()
        if child == 0:
            time.sleep(120)
        os.kill(child, signal.${name})
        os.waitpid(child, 0)
    return inputs["x"]`);
      expect(await numbersOf(engine, floats(3))).toEqual([3]);
    },
  );

  test('gets one answer of a program that forks and goes on twice', async () => {
    const engine = await open(`
import os
def predict(inputs):
    return inputs["x"] if os.fork() > 0 else -inputs["x"]`);
    for (let number = 1; number < 20; number++) {
      expect(await numbersOf(engine, floats(number))).toEqual([number]);
    }
  });

  test('imports modules beside a program in a folder of its own', async () => {
    const folder = writeProgram('');
    mkdirSync(path.join(folder, 'a part ö'));
    const file = path.join(folder, 'a part ö', 'program.py');
    writeFileSync(path.join(folder, 'a part ö', 'beside.py'), 'two = 2');
    writeFileSync(file, 'import beside\ndef predict(inputs): return inputs["x"] * beside.two');
    const engine = await open('', { folder, file });
    expect(await numbersOf(engine, floats(3))).toEqual([6]);
  });

  test.each(['folder', 'link to its folder'])(
    'reads a program and its modules anew from a %s, also if size and second of a file are as before',
    async (place) => {
      vi.stubEnv('PYTHONDONTWRITEBYTECODE', '');
      onTestFinished(() => {
        vi.unstubAllEnvs();
      });
      const own = writeProgram('');
      mkdirSync(path.join(own, 'inner'));
      const link = path.join(makeFolder({}), 'link');
      symlinkSync(own, link);
      const folder = place === 'folder' ? own : link;
      const files = {
        'predict.py': `
from multiprocessing import get_context
import os, pkgutil, sys
sys.path.insert(0, "")
assert "beside" in [module.name for module in pkgutil.iter_modules()]
import beside, inner.part
own = 1
def predict(inputs):
    os.chdir("inner")
    with get_context("spawn").Pool(1) as pool:
        return inputs["x"] * [own, beside.own, inner.part.own, *pool.map(beside.answer, [0])]`,
        'beside.py': 'own = 1\ndef answer(_): return own',
        'inner/part.py': 'own = 1',
      };
      const answers: number[][] = [];
      for (const number of [1, 2]) {
        for (const [name, text] of Object.entries(files)) {
          const file = path.join(folder, name);
          writeFileSync(file, text.replace('own = 1', `own = ${number}`));
          utimesSync(file, 1_700_000_000, 1_700_000_000);
        }
        const engine = await start('', { folder, file: path.join(folder, 'predict.py') });
        answers.push(await numbersOf(engine, floats(1, 1, 1, 1)));
        await engine.close();
      }
      expect(answers).toEqual([
        [1, 1, 1, 1],
        [2, 2, 2, 2],
      ]);
    },
  );

  test('logs what a program prints, in lines of bounded length', async () => {
    const { written, lines } = await makeLog();
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
    expect(await numbersOf(engine, floats(1))).toEqual([1]);
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

  test('is lost if a run hangs, and its process ends', async () => {
    const reasons: string[] = [];
    const pid = makePidFile();
    const engine = await start(
      `
import os, time
${pid.write('os.getpid()')}
def predict(inputs): time.sleep(3600)`,
      { watch: { runMsMax: 100, onLost: (reason) => reasons.push(reason) } },
    );
    await expect(engine.run([floats(1)])).rejects.toMatchObject({ name: 'EngineEnded' });
    await waitUntil('the process has ended', () => !isAlive(pid.read()));
    await engine.close();
    expect(reasons).toEqual([expect.stringContaining('runMsMax, 100 ms')]);
  });

  test('is lost with its process, whoever holds the streams of that, and takes all it has started along', async () => {
    const reasons: string[] = [];
    const [own, started] = [makePidFile(), makePidFile()];
    const engine = await start(
      `
import os, subprocess
${own.write('os.getpid()')}
${started.write('subprocess.Popen(["sleep", "3600"]).pid')}
def predict(inputs): return inputs["x"]`,
      { watch: { onLost: (reason) => reasons.push(reason) } },
    );
    expect(isAlive(started.read())).toBe(true);
    process.kill(own.read(), 'SIGKILL');
    await waitUntil('the loss is noticed', () => reasons.length > 0);
    await waitUntil('what it has started has ended', () => !isAlive(started.read()));
    expect(reasons).toEqual(['the process of the program has ended (SIGKILL)']);
    await engine.close();
  });

  test('says the exception at which a program has ended', async () => {
    const reasons: string[] = [];
    const engine = await start(
      `
import signal
def end(_, frame):
    # Once it waits for the next batch. Before that, the exception would fail this one.
    if frame.f_code.co_name == "read":
        1 / 0
    signal.setitimer(signal.ITIMER_REAL, 0.05)
def predict(inputs):
    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    return inputs["x"]`,
      { watch: { onLost: (reason) => reasons.push(reason) } },
    );
    await engine.run([floats(1)]).catch(() => {});
    await waitUntil('the process has ended', () => reasons.length > 0);
    expect(reasons[0]).toContain('has ended (1: ZeroDivisionError: division by zero)');
    await engine.close();
  });

  test('finishes its runs before it closes, and a signal to all processes ends none', async () => {
    const own = makePidFile();
    const engine = await start(`
import os, time
${own.write('os.getpid()')}
def predict(inputs):
    time.sleep(0.3)
    return inputs["x"]`);
    const pid = own.read();
    const runs = [engine.run([floats(1)]), engine.run([floats(2)])];
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGINT');
    await engine.close();
    expect((await Promise.all(runs)).length).toBe(2);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test('ends with its worker, whatever the program does, and takes all it has started along', async () => {
    const [own, started] = [makePidFile(), makePidFile()];
    const folder = writeProgram(`
import os, subprocess, time
${started.write('subprocess.Popen(["sleep", "3600"]).pid')}
${own.write('os.getpid()')}
time.sleep(3600)`);
    const module = new URL('../../worker/engine/python/python.js', import.meta.url).href;
    const options = {
      folder,
      file: path.join(folder, 'predict.py'),
      requirements: 'requirements.txt',
    };
    const rest = { kind: 'tensors', inputs: [], outputs: [], device, loadMsMax: 60_000 };
    const code = `import { openPythonEngine } from ${JSON.stringify(module)};
      const log = { info() {}, error() {} };
      await openPythonEngine(${JSON.stringify({ ...options, ...rest })}, log, {});`;
    const worker = spawn(process.execPath, ['--input-type=module', '--eval', code]);
    await waitUntil('the program runs', () => own.read() > 0);
    expect(isAlive(started.read())).toBe(true);
    worker.kill('SIGKILL');
    await waitUntil('the program has ended', () => !isAlive(own.read()));
    await waitUntil('what it has started has ended', () => !isAlive(started.read()));
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
    [
      'is killed while it loads',
      'import os, signal; os.kill(os.getpid(), 9)',
      'was killed (SIGKILL)',
    ],
    ['asks to end', 'raise SystemExit(0)', 'SystemExit'],
    ['lacks a package', 'import nobody', "'nobody'. Name its package in the requirements"],
    [
      'leaves another process behind',
      'import os, subprocess; subprocess.Popen(["sleep", "3600"]); os._exit(7)',
      'has ended (7)',
    ],
    [
      'fails beside a thread that goes on',
      'import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\nopen("none")',
      'FileNotFoundError',
    ],
    ['does not end to load', 'import time; time.sleep(3600)', 'loadMsMax, 2000 ms'],
  ])(
    'does not open a program that %s, and leaves no process behind',
    async (_, program, reason) => {
      const pid = makePidFile();
      const written = `import os\n${pid.write('os.getpid()')}\n${program}`;
      const loadMsMax = reason.startsWith('loadMsMax') ? 2000 : 60_000;
      const error = await start(written, { loadMsMax }).catch((thrown: Error) => thrown);
      expect(error).toMatchObject({
        // The system kills when memory is short, which may pass.
        code: reason.includes('SIGKILL') ? 'memory_insufficient' : 'model_file_wrong',
        message: expect.stringContaining(reason),
      });
      await waitUntil('the process has ended', () => !isAlive(pid.read()));
    },
  );
});

describe.skipIf(!hasPython)('the environment of a Python program (needs Python 3.11)', () => {
  test('is made with the settings of pip, which can hold a password and are not printed', async () => {
    const list = `# ${randomBytes(16).toString('hex')}\n`;
    const requirements = path.join(makeFolder({ 'none.txt': list }), 'none.txt');
    const env = { PIP_INDEX_URL: 'https://me:secret@index.invalid/simple' };
    const made = await runCommand('python', [requirements, 'test/executable.py'], { env });
    expect(made).toMatchObject({ code: 0, err: expect.not.stringContaining('secret') });
    rmSync(path.resolve(made.out.trim(), '../..'), { recursive: true });
  });

  const program = `
import numpy, importlib.util
def predict(inputs): return inputs["x"] * (2 if importlib.util.find_spec("own_package") else 1)`;
  const ownPackage = {
    'own/pyproject.toml':
      '[project]\nname = "own-package"\nversion = "1"\n[tool.setuptools]\npy-modules = ["own_package"]\n',
    'own/own_package.py': '',
    // The code of packages gets no secret of the worker.
    'own/setup.py':
      'import os, setuptools\nassert "REDIS_URL" not in os.environ\nsetuptools.setup()\n',
  };

  async function double(folder: string, signal?: AbortSignal): Promise<number> {
    const file = path.join(folder, 'predict.py');
    const engine = await start('', { name: 'doubler', folder, file, watch: { signal } });
    const [number] = await numbersOf(engine, floats(4));
    await engine.close();
    return number as number;
  }

  test('is made once, has what the list says, and is made again when the list changes', {
    timeout: 300_000,
  }, async () => {
    const folder = makeFolder({
      'predict.py': program,
      'requirements.txt': '',
      // Its Python is gone, as after an upgrade of the machine.
      '.venv/scoreline-packages': createHash('sha256').digest('hex'),
      ...ownPackage,
    });
    mkdirSync(path.join(folder, '.venv/bin'));
    symlinkSync('/nowhere/python', path.join(folder, '.venv/bin/python'));
    vi.stubEnv('REDIS_URL', 'redis://:secret@127.0.0.1');
    onTestFinished(() => void vi.unstubAllEnvs());
    // As the instances of a model do, three ask at the same time.
    expect(await Promise.all([double(folder), double(folder), double(folder)])).toEqual([4, 4, 4]);
    expect(readdirSync(folder).filter((name) => name.startsWith('.venv'))).toEqual(['.venv']);
    const marker = path.join(folder, '.venv', 'marker');
    writeFileSync(marker, '');
    expect(await double(folder)).toBe(4);
    expect(existsSync(marker)).toBe(true);
    writeFileSync(path.join(folder, 'requirements.txt'), '-r lists/more.txt\n');
    mkdirSync(path.join(folder, 'lists'));
    writeFileSync(path.join(folder, 'lists/more.txt'), '# none\n');
    expect(await double(folder)).toBe(4);
    expect(existsSync(marker)).toBe(false);
    writeFileSync(path.join(folder, 'lists/more.txt'), './own\n');
    expect(await double(folder)).toBe(8);
  });

  test('is made by one of several processes, also after one that was killed', {
    timeout: 180_000,
  }, async () => {
    const folder = makeFolder({
      'predict.py': program,
      'requirements.txt': './own\n',
      ...ownPackage,
      // Of a process that was killed.
      '.venv.making/environment/half': '',
    });
    const module = new URL('../../worker/engine/python/environment.js', import.meta.url).href;
    const packages = { name: 'doubler', folder, requirements: 'requirements.txt' };
    const code = `import { ensureEnvironment } from ${JSON.stringify(module)};
      const log = { info: (_, message) => console.log(message) };
      await ensureEnvironment(${JSON.stringify(packages)}, log);`;
    const execute = promisify(execFile);
    const makers = ['one', 'another', 'a third'].map(() =>
      execute(process.execPath, ['--input-type=module', '--eval', code]),
    );
    const logs = (await Promise.all(makers)).map(({ stdout }) => stdout);
    expect(logs.filter((text) => text.includes('made the Python environment'))).toHaveLength(1);
    expect(await double(folder)).toBe(8);
    expect(readdirSync(folder).filter((name) => name.startsWith('.venv'))).toEqual(['.venv']);
  });

  test('has whole packages, also if uv has left halves of them', { timeout: 120_000 }, async () => {
    const folder = path.join(makeFolder({}), '.venv');
    const execute = promisify(execFile);
    const run = async (name: string, parameters: readonly string[]) => {
      if (!name.endsWith('uv')) return (await execute(name, parameters)).stdout;
      // What uv left on a full disk.
      if (parameters[0] === 'pip') {
        const [version] = readdirSync(path.join(folder, 'lib')) as [string];
        const half = path.join(folder, 'lib', version, 'site-packages/numpy-2.4.6.dist-info');
        mkdirSync(half, { recursive: true });
        const metadata = 'Metadata-Version: 2.4\nName: numpy\nVersion: 2.4.6\n';
        writeFileSync(path.join(half, 'METADATA'), metadata);
      }
      throw new Error('No space left on device');
    };
    await makePythonEnvironment(folder, { packages: ['numpy'], base: () => 'python3', run });
    await execute(pythonIn(folder), ['-c', 'import numpy']);
  });

  test('that nobody wants any more is made no further, and leaves nothing behind', {
    timeout: 120_000,
  }, async () => {
    const folder = makeFolder({
      'predict.py': program,
      'requirements.txt': './own\n',
      ...ownPackage,
    });
    const pids = path.join(folder, 'pids');
    const setup = `import os, time\nopen(${JSON.stringify(pids)}, "a").write(f"{os.getpid()}\\n")\ntime.sleep(3600)`;
    writeFileSync(path.join(folder, 'own/setup.py'), setup);
    const readPids = () =>
      existsSync(pids) ? readFileSync(pids, 'utf8').trim().split('\n').map(Number) : [];
    const owners = [new AbortController(), new AbortController()];
    const doubled = owners.map(({ signal }) => double(folder, signal).catch(String));
    for (const [at, owner] of owners.entries()) {
      // The second waits for the first, and goes on alone.
      await waitUntil('packages are installed', () => readPids().length === at + 1);
      owner.abort('not wanted');
      expect(await doubled[at]).toBe('not wanted');
      await waitUntil('their installer has ended', () => !isAlive(readPids()[at] as number));
    }
    expect(readdirSync(folder).filter((name) => name.startsWith('.venv'))).toEqual([]);
  });

  test('that cannot be made is explained, and leaves nothing behind', {
    timeout: 120_000,
  }, async () => {
    const folder = makeFolder({ 'predict.py': program, 'requirements.txt': './nowhere\n' });
    const error = await double(folder).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'environment_failed' });
    expect(String(error)).toMatch(
      /\.venv with the packages in requirements.txt.*nowhere.*npm run models -- check doubler/s,
    );
    expect(existsSync(path.join(folder, '.venv'))).toBe(false);
  });
});
