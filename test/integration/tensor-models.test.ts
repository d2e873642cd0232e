// Tests models of the kind tensors in the worker: several inputs and outputs, every datatype, a
// dimension that varies, no batch dimension, and what the manifest declares of the network.

import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import { wishWithoutClasses } from '../../api/http/parameters/parameters.js';
import { readValue } from '../../api/kinds/regression.js';
import { ownTensors } from '../../shared/manifest/heads.js';
import { makeLogger } from '../../shared/process/log.js';
import {
  type Datatype,
  datatypes,
  elementBytes,
  encodeStrings,
  type Tensor,
  toFloats,
} from '../../shared/tensors/tensors.js';
import { openScorer, type Scored } from '../../worker/batch/scorer.js';
import { checkIn } from '../check-model.js';
import { readModel } from '../harness.js';
import { elementTypes, integer, integers, node, tensor } from '../onnx.js';
import { addAdder, addEcho, addTensorModel, declared } from '../tensor-model.js';
import { makeFolder } from '../unit/sample-model.js';

const log = makeLogger({ role: 'test', level: 'silent' });

async function open(directory: string, name: string, to = log) {
  const model = readModel(name, directory);
  const scorer = await openScorer(model, to);
  onTestFinished(() => scorer.close());
  return scorer;
}

function floats(name: string, shape: number[], ...numbers: number[]): Tensor {
  const data = new Uint8Array(Float32Array.from(numbers).buffer);
  return { name, datatype: 'FP32', shape, data };
}

const outcome = (scored: Scored | undefined) => {
  if (!scored) return undefined;
  if ('error' in scored) return `${scored.error.code}: ${scored.error.detail}`;
  return scored.outputs.map((output) => [output.name, output.shape, ...toFloats(output)]);
};

function some(datatype: Datatype): Uint8Array {
  if (datatype === 'BYTES') return encodeStrings(['a', 'äö😀']);
  const bytes = 2 * (elementBytes[datatype] as number);
  return Uint8Array.from({ length: bytes }, (_, at) => (datatype === 'BOOL' ? at % 2 : 17 * at));
}

describe('a model of tensors', () => {
  test('takes several inputs in any order, and answers with the outputs asked for', async () => {
    const directory = makeFolder({});
    addAdder(directory);
    const scorer = await open(directory, 'adder');
    const a = floats('a', [1, 2], 1, 2);
    const { results } = await scorer.score([
      { inputs: [a, floats('b', [1, 2], 10, 20)] },
      {
        inputs: [floats('b', [2, 2], 1, 1, 1, 1), floats('a', [2, 2], 1, 2, 3, 4)],
        outputs: ['sum'],
      },
    ]);
    expect(results.map(outcome)).toEqual([
      [
        ['sum', [1, 2], 11, 22],
        ['negated', [1, 2], -1, -2],
      ],
      [['sum', [2, 2], 2, 3, 4, 5]],
    ]);
  });

  test('takes any size where a dimension varies', async () => {
    const directory = makeFolder({});
    addAdder(directory);
    const scorer = await open(directory, 'adder');
    for (const size of [0, 1, 7]) {
      const numbers = Array.from({ length: size }, (_, at) => at);
      const inputs = [floats('a', [1, size], ...numbers), floats('b', [1, size], ...numbers)];
      const { results } = await scorer.score([{ inputs, outputs: ['sum'] }]);
      expect(results.map(outcome)).toEqual([
        [['sum', [1, size], ...numbers.map((number) => 2 * number)]],
      ]);
    }
  });

  test.each([
    ['another datatype', { datatype: 'INT32' as const }, 'Expected "a" of FP32[d0,d1]; got "a" of'],
    ['another number of dimensions', { shape: [2] }, 'got "a" of FP32[2].'],
    ['another name', { name: 'c' }, 'Expected the inputs "a" of FP32[d0,d1], "b" of FP32[d0,d1]'],
  ])('refuses an item with %s, and scores its neighbour', async (_what, change, words) => {
    const directory = makeFolder({});
    addAdder(directory);
    const scorer = await open(directory, 'adder');
    const [a, b] = [floats('a', [1, 2], 1, 2), floats('b', [1, 2], 3, 4)];
    const { results } = await scorer.score([
      { inputs: [{ ...a, ...change }, b], outputs: ['sum'] },
      { inputs: [a, b], outputs: ['sum'] },
      { inputs: [a, b], outputs: ['product'] },
    ]);
    const [wrong, right, unknown] = results.map(outcome);
    expect(wrong).toMatch(/^tensor_invalid: Expected /);
    expect(wrong).toContain(words);
    expect(right).toEqual([['sum', [1, 2], 4, 6]]);
    expect(unknown).toMatch(/^tensor_invalid: Expected an output that the model has/);
  });

  test.each(datatypes)(
    'takes and returns %s, with and without a batch dimension',
    async (datatype) => {
      for (const [shape, batch] of [
        [[-1, 2], { max: 4 }],
        [[-1], 'none'],
      ] as const) {
        const directory = makeFolder({});
        const name = addEcho(directory, datatype, { shape: [...shape], changes: { batch } });
        const scorer = await open(directory, name);
        expect(scorer.warning).toBeUndefined();
        const given = { datatype, shape: batch === 'none' ? [2] : [1, 2], data: some(datatype) };
        const { results } = await scorer.score([{ inputs: [{ ...given, name: 'in' }] }]);
        const [result] = results as [Extract<Scored, { outputs: unknown }>];
        expect(result.outputs).toMatchObject([{ name: 'out', datatype, shape: given.shape }]);
        expect(Buffer.compare(result.outputs[0]?.data as Uint8Array, given.data)).toBe(0);
      }
    },
  );
});

