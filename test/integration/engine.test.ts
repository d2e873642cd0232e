// Tests the engine with real ONNX models: every datatype in both directions, several inputs and
// outputs by name, and the ways in which it ends.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  checkTensor,
  type Datatype,
  datatypes,
  elementBytes,
  encodeStrings,
  type Tensor,
  toFloats,
} from '../../shared/tensors/tensors.js';
import {
  type Engine,
  EngineEnded,
  type RunResult,
  type Watch,
} from '../../worker/engine/engine.js';
import { openInstances, threadsOfCopies } from '../../worker/engine/instances.js';
import { openOnnxEngine, sharedThreads } from '../../worker/engine/onnx.js';
import { SessionThread } from '../../worker/engine/session-thread.js';
import { elementTypes, type GraphParts, node, onnxModel, sequence, value } from '../onnx.js';
import { makeFolder } from '../unit/sample-model.js';

const device = { type: 'cpu', id: 0, threads: 1, instances: 1, memoryArena: true } as const;
const automatic = { ...device, threads: 0 };
const { FP32: float } = elementTypes;

function writeModel(parts: GraphParts): string {
  const bytes = onnxModel(parts);
  return path.join(makeFolder({ 'model.onnx': bytes }), 'model.onnx');
}

async function open(file: string, watch: Partial<Watch> = {}, script?: URL): Promise<Engine> {
  const whole = { runMsMax: 60_000, onLost: () => {}, ...watch };
  const engine = await openOnnxEngine({ file, device }, whole, script);
  onTestFinished(() => engine.close());
  return engine;
}

const identity = (type: number) =>
  writeModel({
    nodes: [node('Identity', ['in'], ['out'])],
    inputs: [value('in', type, ['N', 2])],
    outputs: [value('out', type, ['N', 2])],
  });

function some(datatype: Datatype): Uint8Array {
  if (datatype === 'BYTES') return encodeStrings(['a', '', 'äö😀', 'x'.repeat(70_000)]);
  if (datatype === 'BOOL') return Uint8Array.of(1, 0, 0, 1);
  return randomBytes(4 * (elementBytes[datatype] as number));
}

describe('the engine', () => {
  test.each(datatypes)('takes and returns %s, bit by bit', async (datatype) => {
    const engine = await open(identity(elementTypes[datatype]));
    expect(engine.inputs).toMatchObject([{ name: 'in', datatype, shape: ['N', 2] }]);
    expect(engine.outputs).toMatchObject([{ name: 'out', datatype, shape: ['N', 2] }]);
    const data = some(datatype);
    const sent = Buffer.from(data);
    const { outputs, computeMs } = await engine.run([
      { name: 'in', datatype, shape: [2, 2], data },
    ]);
    const [output] = outputs as [Tensor];
    checkTensor(output);
    expect(output).toMatchObject({ name: 'out', datatype, shape: [2, 2] });
    expect(Buffer.compare(output.data, sent)).toBe(0);
    expect(computeMs).toBeGreaterThan(0);
  });

  test('takes a batch without rows', async () => {
    const engine = await open(identity(float));
    const empty = { name: 'in', datatype: 'FP32', shape: [0, 2], data: new Uint8Array() } as const;
    expect((await engine.run([empty])).outputs).toMatchObject([{ shape: [0, 2] }]);
  });

  test('does not take over memory that others use', async () => {
    const engine = await open(identity(float));
    const pool = new Uint8Array(32).fill(7);
    const data = pool.subarray(8, 24);
    await engine.run([{ name: 'in', datatype: 'FP32', shape: [2, 2], data }]);
    expect(pool).toEqual(new Uint8Array(32).fill(7));
  });

  test('takes several inputs by name, and returns the outputs asked for', async () => {
    const engine = await open(
      writeModel({
        nodes: [
          node('Add', ['__proto__', 'b'], ['sum']),
          node('Sub', ['__proto__', 'b'], ['difference']),
        ],
        inputs: [value('__proto__', float, ['N']), value('b', float, ['N'])],
        outputs: [value('sum', float, ['N']), value('difference', float, ['N'])],
      }),
    );
    const floats = (name: string, ...numbers: number[]): Tensor => ({
      name,
      datatype: 'FP32',
      shape: [numbers.length],
      data: new Uint8Array(Float32Array.from(numbers).buffer),
    });
    const inputs = () => [floats('b', 1, 2), floats('__proto__', 10, 20)];
    const numbers = (outputs: readonly Tensor[]) =>
      outputs.map((output) => [output.name, ...toFloats(output)]);
    expect(numbers((await engine.run(inputs())).outputs)).toEqual([
      ['sum', 11, 22],
      ['difference', 9, 18],
    ]);
    expect(numbers((await engine.run(inputs(), ['difference'])).outputs)).toEqual([
      ['difference', 9, 18],
    ]);
  });

  test('says which outputs are not tensors, and returns the others', async () => {
    const engine = await open(
      writeModel({
        nodes: [node('Identity', ['in'], ['out']), node('SequenceConstruct', ['in'], ['list'])],
        inputs: [value('in', float, ['N'])],
        outputs: [sequence('list', float), value('out', float, ['N'])],
      }),
    );
    expect(engine.outputs.map(({ name, datatype }) => [name, datatype])).toEqual([
      ['list', undefined],
      ['out', 'FP32'],
    ]);
    const data = new Uint8Array(4);
    const ran = await engine.run([{ name: 'in', datatype: 'FP32', shape: [1], data }]);
    expect(ran.outputs.map(({ name }) => name)).toEqual(['out']);
  });

  test('fails on inputs that the model does not take, and goes on', async () => {
    const engine = await open(identity(float));
    const run = (shape: number[], name = 'in') =>
      engine.run([{ name, datatype: 'FP32', shape, data: new Uint8Array(16) }]);
    await expect(run([4])).rejects.toMatchObject({ code: 'model_failed' });
    await expect(run([2, 2], 'other')).rejects.toMatchObject({ code: 'model_failed' });
    expect((await run([2, 2])).outputs).toHaveLength(1);
  });

  test('refuses a file that is not a model', async () => {
    const file = path.join(makeFolder({ 'model.onnx': 'no model' }), 'model.onnx');
    await expect(open(file)).rejects.toMatchObject({ code: 'model_file_wrong' });
  });
});

