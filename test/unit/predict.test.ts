// V1 of KServe and TensorFlow Serving: what its requests become, and how its answers are written.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formsOfNetwork } from '../../api/description/predict.js';
import { inOneGo, writeNested } from '../../api/inference/json-tensor.js';
import { readPredictRequest } from '../../api/inference/predict-request.js';
import { writePrediction } from '../../api/inference/predict-response.js';
import { ScorelineError } from '../../shared/errors.js';
import { fromJson } from '../../shared/tensors/json-elements.js';
import { encodeStrings, type Tensor } from '../../shared/tensors/tensors.js';
import { errorOf, makeSampleModel } from './sample-model.js';

type Declared = { name: string; datatype: 'FP32' | 'INT64' | 'BYTES'; shape: number[] };

const rowsMax = 8;
const scores: Declared = { name: 'scores', datatype: 'FP32', shape: [-1, 2] };
const label: Declared = { name: 'label', datatype: 'INT64', shape: [-1] };

const modelOf = (inputs: Declared[], others: Record<string, unknown> = {}) =>
  makeSampleModel({
    ...{ input: { kind: 'tensors' }, output: { kind: 'tensors' }, example: undefined },
    ...{ network: { inputs, outputs: [scores, label] }, ...others },
  });

const x: Declared = { name: 'x', datatype: 'FP32', shape: [-1, 2] };
const age: Declared = { name: 'age', datatype: 'INT64', shape: [-1, 1] };
const city: Declared = { name: 'city', datatype: 'BYTES', shape: [-1, 1] };
const one = modelOf([x]);
const columns = modelOf([age, city]);

function read(model: typeof one, body: unknown) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return readPredictRequest(JSON.parse(text), text, { model, rowsMax });
}

function isRead(model: typeof one, body: unknown): boolean {
  try {
    read(model, body);
    return true;
  } catch (error) {
    if (error instanceof ScorelineError) return false;
    throw error;
  }
}

const tensorsOf = (model: typeof one, body: unknown) => read(model, body).asked.inputs;
const tensor = ({ name, datatype }: Declared, shape: number[], data: unknown): Tensor => {
  const head = { name, datatype, shape };
  return { ...head, data: fromJson(head, data) };
};