test.each(['INT32', 'UINT64'] as const)(
  'a model that divides by its input, %s, is warmed up without a division by 0',
  async (datatype) => {
    const directory = makeFolder({});
    addTensorModel(directory, {
      name: 'quotient',
      nodes: [node('Div', ['a', 'b'], ['c'])],
      network: {
        inputs: [declared('a', datatype, [-1]), declared('b', datatype, [-1])],
        outputs: [declared('c', datatype, [-1])],
      },
    });
    expect((await open(directory, 'quotient')).warning).toBeUndefined();
  },
);

describe('a network that refuses what the manifest allows', () => {
  const gather = (directory: string) =>
    addTensorModel(directory, {
      name: 'gather',
      nodes: [node('Gather', ['table', 'at'], ['out'])],
      network: {
        inputs: [declared('table', 'FP32', [-1, 2]), declared('at', 'INT64', [-1])],
        outputs: [declared('out', 'FP32', [-1, 2])],
      },
      changes: { batch: 'none' },
    });
  const adder = (directory: string) => addAdder(directory, 'adder', { batch: 'none' });
  const at = (index: bigint): Tensor => {
    const data = new Uint8Array(BigInt64Array.of(index).buffer);
    return { name: 'at', datatype: 'INT64', shape: [1], data };
  };

  test.each([
    ['adder', adder, [floats('a', [1, 2], 1, 2), floats('b', [1, 3], 1, 2, 3)], '2 by 3'],
    ['gather', gather, [floats('table', [1, 2], 1, 2), at(9n)], 'idx=9'],
  ] as const)(
    'tells the caller why, with nothing of its source: %s',
    async (name, add, inputs, reason) => {
      const directory = makeFolder({});
      add(directory);
      const lines: string[] = [];
      const write = (line: string) => void lines.push(line);
      const scorer = await open(directory, name, pino({ level: 'warn' }, { write }));
      const [refused] = (await scorer.score([{ inputs }])).results.map(outcome);
      expect(refused).toMatch(
        /^inputs_refused: Expected inputs that the network can run with\. ONNX/,
      );
      expect(refused).toContain(reason);
      expect(refused).not.toMatch(/\.(cc|h)\b|onnxruntime_src|::/);
      expect(lines).toEqual([]);
    },
  );
});