describe('a device that ONNX Runtime cannot use here', () => {
  // Scoreline runs on Linux and macOS, where there is no DirectML.
  const dml = { ...device, type: 'dml' } as const;
  const watch = { runMsMax: 60_000, onLost: () => {} };

  test('is refused, with what to do', async () => {
    const opening = openOnnxEngine({ file: identity(float), device: dml }, watch);
    await expect(opening).rejects.toMatchObject({ code: 'provider_unavailable' });
    await expect(opening).rejects.toThrow('{ type: dml, fallback: cpu }');
  });

  test('gives way to the fallback that the manifest allows, which the engine says', async () => {
    const whole = { file: identity(float), device: { ...dml, fallback: 'cpu' as const } };
    const engine = await openOnnxEngine(whole, watch);
    onTestFinished(() => engine.close());
    expect(engine.device.type).toBe('cpu');
    expect(engine.device.reason).toMatch(/cannot use dml here.* ONNX Runtime says: ./);
    const data = new Uint8Array(8);
    const { outputs } = await engine.run([{ name: 'in', datatype: 'FP32', shape: [1, 2], data }]);
    expect(outputs).toHaveLength(1);
  });

  test('does not hide a file that is no model', async () => {
    const file = path.join(makeFolder({ 'model.onnx': 'no network' }), 'model.onnx');
    const opening = openOnnxEngine({ file, device: { ...dml, fallback: 'cpu' } }, watch);
    await expect(opening).rejects.toMatchObject({ code: 'model_file_wrong' });
  });

  test.each(['webgpu', 'coreml', 'cuda', 'tensorrt'] as const)(
    'is never %s because of an option that it does not know',
    async (type) => {
      const reason = await openOnnxEngine(
        { file: identity(float), device: { ...device, type } },
        watch,
      )
        .then((engine) => engine.close())
        .catch((error) => error.message);
      expect(reason ?? '').not.toContain('unrecognized option');
    },
  );
});

describe('an engine whose thread ends by itself', () => {
  test('reports it before any run is rejected, and never as a failure of the model', async () => {
    const events: string[] = [];
    // Like a thread that runs out of memory, it loads and then ends at its first run.
    const script = new URL('./ending-thread.js', import.meta.url);
    const onLost = (reason: string) => void events.push(`lost: ${reason}`);
    const engine = await open('nowhere', { onLost }, script);
    const runs = [1, 2].map((run) =>
      engine.run([]).catch((error) => void events.push(`${run}: ${error.name}`)),
    );
    await Promise.all(runs);
    expect(events).toEqual([
      'lost: The engine thread has ended.',
      '1: EngineEnded',
      '2: EngineEnded',
    ]);
    await expect(engine.run([])).rejects.toMatchObject({ name: 'EngineEnded' });
    await engine.close();
    expect(events.filter((event) => event.startsWith('lost'))).toHaveLength(1);
  });

  test('is not reported as lost after `close`', async () => {
    const events: string[] = [];
    const engine = await open(identity(float), { onLost: (reason) => void events.push(reason) });
    await engine.close();
    await engine.close();
    expect(events).toEqual([]);
  });
});

