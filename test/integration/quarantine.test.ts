// Tests the quarantine with real processes that cannot be started, do not load, or end.

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makeLogger } from '../../shared/process/log.js';
import { type Model, readModels } from '../../shared/registry/models.js';
import { mapScores } from '../../shared/tensors/scores.js';
import { textInputs } from '../../worker/batch/inputs/sample.js';
import { openScorer } from '../../worker/batch/scorer.js';
import { makeCells } from '../../worker/quarantine/cells.js';
import { type Cell, loadLimit, makeQuarantine } from '../../worker/quarantine/quarantine.js';
import { makeTrial } from '../../worker/quarantine/trial.js';
import { addCounter, counterName, hangsForever, writeCounter } from '../failures/counter.js';
import { readModel, waitUntil } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });

/** Writes a version of the counter with this activation, into a folder of a folder of models. */
function addVersion(directory: string, place: string, version: string, activation: string) {
  const folder = path.join(directory, counterName, place);
  writeCounter(folder, { version, letter: 'd' });
  const file = path.join(folder, 'model.yaml');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  const output = { ...manifest.output, activation };
  writeFileSync(file, JSON.stringify({ ...manifest, output }));
}

function counterModel(runMsMax = 60_000): Model {
  const directory = makeFolder({});
  addCounter(directory, { runMsMax });
  return readModel(counterName, directory);
}

/** Opens a quarantine whose processes come from `start`. */
function open(options: {
  start?: () => ChildProcess;
  loadMsMax?: number;
  runMsMax?: number;
  model?: Model;
}) {
  const { start, loadMsMax, runMsMax, model = counterModel(runMsMax) } = options;
  const cells = makeCells({ log, ...(start && { start }) });
  const quarantine = makeQuarantine({
    model,
    cells,
    log,
    ...(loadMsMax !== undefined && { loadMsMax }),
  });
  onTestFinished(() => {
    quarantine.close();
    cells.close();
  });
  return { cells, quarantine };
}