describe('a model without a batch dimension', () => {
  test('takes scalars and empty tensors, and scores each item alone', async () => {
    const directory = makeFolder({});
    const shapes = [[], [0, 3], [2]];
    for (const [at, shape] of shapes.entries()) {
      addTensorModel(directory, {
        name: `model-${at}`,
        nodes: [node('Neg', ['in'], ['out'])],
        network: {
          inputs: [declared('in', 'FP32', shape)],
          outputs: [declared('out', 'FP32', shape)],
        },
        changes: { batch: 'none' },
      });
      const scorer = await open(directory, `model-${at}`);
      const numbers = shape.length === 0 ? [5] : shape[0] === 0 ? [] : [5, 6];
      const { results } = await scorer.score([{ inputs: [floats('in', shape, ...numbers)] }]);
      expect(results.map(outcome)).toEqual([[['out', shape, ...numbers.map((number) => -number)]]]);
    }
  });

  test('needs `batch: none`, or its first dimension would be taken for rows', async () => {
    const directory = makeFolder({});
    addTensorModel(directory, {
      name: 'sum',
      nodes: [node('ReduceSum', ['in'], ['out'])],
      network: {
        inputs: [declared('in', 'FP32', [-1, 2])],
        outputs: [declared('out', 'FP32', [1, 1])],
      },
    });
    await expect(open(directory, 'sum')).rejects.toThrow(/set batch: none .* Expected 4 rows in/);
  });
});

test('a model of tensors whose first dimension is fixed needs `batch: none`', async () => {
  const directory = makeFolder({});
  const name = addEcho(directory, 'FP32', { shape: [4, 2] });
  await expect(open(directory, name)).rejects.toThrow(
    /dynamic batch dimension, or set batch: none\.$/,
  );
});

describe('an answer whose output the manifest leaves open', () => {
  const row = { input: { kind: 'table', columns: [{ name: 'a', datatype: 'number' }] } };
  const inputs = [declared('a', 'FP32', [-1, 1])];
  const same = declared('same', 'FP32', [-1, 1]);
  const negated = declared('negated', 'FP32', [-1, 1]);
  const nodes = [node('Identity', ['a'], ['same']), node('Neg', ['a'], ['negated'])];

  test.each([
    ['those that are declared', [negated, same], {}],
    ['the only one that is declared', [negated], {}],
    ['those that are declared, beside another answer', [negated, same], { same: {} }],
  ])('is the first of %s, whatever the order in the file', async (_what, outputs, heads) => {
    const directory = makeFolder({});
    const changes = {
      ...{ ...row, output: { kind: 'regression' } },
      outputs: Object.fromEntries(Object.keys(heads).map((name) => [name, { kind: 'regression' }])),
    };
    const file = { inputs, outputs: [same, negated] };
    addTensorModel(directory, { name: 'm', nodes, network: { inputs, outputs }, file, changes });
    const model = readModel('m', directory);
    expect(wishWithoutClasses(model)).toEqual(
      model.heads.length > 0 ? { top: 1 } : { outputs: ['negated'] },
    );
    const scorer = await open(directory, 'm');
    const wish = wishWithoutClasses(model);
    const { results } = await scorer.score([{ inputs: [floats('a', [1, 1], 5)], ...wish }]);
    const [scored] = results;
    if (!scored || 'error' in scored) throw new Error('Expected an answer.');
    expect(readValue(ownTensors(scored.outputs))).toBe(-5);
  });

  test('has its labels at the same output for callers of tensors', () => {
    const directory = makeFolder({ 'm/labels.txt': 'one\n' });
    const network = { inputs, outputs: [negated, same] };
    const output = { kind: 'classification', labels: 'labels.txt', activation: 'none' };
    const file = { inputs, outputs: [same, negated] };
    addTensorModel(directory, { name: 'm', nodes, network, file, changes: { ...row, output } });
    const model = readModel('m', directory);
    expect(model.manifest.output).toMatchObject({ tensor: 'negated' });
  });

  test('may have a shape that only the manifest knows', async () => {
    const directory = makeFolder({ 'm/labels.txt': 'one\ntwo\nthree\n' });
    const three = [declared('x', 'FP32', [-1, 3])];
    const scores = declared('scores', 'FP32', [-1, 3]);
    addTensorModel(directory, {
      name: 'm',
      nodes: [node('Identity', ['x'], ['scores'])],
      network: { inputs: three, outputs: [scores] },
      file: { inputs: three, outputs: [declared('scores', 'FP32', [])] },
      changes: {
        input: {
          kind: 'table',
          columns: ['a', 'b', 'c'].map((name) => ({ name, datatype: 'number' })),
        },
        output: { kind: 'classification', labels: 'labels.txt', activation: 'none' },
      },
    });
    const scorer = await open(directory, 'm');
    const inputs = [floats('x', [1, 3], 0.25, 0.5, 0.25)];
    const { results } = await scorer.score([{ inputs, top: 1 }]);
    expect(results[0]).not.toHaveProperty('error');
  });
});