describe('a thread with several engines', () => {
  const watch = { runMsMax: 60_000, onLost: () => {} };
  const options = { file: '', device };
  const inputOf = (number: number, name = 'in'): Tensor[] => [
    {
      name,
      datatype: 'FP32',
      shape: [1, 2],
      data: new Uint8Array(Float32Array.of(number, -number).buffer),
    },
  ];
  const numbersOf = ({ outputs }: RunResult) => outputs.flatMap((output) => [...toFloats(output)]);
  const negation = () =>
    writeModel({
      nodes: [node('Neg', ['in'], ['out'])],
      inputs: [value('in', float, ['N', 2])],
      outputs: [value('out', float, ['N', 2])],
    });

  test('runs each by its own network, whichever others come and go', async () => {
    const thread = new SessionThread(
      new URL('../../worker/engine/engine-thread.js', import.meta.url),
    );
    const openOn = async (file: string) => (await thread.open({ ...options, file }, watch)).engine;
    const same = await openOn(identity(float));
    const [negative, refused] = await Promise.allSettled([openOn(negation()), openOn('nowhere')]);
    expect(refused).toMatchObject({ status: 'rejected', reason: { name: 'SessionRefused' } });
    const other = (negative as PromiseFulfilledResult<typeof same>).value;
    const ran = await Promise.all(
      [1, 2, 3].flatMap((number) => [same, other].map((engine) => engine.run(inputOf(number)))),
    );
    expect(ran.map(numbersOf)).toEqual([
      [1, -1],
      [-1, 1],
      [2, -2],
      [-2, 2],
      [3, -3],
      [-3, 3],
    ]);
    await expect(same.run(inputOf(1, 'wrong'))).rejects.toMatchObject({ code: 'model_failed' });
    const late = other.run(inputOf(4));
    await other.close();
    expect(numbersOf(await late)).toEqual([-4, 4]);
    await expect(other.run(inputOf(1))).rejects.toMatchObject({ name: 'EngineEnded' });
    expect(numbersOf(await same.run(inputOf(5)))).toEqual([5, -5]);
    await Promise.all([same.close(), other.close()]);
    expect(thread.sessions).toBe(0);
  });

  test('tells the owners of all before it rejects a run', async () => {
    const events: string[] = [];
    const thread = new SessionThread(new URL('./ending-thread.js', import.meta.url));
    const openOn = (name: string) =>
      thread.open(options, { ...watch, onLost: () => void events.push(`lost: ${name}`) });
    const [one] = [await openOn('one'), await openOn('two')];
    await one.engine.run([]).catch(({ name }) => events.push(name));
    expect(events).toEqual(['lost: one', 'lost: two', 'EngineEnded']);
  });

  // ONNX Runtime does not survive the end of a thread that is inside of it, and takes the process along. When exactly the
  // last session closes decides whether the thread is, so it closes a little later each time.
  test('may lose its last session while it releases others', async () => {
    const script = new URL('../../worker/engine/engine-thread.js', import.meta.url);
    const file = identity(float);
    for (let turns = 1; turns <= 16; turns++) {
      const thread = new SessionThread(script);
      const openings = Array.from({ length: 100 }, () => thread.open({ ...options, file }, watch));
      const [last, ...others] = await Promise.all(openings);
      const closed = others.map(({ engine }) => engine.close());
      for (let turn = 0; turn < turns; turn++) await turnOfLoop();
      await Promise.all([...closed, last?.engine.close()]);
      expect(thread.sessions).toBe(0);
    }
  });

  test.skipIf(process.platform !== 'linux')(
    'is shared when there are many, and ends with the last of them',
    async () => {
      const countThreads = () => readdirSync('/proc/self/task').length;
      const file = identity(float);
      const before = countThreads();
      const engines = await Promise.all(
        Array.from({ length: 4 * sharedThreads }, () => open(file)),
      );
      // A thread of Node, and what ONNX Runtime and V8 have beside it.
      expect(countThreads() - before).toBeLessThan(3 * sharedThreads);
      const ran = await Promise.all(engines.map((engine, at) => engine.run(inputOf(at))));
      expect(ran.map(numbersOf)).toEqual(engines.map((_, at) => [at, -at]));
      // The others would wait for the load of a large model, and for its runs.
      const threads = countThreads();
      const openOne = (bytes: number) => openOnnxEngine({ file, device, bytes }, watch);
      engines.push(await openOne(1_000_000));
      expect(countThreads()).toBe(threads);
      engines.push(await openOne(10_000_000));
      expect(countThreads()).toBeGreaterThan(threads);
      await Promise.all(engines.map((engine) => engine.close()));
      await expect.poll(countThreads).toBeLessThan(before + sharedThreads);
    },
  );
});