describe('a request of V1', () => {
  const expected = [tensor(x, [2, 2], [1, 2, 3, 4])];

  test.each([
    [
      'a value for each row',
      {
        instances: [
          [1, 2],
          [3, 4],
        ],
      },
      false,
    ],
    ['the same by name', { instances: [{ x: [1, 2] }, { x: [3, 4] }] }, false],
    [
      'all values of the input',
      {
        inputs: [
          [1, 2],
          [3, 4],
        ],
      },
      true,
    ],
    [
      'the same by name',
      {
        inputs: {
          x: [
            [1, 2],
            [3, 4],
          ],
        },
      },
      true,
    ],
    [
      'the name of a signature that its metadata have',
      {
        signature_name: '',
        instances: [
          [1, 2],
          [3, 4],
        ],
      },
      false,
    ],
    [
      'the name of the usual signature',
      {
        signature_name: 'serving_default',
        instances: [
          [1, 2],
          [3, 4],
        ],
      },
      false,
    ],
  ])('has %s', (_, body, isColumnar) => {
    const { asked, isColumnar: isAsked } = read(one, body);
    expect(asked.inputs).toEqual(expected);
    expect(asked.rows).toBe(2);
    expect(isAsked).toBe(isColumnar);
  });

  test('needs no lists of one element, and keeps long whole numbers', () => {
    const long = '9007199254740993';
    const rows = [tensor(age, [2, 1], [long, 2]), tensor(city, [2, 1], [long, 'Köln'])];
    const instances = `[{"age": ${long}, "city": "${long}"}, {"city": "Köln", "age": [2]}]`;
    expect(tensorsOf(columns, `{"instances": ${instances}}`)).toEqual(rows);
    expect(
      errorOf(() => tensorsOf(columns, { instances: [{ age: [1, 2], city: 'Köln' }] })).message,
    ).toContain('Expected "age" of INT64[-1,1]; got "age" of INT64[1,2]');
    const deep = { instances: [{ age: [[1]], city: 'Köln' }] };
    expect(errorOf(() => tensorsOf(columns, deep)).code).toBe('tensor_invalid');
    // A number is no text, however many digits it has.
    expect(
      errorOf(() => tensorsOf(columns, `{"instances": [{"age": 1, "city": ${long}}]}`)).message,
    ).toContain('to be a string');
  });

  test('has bytes in base64', () => {
    const texts = modelOf([{ name: 'text', datatype: 'BYTES', shape: [-1] }]);
    const expected = [
      { name: 'text', datatype: 'BYTES', shape: [2], data: encodeStrings(['Köln', '']) },
    ];
    const bytes = [{ b64: 'S8O2bG4=' }, { b64: '' }];
    expect(tensorsOf(texts, { instances: bytes })).toEqual(expected);
    expect(tensorsOf(texts, { instances: bytes.map((text) => ({ text })) })).toEqual(expected);
    expect(tensorsOf(texts, { inputs: bytes })).toEqual(expected);
    expect(errorOf(() => tensorsOf(texts, { instances: [...bytes, 'Köln'] })).message).toBe(
      'Expected {"b64": "…"} as each element of "text"; got "Köln".',
    );
    const deep = `${'['.repeat(100_000)}{"b64": ""}${']'.repeat(100_000)}`;
    expect(errorOf(() => tensorsOf(texts, `{"instances": ${deep}}`)).code).toBe('tensor_invalid');
  });

  test.each([
    ['no object', [1], 'input_missing', 'got a list.'],
    ['an empty one', {}, 'input_missing', 'got neither.'],
    ['both', { instances: [[1, 2]], inputs: [[1, 2]] }, 'input_invalid', 'got both.'],
    ['no rows', { instances: [] }, 'input_invalid', 'got an empty list as the instances.'],
    ['no list', { instances: 'x' }, 'input_invalid', 'got "x" as the instances.'],
    [
      'another signature',
      { signature_name: 'other', instances: [[1, 2]] },
      'input_invalid',
      'got "other".',
    ],
    [
      'short rows',
      { instances: [[1]] },
      'tensor_invalid',
      '"x" of FP32[-1,2]; got "x" of FP32[1,1].',
    ],
    ['ragged rows', { instances: [[1, 2], [3]] }, 'tensor_invalid', 'a list of 1 at depth 1'],
    ['deep rows', { instances: [[[1], [2]]] }, 'tensor_invalid', '"x"'],
    ['values without rows', { instances: [1, 2] }, 'tensor_invalid', 'got "x" of FP32[2].'],
    [
      'an unknown name',
      { instances: [{ y: [1, 2] }] },
      'tensor_invalid',
      'as instance 0; got "y".',
    ],
    ['too many rows', { instances: Array(9).fill([1, 2]) }, 'too_many_inputs', 'at most 8 rows'],
    ['no value', { instances: [null] }, 'tensor_invalid', 'got "x" of FP32[1].'],
  ])('is refused with %s', (_, body, code, message) => {
    expect(errorOf(() => read(one, body))).toMatchObject({ code });
    expect(errorOf(() => read(one, body)).message).toContain(message);
  });

  test('has whole tensors for a network without rows', () => {
    const whole = makeSampleModel({
      ...{ input: { kind: 'tensors' }, output: { kind: 'tensors' }, example: undefined },
      ...{ network: { inputs: [x], outputs: [scores] }, batch: 'none' },
    });
    expect(
      tensorsOf(whole, {
        inputs: [
          [1, 2],
          [3, 4],
        ],
      }),
    ).toEqual(expected);
    expect(errorOf(() => read(whole, { instances: [[1, 2]] })).message).toContain(
      'Expected "inputs", the whole tensors of the network',
    );
    const items = [[tensor(scores, [2, 2], [1, 2, 3, 4])]];
    const form = { outputs: ['scores'], isColumnar: true };
    expect(inOneGo(writePrediction(whole, form, items))).toBe('{"outputs":[[1,2],[3,4]]}');
  });

  test('is described as the reader takes it', () => {
    const size = fc.integer({ min: 1, max: 3 });
    const element = fc.oneof(fc.integer({ min: -3, max: 9 }), fc.constant('NaN'), fc.constant('a'));
    const value = fc.oneof(
      ...[element, fc.array(element, { maxLength: 2 })],
      fc.array(fc.array(element, { maxLength: 2 }), { maxLength: 2 }),
    );
    const body = fc.oneof(
      fc.record({
        instances: fc.array(fc.oneof(value, fc.record({ x: value })), { maxLength: 3 }),
      }),
      fc.record({ inputs: fc.oneof(value, fc.record({ x: value })) }),
    );
    const network = fc.record({
      datatype: fc.constantFrom('FP32' as const, 'INT64' as const, 'BYTES' as const),
      sizes: fc.array(fc.oneof(size, fc.constant(-1)), { maxLength: 2 }),
    });
    let taken = 0;
    fc.assert(
      fc.property(network, body, ({ datatype, sizes }, given) => {
        const input = { name: 'x', datatype, shape: [-1, ...sizes] };
        const model = modelOf([input]);
        const { request } = formsOfNetwork(
          { inputs: [input], outputs: [scores] },
          { rowsMax, hasRows: true },
        );
        const isTaken = isRead(model, given);
        if (isTaken) taken++;
        // No schema says how long the lists are.
        expect(request.safeParse(given).success || !isTaken).toBe(true);
      }),
      { numRuns: 400 },
    );
    expect(taken).toBeGreaterThan(5);
  });
});