test('an output that does not count rows is found at the start, also beside an answer', async () => {
  const directory = makeFolder({});
  const a = declared('a', 'FP32', [-1, 1]);
  const three = Buffer.from(Float32Array.of(1, 2, 3).buffer);
  addTensorModel(directory, {
    name: 'm',
    nodes: [node('Neg', ['a'], ['negated']), node('Identity', ['three'], ['constant'])],
    constants: [tensor('three', elementTypes.FP32, [3], three)],
    network: {
      inputs: [a],
      outputs: [declared('negated', 'FP32', [-1, 1]), declared('constant', 'FP32', [3])],
    },
    changes: {
      input: { kind: 'table', columns: [{ name: 'a', datatype: 'number' }] },
      output: { kind: 'regression' },
      outputs: { negated: { kind: 'regression' } },
    },
  });
  await expect(open(directory, 'm')).rejects.toMatchObject({
    code: 'model_output_mismatch',
    message: expect.stringContaining('"constant"'),
  });
});

test.each([
  ['as its own answer', {}],
  ['as one of several answers', { twice: { kind: 'regression' } }],
])(
  'several numbers in a row are no regression, %s, whatever the manifest declares',
  async (_what, heads) => {
    const directory = makeFolder({});
    const inputs = [declared('row', 'FP32', [-1, 2])];
    addTensorModel(directory, {
      name: 'm',
      // Its size is known after a run.
      nodes: [node('Compress', ['row', 'both'], ['twice'], integer('axis', 1))],
      constants: [tensor('both', elementTypes.BOOL, [2], Buffer.of(1, 1))],
      network: { inputs, outputs: [declared('twice', 'FP32', [-1, 1])] },
      file: { inputs, outputs: [declared('twice', 'FP32', [-1, -1])] },
      changes: {
        input: { kind: 'table', columns: ['a', 'b'].map((name) => ({ name, datatype: 'number' })) },
        output: { kind: 'twice' in heads ? 'tensors' : 'regression' },
        outputs: heads,
      },
    });
    await expect(open(directory, 'm')).rejects.toMatchObject({
      code: 'model_output_mismatch',
      message: expect.stringContaining('the model returned 2'),
    });
  },
);

describe('an output of other sizes than its file declares', () => {
  const inputs = [declared('row', 'FP32', [-1, 2])];
  const shape = Buffer.from(BigInt64Array.of(-1n, 2n, 1n).buffer);
  const constants = [
    tensor('two', elementTypes.BOOL, [2], Buffer.of(1, 1)),
    tensor('three', elementTypes.BOOL, [3], Buffer.of(1, 1, 1)),
    tensor('column', elementTypes.INT64, [3], shape),
  ];
  // What Compress returns is known after a run.
  const widened = [node('Compress', ['row', 'two'], ['out'], integer('axis', 1))];
  const reshaped = [
    node('Compress', ['column', 'three'], ['shape'], integer('axis', 0)),
    node('Reshape', ['row', 'shape'], ['out']),
  ];

  test.each([
    ['another size', widened, [-1, -1], [1, 2], {}],
    ['another size beside no rows', widened, [-1, -1], [1, 2], { batch: 'none' }],
    ['another rank', reshaped, [-1, -1, 1], [1, 2, 1], {}],
  ] as const)(
    'fails the run, unless the manifest leaves it open: %s',
    async (_what, nodes, shape, got, changes) => {
      const score = async (declaredShape: readonly number[]) => {
        const directory = makeFolder({});
        const outputs = [declared('out', 'FP32', [...declaredShape])];
        const file = { inputs, outputs: [declared('out', 'FP32', [-1, 1])] };
        addTensorModel(directory, {
          ...{ name: 'm', nodes: [...nodes], constants, file, changes },
          network: { inputs, outputs },
        });
        const scorer = await open(directory, 'm');
        const { results } = await scorer.score([{ inputs: [floats('row', [1, 2], 5, 6)] }]);
        return results.map(outcome);
      };
      await expect(score([-1, 1])).rejects.toMatchObject({
        code: 'model_output_mismatch',
        message: expect.stringContaining(
          `Expected "out" of FP32[-1,1], as network.outputs declares; the model returned [${got}].`,
        ),
      });
      expect(await score(shape)).toEqual([[['out', got, 5, 6]]]);
    },
  );
});