test('ONNX Runtime reports nothing to its maker, and keeps no identifier of the machine', () => {
  const home = makeFolder({});
  const file = identity(float);
  const script = `
    const { openOnnxEngine } = await import(${JSON.stringify(new URL('../../worker/engine/onnx.js', import.meta.url))});
    const watch = { runMsMax: 60_000, onLost() {} };
    const engine = await openOnnxEngine(${JSON.stringify({ file, device })}, watch);
    await engine.close();`;
  // ONNX Runtime is quiet in continuous integration, which it recognises by such variables.
  const { PATH } = process.env;
  const program = path.join(makeFolder({ 'load.mjs': script }), 'load.mjs');
  const { status, stderr } = spawnSync(process.execPath, [program], {
    cwd: home,
    env: { PATH, HOME: home },
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(readdirSync(home)).toEqual([]);
});

describe('several instances', () => {
  const inputs = (value: number): Tensor[] => [
    {
      name: 'in',
      datatype: 'FP32',
      shape: [1, 2],
      data: new Uint8Array(new Float32Array([value, value]).buffer),
    },
  ];
  const firstOf = ({ outputs: [output] }: RunResult) =>
    new Float32Array(Uint8Array.from((output as Tensor).data).buffer)[0];

  test('share the runs that are under way, and answer each with its own result', async () => {
    const file = identity(float);
    const runs: number[] = [];
    const engine = await openInstances([1, 1, 1], async () => {
      const one = await open(file);
      const number = runs.push(0) - 1;
      return {
        ...one,
        run: (batch, names) => {
          runs[number] = (runs[number] as number) + 1;
          return one.run(batch, names);
        },
      };
    });
    const values = Array.from({ length: 12 }, (_, at) => at);
    const results = await Promise.all(values.map((value) => engine.run(inputs(value))));
    expect(results.map(firstOf)).toEqual(values);
    expect(runs).toEqual([4, 4, 4]);
    await engine.run(inputs(1));
    await engine.run(inputs(1));
    expect(Math.max(...runs)).toBe(6);
  });

  test('have a copy for runs that start alone, and share the cores side by side', () => {
    const copies = (device: object, cores: number, engine: 'onnx' | 'python' = 'onnx') =>
      threadsOfCopies({ engine, device: { ...automatic, ...device } }, cores);
    expect(copies({ instances: 2 }, 2)).toEqual([0, 1, 1]);
    expect(copies({ instances: 2 }, 8)).toEqual([0, 4, 4]);
    expect(copies({ instances: 3 }, 8)).toEqual([0, 2, 2, 2]);
    expect(copies({ instances: 4 }, 2)).toEqual([0, 1, 1, 1, 1]);
    // What would be the same, or somebody has chosen.
    expect(copies({ instances: 1 }, 8)).toEqual([0]);
    expect(copies({ instances: 2 }, 1)).toEqual([0, 0]);
    expect(copies({ instances: 2, threads: 3 }, 8)).toEqual([3, 3]);
    expect(copies({ instances: 2, type: 'cuda' }, 8)).toEqual([0, 0]);
    expect(copies({ instances: 2 }, 8, 'python')).toEqual([0, 0]);
  });

  test('leave the copy with more threads to runs that start alone', async () => {
    const file = identity(float);
    const runs: Record<string, number> = {};
    let copies = 0;
    const engine = await openInstances([2, 1, 1], async (threads) => {
      const name = `${threads}-${copies++}`;
      runs[name] = 0;
      const one = await open(file);
      return {
        ...one,
        run: (batch, names) => {
          runs[name] = (runs[name] as number) + 1;
          return one.run(batch, names);
        },
      };
    });
    for (const value of [1, 2, 3]) {
      expect(firstOf(await engine.run(inputs(value)))).toBe(value);
    }
    expect(Object.values(runs)).toEqual([3, 0, 0]);
    const values = Array.from({ length: 9 }, (_, at) => at);
    const results = await Promise.all(values.map((value) => engine.run(inputs(value))));
    expect(results.map(firstOf)).toEqual(values);
    expect(Object.values(runs)).toEqual([4, 4, 4]);
  });

  test('end together, and leave none behind if one cannot be opened', async () => {
    const file = identity(float);
    const opened: Engine[] = [];
    const keep = async () => {
      const engine = await open(file);
      opened.push(engine);
      return engine;
    };
    const engine = await openInstances([1, 1], keep);
    await engine.close();
    let calls = 0;
    const second = openInstances([1, 1], () =>
      ++calls === 2 ? Promise.reject(new Error('no memory')) : keep(),
    );
    await expect(second).rejects.toThrow('no memory');
    expect(opened).toHaveLength(3);
    for (const each of opened) await expect(each.run(inputs(1))).rejects.toThrow(EngineEnded);
  });
});
