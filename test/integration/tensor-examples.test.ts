// Tests the examples of models of tensors: the warm-up and the check use them. Without one, the sample is ones, and
// a network that crashes or never ends on those must not take its worker along.

import { renameSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { checkModel } from '../../cli/models/check.js';
import { makeLogger } from '../../shared/process/log.js';
import { type Model, readModels } from '../../shared/registry/models.js';
import { openScorer } from '../../worker/batch/scorer.js';
import { makeRehearse } from '../../worker/quarantine/rehearsal.js';
import { type Add, addCrash, addHang } from '../breaking-network.js';
import { bigints, elementTypes, node, tensor } from '../onnx.js';
import { environmentOfTests, hasPython } from '../python.js';
import { addAdder, addTensorModel, declared } from '../tensor-model.js';
import { makeFolder } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });
const { INT64: int64 } = elementTypes;

function read(add: Add, changes: Record<string, unknown> = {}): Model {
  const directory = makeFolder({});
  add(directory, changes);
  const [model] = readModels({ directory, filesNeeded: true });
  return model as Model;
}

/** Reads a model of tensors that is a program, without an example. */
function readProgram(program: string): Model {
  const manifest = {
    ...{ name: 'model', version: '1', description: 'A program.', engine: 'python' },
    ...{ input: { kind: 'tensors' }, output: { kind: 'tensors' } },
    network: { inputs: [declared('x', 'FP32', [-1])], outputs: [declared('y', 'FP32', [-1])] },
  };
  const directory = makeFolder({
    'model/predict.py': program,
    'model/requirements.txt': '',
    'model/model.yaml': JSON.stringify(manifest),
  });
  symlinkSync(environmentOfTests(), path.join(directory, 'model/.venv'));
  const [model] = readModels({ directory, filesNeeded: true });
  return model as Model;
}

async function warningOf(model: Model, leastLoadMs?: number) {
  const scorer = await openScorer(model, log, { rehearse: makeRehearse(leastLoadMs) });
  onTestFinished(() => scorer.close());
  return scorer.warning;
}

const ints = (name: string, ...data: number[]) => ({ name, shape: [1], data });

describe('a network that breaks on ones', () => {
  test.each([
    ['ends its process', addCrash, [ints('in', 3)]],
    ['never ends', addHang, [ints('in', 0)]],
  ] as const)('because it %s is not warmed up without an example', async (_how, add, inputs) => {
    const warning = await warningOf(read(add, { runMsMax: 500 }));
    expect(warning).toContain('it crashed or did not end. It was not warmed up.');
    expect(warning).toContain('Give its manifest an example.');
    expect(await warningOf(read(add, { example: { inputs } }))).toBeUndefined();
  });

  test('is found in each version, and another one is warmed up', async () => {
    const directory = makeFolder({});
    const inner = path.join(directory, 'adder');
    addAdder(directory);
    addAdder(inner, '2', { name: 'adder', version: '2' });
    addCrash(inner, { name: 'adder', version: '3' });
    renameSync(path.join(inner, 'model'), path.join(inner, '3'));
    const warnings = new Map<string, string | undefined>();
    for (const model of readModels({ directory, filesNeeded: true })) {
      warnings.set(model.version, await warningOf(model));
    }
    expect(warnings).toEqual(
      new Map([
        ['3', expect.stringContaining('it crashed or did not end')],
        ['2', undefined],
        ['1', undefined],
      ]),
    );
  });

  test('is not blamed if there is no process to try it', async () => {
    const model = read((directory) => addAdder(directory));
    const scorer = await openScorer(model, log, {
      rehearse: async () => new Error('There are no descriptors left.'),
    });
    onTestFinished(() => scorer.close());
    expect(scorer.warning).toContain('it could not be tried in a process of its own');
    expect(scorer.warning).toContain('There are no descriptors left.');
  });

  test('because it throws is not warmed up either', async () => {
    const model = read((directory, changes) =>
      addTensorModel(directory, {
        name: 'model',
        nodes: [node('Reshape', ['a', 'shape'], ['b'])],
        constants: [tensor('shape', int64, [1], bigints([7n]))],
        network: { inputs: [declared('a', 'FP32', [-1])], outputs: [declared('b', 'FP32', [7])] },
        changes,
      }),
    );
    expect(await warningOf(model)).toMatch(
      /says: .*\. Its sample is ones and empty texts, which it may not take, so it was not warmed up/s,
    );
  });
});

test.skipIf(!hasPython)(
  'a program that takes long to load is tried as patiently as it was loaded',
  async () => {
    const model = readProgram(
      'import time\ndef load():\n    time.sleep(1)\ndef predict(inputs):\n    return {"y": inputs["x"]}\n',
    );
    expect(await warningOf(model, 1)).toBeUndefined();
  },
);

describe('the check of an example of tensors', () => {
  const row = (name: string, ...data: unknown[]) => ({ name, shape: [1, data.length], data });
  const inputs = [row('a', 1, 2), row('b', 10, 'NaN')];
  const check = async (example: Record<string, unknown>) => {
    const lines: string[] = [];
    const model = read((directory, changes) => addAdder(directory, 'adder', changes), { example });
    await checkModel(model, (line) => lines.push(line));
    return lines.at(-1);
  };

  test('compares the outputs that it names', async () => {
    const outputs = [row('negated', -1, -2), row('sum', 11.0005, 'NaN')];
    expect(await check({ inputs, outputs })).toBe('  example    negated, sum as expected');
  });

  test('says what is answered if it names none', async () => {
    expect(await check({ inputs })).toMatch(
      /^ {2}example {4}answered with "sum" of FP32\[1,2\], "negated" of FP32\[1,2\]; no outputs/,
    );
  });

  test.each([
    [row('negated', -1, -3), 'adder: example: negated: expected -3 ± 0.001 at index 1; got -2'],
    [row('sum', 11, 0), 'adder: example: sum: expected 0 ± 0.001 at index 1; got NaN'],
    [row('sum', 11), 'adder: example: sum: expected the shape [1,1]; got [1,2]'],
  ])('fails for other outputs', async (output, message) => {
    await expect(check({ inputs, outputs: [output] })).rejects.toMatchObject({
      code: 'model_file_wrong',
      message,
    });
  });

  test.each([
    [{ inputs: inputs.slice(1) }, 'example.inputs: expected "a" of FP32[-1,-1], too'],
    [{ inputs: [...inputs, row('a', 1, 2)] }, 'example.inputs: expected each name once'],
    [{ inputs: [row('a', 'x', 2), row('b', 1, 2)] }, 'example.inputs.0: Expected each element'],
    [{ inputs: [row('c', 1, 2)] }, 'example.inputs.0: expected one of "a" of FP32[-1,-1]'],
    [{ inputs: [{ ...row('a', 1, 2), shape: [2] }] }, 'example.inputs.0: expected "a" of FP32'],
    [{ inputs: [{ ...row('a', 1, 2), shape: [2, 1] }] }, 'example.inputs: expected one row'],
    [{ inputs: [{ ...row('a', 1), shape: [1, -1] }] }, 'example.inputs.0.shape.1'],
    [{ inputs, outputs: [row('product', 1)] }, 'example.outputs.0: expected one of "sum"'],
    [{ input: 'x', expected: { label: 'y' } }, 'example: expected inputs, since its input is'],
  ])('needs an example that fits the network: %j', async (example, words) => {
    await expect(check(example)).rejects.toThrow(words);
  });
});