test('an output that does not count rows is left alone if nothing is declared, since no caller can ask for it', async () => {
  const directory = makeFolder({ 'm/labels.txt': 'red\ngreen\nblue\n' });
  const three = Buffer.from(Float32Array.of(1, 2, 3).buffer);
  addTensorModel(directory, {
    name: 'm',
    nodes: [
      node('ReduceMax', ['picture'], ['most'], integers('axes', [1, 2])),
      node('Cast', ['most'], ['scores'], integer('to', elementTypes.FP32)),
      node('Identity', ['three'], ['constant']),
    ],
    constants: [tensor('three', elementTypes.FP32, [3], three)],
    network: undefined as never,
    file: {
      inputs: [declared('picture', 'UINT8', [-1, 8, 8, 3])],
      outputs: [declared('scores', 'FP32', [-1, 1, 1, 3]), declared('constant', 'FP32', [3])],
    },
    changes: {
      input: { kind: 'image', width: 8, height: 8, tensor: 'uint8-nhwc' },
      output: { kind: 'classification', labels: 'labels.txt', activation: 'softmax' },
    },
  });
  const picture = {
    name: 'input',
    datatype: 'UINT8',
    shape: [1, 8, 8, 3],
    data: new Uint8Array(192),
  } as const;
  const { results } = await (await open(directory, 'm')).score([{ inputs: [picture], top: 1 }]);
  expect(results[0]).not.toHaveProperty('error');
});

describe('the network that a manifest declares', () => {
  const inputs = [declared('in', 'FP32', [-1, 2])];
  const outputs = [declared('out', 'FP32', [-1, 2])];
  const file = { inputs, outputs };
  const nodes = [node('Neg', ['in'], ['out'])];
  const line = `network: { inputs: [{ name: "in", datatype: FP32, shape: [d0, 2] }], outputs: [{ name: "out", datatype: FP32, shape: [d0, 2] }] }`;

  const openWith = (network: typeof file | undefined) => {
    const directory = makeFolder({});
    addTensorModel(directory, { name: 'neg', nodes, network: network as typeof file, file });
    return open(directory, 'neg');
  };

  test.each([
    ['no network', undefined, 'network: expected its inputs and outputs'],
    ['another name', { inputs, outputs: [declared('no', 'FP32', [-1, 2])] }, 'network.outputs'],
    ['another datatype', { inputs: [declared('in', 'INT8', [-1, 2])], outputs }, 'of INT8[-1,2]'],
    ['another size', { inputs: [declared('in', 'FP32', [-1, 3])], outputs }, 'of FP32[-1,3]'],
    [
      'an open size that is fixed',
      { inputs: [declared('in', 'FP32', [-1, -1])], outputs },
      '-1,-1',
    ],
    ['another rank', { inputs: [declared('in', 'FP32', [-1])], outputs }, 'of FP32[-1].'],
  ])('may not have %s, and the error has the right line', async (_what, network, words) => {
    const error = await openWith(network).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'model_file_wrong' });
    expect(error.message).toContain(words);
    expect(error.message).toContain(line);
  });

  test('may name a size that is open in the file, and no other', async () => {
    const named = (shape: (number | string)[]) => ({
      inputs: [declared('in', 'FP32', shape)],
      outputs,
    });
    await openWith(named(['rows', 2]));
    await expect(openWith(named(['rows', 'columns']))).rejects.toThrow('FP32[rows,columns]');
  });

  test('may fix a size that is open in the file', async () => {
    await openWith({ inputs: [declared('in', 'FP32', [1, 2])], outputs });
  });

  test('is confirmed by the check', async () => {
    const directory = makeFolder({});
    addAdder(directory);
    const lines = await checkIn(directory, 'adder');
    expect(lines).toContain('  manifest   valid, tensors');
    expect(lines).toContain('  network    as the manifest declares it');
  });
});