const ask = (text: string) => ({ inputs: textInputs(text), top: 1 });
const scoreOne = (cell: Cell, text: string) => cell.score([ask(text)]);
const real = () =>
  fork(new URL('../../worker/quarantine/main.js', import.meta.url), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
/** The system reports later that it cannot start this one, as without free file descriptors. */
const unstartable = () => fork('nothing.js', [], { cwd: '/nowhere' });
const idle = () => fork(new URL('./idle-process.js', import.meta.url), [], { stdio: 'ignore' });
const isRunning = ({ pid }: ChildProcess) => {
  try {
    process.kill(pid as number, 0);
    return true;
  } catch {
    return false;
  }
};

describe('a quarantine', () => {
  test('scores, and identifies an input that ends its process', async () => {
    const processes: ChildProcess[] = [];
    const start = () => processes[processes.push(real()) - 1] as ChildProcess;
    const { quarantine } = open({ start, runMsMax: 3000 });
    await quarantine.inTurn(async (cell) => {
      await cell.open();
      // Short memory must end this process, and not the worker.
      const score = `/proc/${processes[0]?.pid}/oom_score_adj`;
      if (existsSync(score)) expect(readFileSync(score, 'utf8')).toBe('1000\n');
      const [scored] = (await scoreOne(cell, '5')) ?? [];
      if (!scored || 'error' in scored) throw new Error('Expected an answer.');
      expect(mapScores(scored.outputs, (label) => label)).toEqual([5]);
      expect(await scoreOne(cell, hangsForever)).toBeUndefined();
      expect(await scoreOne(cell, '6')).toHaveLength(1);
    });
  });

  test.each([
    ['in the folder of its model', [['', '1', 'none']]],
    ['in a folder of its own', [['1', '1', 'none']]],
    [
      'in the folder of its model, with another version inside',
      [
        ['', '1', 'none'],
        ['2', '2', 'softmax'],
      ],
    ],
    [
      'beside another',
      [
        ['1', '1', 'none'],
        ['2', '2', 'softmax'],
      ],
    ],
  ] as [string, [string, string, string][]][])(
    'scores with the version that its worker has, %s',
    async (_, versions) => {
      const directory = makeFolder({});
      for (const version of versions) addVersion(directory, ...version);
      const models = readModels({ directory, filesNeeded: true });
      expect(models).toHaveLength(versions.length);
      for (const model of models) {
        const scorer = await openScorer(model, log);
        onTestFinished(() => scorer.close());
        const { results } = await scorer.score([ask('5')]);
        const { quarantine } = open({ model });
        const scored = await quarantine.inTurn((cell) => scoreOne(cell, '5'));
        expect(scored).toEqual(results);
        expect(scored).toMatchObject([{ outputs: expect.anything() }]);
      }
    },
  );

  test('scores with the manifest that its worker has read, whatever it says now', async () => {
    const directory = makeFolder({});
    addVersion(directory, '', '1', 'none');
    const [model] = readModels({ directory, filesNeeded: true }) as [Model];
    const ofModel = open({ model });
    const before = await ofModel.quarantine.inTurn((cell) => scoreOne(cell, '5'));
    addVersion(directory, '', '1', 'softmax');
    const { quarantine } = open({ model });
    expect(await quarantine.inTurn((cell) => scoreOne(cell, '5'))).toEqual(before);
  });

  test('scores with no other file than that of its worker, and blames no input', async () => {
    const model = counterModel();
    writeFileSync(model.file, 'another network');
    const { quarantine } = open({ model });
    await expect(quarantine.inTurn((cell) => scoreOne(cell, '5'))).rejects.toMatchObject({
      name: 'NoCell',
      message: expect.stringMatching(/counter: .*model\.onnx: expected \d+ bytes with SHA-256/),
    });
  });

  test.each([
    ['fails to start later', unstartable],
    [
      'fails to start at once',
      () => {
        throw Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' });
      },
    ],
    ['ends before it has loaded the model', () => fork('nothing.js', [], { stdio: 'ignore' })],
  ])('whose process %s blames no input, and tries again', async (_, fail) => {
    let starts = 0;
    const { quarantine } = open({ start: () => (++starts <= 3 ? fail() : real()) });
    await quarantine.inTurn(async (cell) => {
      await expect(cell.open()).rejects.toMatchObject({ name: 'NoCell' });
      await expect(scoreOne(cell, '5')).rejects.toMatchObject({ name: 'NoCell' });
    });
    await waitUntil('a process scores', async () => {
      const scored = await quarantine.inTurn((cell) => scoreOne(cell, '5').catch(() => undefined));
      return scored?.length === 1;
    });
  });

  test.each([
    ['later', unstartable],
    [
      'at once',
      () => {
        throw Object.assign(new Error('spawn EMFILE'), { code: 'EMFILE' });
      },
    ],
  ])('says so if its spare process fails to start %s, and the worker goes on', async (_, fail) => {
    const logged: string[] = [];
    const cells = makeCells({
      log: pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) }),
      start: fail,
    });
    onTestFinished(() => cells.close());
    // An error without a listener would be an uncaught exception, which fails the test run.
    await waitUntil('it is logged', () => logged.length > 0);
    expect(logged.join('')).toContain('no process for the quarantine can be started');
  });

  test('kills a process that does not load the model in time, and blames no input', async () => {
    const processes: ChildProcess[] = [];
    const start = () => {
      const child = processes.length < 2 ? idle() : real();
      processes.push(child);
      return child;
    };
    const { quarantine } = open({ start, loadMsMax: 200 });
    await quarantine.inTurn(async (cell) => {
      await expect(cell.open()).rejects.toMatchObject({
        name: 'NoCell',
        message: expect.stringContaining('200 ms'),
      });
    });
    const [first] = processes as [ChildProcess];
    await waitUntil('the process has ended', () => !isRunning(first));
  });

  test('kills its process if it is closed during the load', async () => {
    const processes: ChildProcess[] = [];
    const { quarantine, cells } = open({
      start: () => {
        processes.push(idle());
        return processes.at(-1) as ChildProcess;
      },
    });
    const opening = quarantine.inTurn((cell) => cell.open());
    const isRejected = expect(opening).rejects.toMatchObject({ name: 'NoCell' });
    await waitUntil('a process was started', () => processes.length > 0);
    await new Promise((resolve) => setImmediate(resolve));
    quarantine.close();
    cells.close();
    await isRejected;
    await waitUntil('all processes have ended', () =>
      processes.every((child) => !isRunning(child)),
    );
  });

  test('blames no input if it is closed during its run, and starts no other process', async () => {
    const processes: ChildProcess[] = [];
    const { quarantine } = open({
      start: () => {
        processes.push(real());
        return processes.at(-1) as ChildProcess;
      },
    });
    await quarantine.inTurn(async (cell) => {
      await cell.open();
      const scoring = expect(scoreOne(cell, hangsForever)).rejects.toMatchObject({
        name: 'NoCell',
      });
      quarantine.close();
      await scoring;
      await expect(cell.open()).rejects.toMatchObject({ name: 'NoCell' });
    });
    expect(processes).toHaveLength(1);
  });

  test('allows five times the worker’s load time, and at least 15 s', () => {
    expect(loadLimit(100)).toBe(15_000);
    expect(loadLimit(20_000)).toBe(100_000);
  });
});

test('a trial whose process is killed, as when memory is short, does not blame the model', async () => {
  const start = () => {
    const child = real();
    // By then it has been sent the model.
    child.once('spawn', () => child.kill('SIGKILL'));
    return child;
  };
  await expect(makeTrial(start)(counterModel())).rejects.toMatchObject({
    code: 'memory_insufficient',
    message: expect.stringContaining('ended (SIGKILL)'),
  });
});