describe('an answer of V1', () => {
  const items = [
    [tensor(scores, [2, 2], [1, 2, 3, 'NaN']), tensor(label, [2], [7, '9007199254740993'])],
    [tensor(scores, [1, 2], [5, 6]), tensor(label, [1], [8])],
  ];

  test.each([
    [['label'], false, '{"predictions":[7,9007199254740993,8]}'],
    [['scores'], false, '{"predictions":[[1,2],[3,"NaN"],[5,6]]}'],
    [
      ['label', 'scores'],
      false,
      '{"predictions":[{"label":7,"scores":[1,2]},{"label":9007199254740993,"scores":[3,"NaN"]},{"label":8,"scores":[5,6]}]}',
    ],
    [['scores'], true, '{"outputs":[[1,2],[3,"NaN"],[5,6]]}'],
    [
      ['label', 'scores'],
      true,
      '{"outputs":{"label":[7,9007199254740993,8],"scores":[[1,2],[3,"NaN"],[5,6]]}}',
    ],
  ])('has %j (in columns: %j)', (outputs, isColumnar, text) => {
    expect(inOneGo(writePrediction(one, { outputs, isColumnar }, items))).toBe(text);
  });

  test('has lists nested as the shape says, whatever that is', () => {
    const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(shapes, (shape) => {
        const count = shape.reduce((product, size) => product * size, 1);
        const flat = Array.from({ length: count }, (_, at) => at);
        const nest = ([size, ...inner]: readonly number[]): unknown =>
          size === undefined ? flat.shift() : Array.from({ length: size }, () => nest(inner));
        const head = { name: 'x', datatype: 'INT32' as const, shape };
        const data = new Uint8Array(Int32Array.from(flat).buffer);
        expect(JSON.parse(inOneGo(writeNested({ ...head, data })))).toEqual(nest(shape));
      }),
    );
  });

  test('is written slice by slice', () => {
    const shape = [3, 20_000, 2];
    const numbers = Float32Array.from({ length: 120_000 }, (_, at) => at);
    const data = new Uint8Array(numbers.buffer);
    const writing = writeNested({ name: 'x', datatype: 'FP32', shape, data });
    let slices = 0;
    let step = writing.next();
    for (; !step.done; step = writing.next()) slices++;
    expect(slices).toBe(Math.ceil(120_000 / 16_384));
    expect((JSON.parse(String(step.value)) as number[][][]).flat(2)).toEqual([...numbers]);
  });
});

test('the output for V1 has values where its rows have one element', () => {
  const number: Declared = { name: 'number', datatype: 'FP32', shape: [-1, 1] };
  const items = [[tensor(number, [2, 1], [1.5, 2])]];
  const network = { inputs: [x], outputs: [number] };
  const form = { outputs: ['number'], isColumnar: false };
  const answer = (model: typeof one) => inOneGo(writePrediction(model, form, items));
  expect(answer(modelOf([x], { network }))).toBe('{"predictions":[[1.5],[2]]}');
  expect(answer(modelOf([x], { network, predict: 'number' }))).toBe('{"predictions":[1.5,2]}');
});

test('the output for V1 is one that the network declares', () => {
  const { asked } = read(modelOf([x], { predict: 'label' }), { instances: [[1, 2]] });
  expect(asked.outputs.map(({ name }) => name)).toEqual(['label']);
  expect(() => modelOf([x], { predict: 'class' })).toThrow(
    'expected the name of an output that network declares',
  );
});
