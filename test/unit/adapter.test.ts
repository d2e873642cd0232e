import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../shared/manifest/manifest.js';
import {
  checkTensor,
  type Datatype,
  decodeStrings,
  encodeStrings,
  type Tensor,
  toFloats,
} from '../../shared/tensors/tensors.js';
import { makeAdapter } from '../../worker/batch/inputs/adapter.js';
import { sampleInputs } from '../../worker/batch/inputs/sample.js';
import type { TensorValue } from '../../worker/engine/engine.js';
import { errorOf, makeSampleModel } from './sample-model.js';

const mean = [0.485, 0.456, 0.406];
const std = [0.229, 0.224, 0.225];

const inputOf = (input: Record<string, unknown>): Manifest['input'] =>
  makeSampleModel({ input }).manifest.input;
const imageInput = (size: { width: number; height: number }, tensor: string) =>
  inputOf({
    kind: 'image',
    ...size,
    tensor,
    ...(tensor === 'float32-nchw' && { mean, std }),
  });

/** Makes an input of a network. */
const value = (name: string, datatype: Datatype, shape: (number | string)[]): TensorValue => ({
  name,
  datatype,
  type: datatype.toLowerCase(),
  shape,
});
const adapt = (kind: Manifest['input'], ...inputs: TensorValue[]) =>
  makeAdapter(kind, { name: 'sample', inputs, batch: { max: 4, dimension: 'first' } });
const texts = (strings: string[], shape = [strings.length]): Tensor => ({
  name: 'input',
  datatype: 'BYTES',
  shape,
  data: encodeStrings(strings),
});
const pixels = (bytes: Uint8Array, shape: number[]): Tensor => ({
  name: 'input',
  datatype: 'UINT8',
  shape,
  data: bytes,
});
const zeros = (name: string, shape: number[]): Tensor => ({
  name,
  datatype: 'FP32',
  shape,
  data: new Uint8Array(shape.reduce((a, b) => a * b, 4)),
});

describe('texts', () => {
  const text = inputOf({ kind: 'text' });

  test.each([
    [['N'], [3]],
    [
      ['N', 1],
      [3, 1],
    ],
    [
      ['', ''],
      [3, 1],
    ],
  ])('are stacked for a network of shape %j as %j, under its input name', (shape, stacked) => {
    const adapter = adapt(text, value('words', 'BYTES', shape));
    const items = [[texts(['a', 'ü'])], [texts(['b'], [1, 1])]];
    expect(items.map(adapter.countRows)).toEqual([2, 1]);
    const [batch, ...others] = adapter.stack(items) as [Tensor];
    expect(others).toEqual([]);
    expect(batch).toMatchObject({ name: 'words', datatype: 'BYTES', shape: stacked });
    expect(decodeStrings(batch.data)).toEqual(['a', 'ü', 'b']);
  });

  test('are refused unless they are one column of strings with at least one row', () => {
    const adapter = adapt(text, value('words', 'BYTES', ['N']));
    for (const [inputs, came] of [
      [[zeros('input', [1])], '"input" of FP32[1]'],
      [[texts(['a', 'b'], [1, 2])], '"input" of BYTES[1,2]'],
      [[texts([], [0])], '"input" of BYTES[0]'],
      [[texts(['a'], [])], '"input" of BYTES[]'],
      [[], 'none'],
      [[texts(['a']), texts(['b'])], '"input" of BYTES[1], "input" of BYTES[1]'],
    ] as const) {
      const error = errorOf(() => adapter.countRows(inputs));
      expect(error.code).toBe('tensor_invalid');
      expect(error.message).toMatch(/^Expected .*; got /);
      expect(error.message).toContain(`got ${came}.`);
    }
  });

  test('require a network with one input of strings', () => {
    for (const inputs of [
      [value('a', 'FP32', ['N'])],
      [value('a', 'BYTES', ['N', 2])],
      [value('a', 'BYTES', ['N']), value('b', 'BYTES', ['N'])],
      [],
    ]) {
      expect(errorOf(() => adapt(text, ...inputs)).code).toBe('model_file_wrong');
    }
  });

  test('have the example as their sample', () => {
    const [sample] = sampleInputs({ input: text, description: 'hello' }) as [Tensor];
    expect(adapt(text, value('words', 'BYTES', ['N'])).countRows([sample])).toBe(1);
    expect(decodeStrings(sample.data)).toEqual(['hello']);
  });
});

const pictures = fc
  .record({ width: fc.integer({ min: 1, max: 4 }), height: fc.integer({ min: 1, max: 4 }) })
  .chain(({ width, height }) => {
    const item = fc.integer({ min: 1, max: 2 }).chain((rows) => {
      const length = rows * 3 * width * height;
      return fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((bytes) => [pixels(bytes, [rows, height, width, 3])]);
    });
    return fc.record({
      size: fc.constant({ width, height }),
      items: fc.array(item, { minLength: 1, maxLength: 3 }),
    });
  });

describe('images', () => {
  test('for uint8-nhwc are stacked unchanged', () => {
    fc.assert(
      fc.property(pictures, ({ size, items }) => {
        const shape = ['N', size.height, size.width, 3];
        const adapter = adapt(imageInput(size, 'uint8-nhwc'), value('image', 'UINT8', shape));
        const rows = items.map(adapter.countRows).reduce((a, b) => a + b);
        const [batch] = adapter.stack(items) as [Tensor];
        checkTensor(batch);
        expect(batch).toMatchObject({
          name: 'image',
          datatype: 'UINT8',
          shape: [rows, size.height, size.width, 3],
        });
        expect([...batch.data]).toEqual(items.flatMap(([item]) => [...(item?.data ?? [])]));
      }),
      { numRuns: 100 },
    );
  });

  test('for float32-nchw become (pixel / 255 - mean) / std, channel by channel', () => {
    fc.assert(
      fc.property(pictures, ({ size: { width, height }, items }) => {
        const network = value('image', 'FP32', ['N', 3, height, width]);
        const adapter = adapt(imageInput({ width, height }, 'float32-nchw'), network);
        const rows = items.map(adapter.countRows).reduce((a, b) => a + b);
        const [batch] = adapter.stack(items) as [Tensor];
        const bytes = items.flatMap(([item]) => [...(item?.data ?? [])]);
        const formula: number[] = [];
        for (let row = 0; row < rows; row++) {
          for (const channel of [0, 1, 2]) {
            for (let at = 0; at < height * width; at++) {
              const pixel = bytes[(row * height * width + at) * 3 + channel] as number;
              const float = (pixel / 255 - (mean[channel] ?? 0)) / (std[channel] ?? 1);
              formula.push(Math.fround(float));
            }
          }
        }
        checkTensor(batch);
        expect(batch).toMatchObject({ name: 'image', shape: [rows, 3, height, width] });
        expect([...toFloats(batch)]).toEqual(formula);
      }),
      { numRuns: 100 },
    );
  });

  test('for float32-nchw may be sent as floats of that shape, and are then unchanged', () => {
    const input = imageInput({ width: 2, height: 1 }, 'float32-nchw');
    const adapter = adapt(input, value('image', 'FP32', ['N', 3, 1, 2]));
    const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const items = [[{ ...zeros('input', [1, 3, 1, 2]), data }]];
    expect(items.map(adapter.countRows)).toEqual([1]);
    const [batch] = adapter.stack(items) as [Tensor];
    expect([...toFloats(batch)]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('are refused if size, type or order is wrong', () => {
    const uint8 = adapt(
      imageInput({ width: 2, height: 1 }, 'uint8-nhwc'),
      value('image', 'UINT8', ['N', 1, 2, 3]),
    );
    for (const tensor of [
      pixels(new Uint8Array(6), [1, 2, 1, 3]),
      pixels(new Uint8Array(6), [1, 2, 3]),
      zeros('input', [1, 3, 1, 2]),
      zeros('input', [1, 1, 2, 3]),
    ]) {
      const error = errorOf(() => uint8.countRows([tensor]));
      expect(error.code).toBe('tensor_invalid');
      expect(error.message).toContain('Expected pixels, UINT8[rows,1,2,3]; got "input" of');
    }
  });

  test.each([
    ['without a dimension that counts pictures', [3, 1, 2]],
    ['with a batch of one', [1, 3, 1, 2]],
  ])('go one by one to a network %s', (_what, shape) => {
    const kind = imageInput({ width: 2, height: 1 }, 'uint8-nchw');
    const inputs = [value('picture', 'UINT8', shape)];
    const adapter = makeAdapter(kind, {
      ...{ name: 'sample', inputs },
      batch: { max: 1, dimension: 'none' },
    });
    const planes = Uint8Array.from([1, 4, 2, 5, 3, 6]);
    for (const item of [
      [pixels(Uint8Array.from([1, 2, 3, 4, 5, 6]), [1, 1, 2, 3])],
      [pixels(planes, shape)],
    ]) {
      expect(adapter.countRows(item)).toBe(1);
      const [stacked] = adapter.stack([item]);
      expect(stacked).toMatchObject({ name: 'picture', datatype: 'UINT8', shape });
      expect([...(stacked?.data ?? [])]).toEqual([...planes]);
    }
  });

  test('require a network of their size and type', () => {
    const input = imageInput({ width: 2, height: 1 }, 'uint8-nhwc');
    for (const network of [
      value('image', 'UINT8', ['N', 2, 1, 3]),
      value('image', 'FP32', ['N', 1, 2, 3]),
      value('image', 'UINT8', ['N', 6]),
    ]) {
      const error = errorOf(() => adapt(input, network));
      expect(error.code).toBe('model_file_wrong');
      expect(error.message).toContain('expected a model with one input of uint8[N,1,2,3]');
    }
  });

  test('have noise of the right size as their sample', () => {
    const input = imageInput({ width: 5, height: 7 }, 'uint8-nhwc');
    const [sample] = sampleInputs({ input, description: '' }) as [Tensor];
    checkTensor(sample);
    expect(sample.shape).toEqual([1, 7, 5, 3]);
    expect(new Set(sample.data).size).toBeGreaterThan(50);
  });
});

describe('tensors by name', () => {
  const kind = { kind: 'tensors' } as const;
  const network = [value('a', 'FP32', ['N', 2]), value('b', 'FP32', [-1, 'length', 1])];
  const adapter = adapt(kind, ...network);
  const a = zeros('a', [2, 2]);
  const b = zeros('b', [2, 5, 1]);

  test('go to the inputs of the same names, in any order', () => {
    expect(adapter.countRows([b, a])).toBe(2);
    const batch = adapter.stack([
      [b, a],
      [zeros('a', [1, 2]), zeros('b', [1, 5, 1])],
    ]);
    expect(batch.map(({ name, shape }) => [name, shape])).toEqual([
      ['a', [3, 2]],
      ['b', [3, 5, 1]],
    ]);
  });

  test.each([
    ['a name that the network does not know', [a, zeros('c', [2, 5, 1])], '"c" of FP32[2,5,1]'],
    ['a missing input', [a], 'got "a" of FP32[2,2].'],
    ['an extra input', [a, b, zeros('c', [2])], '"c" of FP32[2]'],
    ['an input twice', [a, a], '"a" of FP32[2,2], "a" of FP32[2,2]'],
    ['a wrong datatype', [{ ...a, datatype: 'INT32' as const }, b], '"a" of INT32[2,2]'],
    ['a wrong fixed dimension', [zeros('a', [2, 3]), b], 'Expected "a" of FP32[N,2]; got "a"'],
    ['a missing dimension', [zeros('a', [2]), b], '"a" of FP32[2]'],
    [
      'different numbers of rows',
      [a, zeros('b', [1, 5, 1])],
      'Expected the same number of rows in each input',
    ],
    ['no rows', [zeros('a', [0, 2]), zeros('b', [0, 5, 1])], 'at least one row'],
  ])('are refused with %s', (_, inputs, words) => {
    const error = errorOf(() => adapter.countRows(inputs));
    expect(error.code).toBe('tensor_invalid');
    expect(error.message).toMatch(/^Expected .*; got .*\.$/);
    expect(error.message).toContain(words);
  });

  test('require a network whose inputs are tensors with rows', () => {
    const noTensor = { name: 'map', datatype: undefined, type: 'no tensor', shape: [] };
    for (const input of [noTensor, value('scalar', 'FP32', [])]) {
      expect(errorOf(() => adapt(kind, input)).code).toBe('model_file_wrong');
    }
  });

  test('have one row of ones as their sample', () => {
    const sample = sampleInputs({ input: kind, description: '' }, network);
    expect(adapter.countRows(sample)).toBe(1);
    for (const tensor of sample) checkTensor(tensor);
    const words = sampleInputs({ input: kind, description: '' }, [
      value('words', 'BYTES', ['N', 2]),
    ]);
    expect(words.map(({ data }) => decodeStrings(data))).toEqual([['', '']]);
  });
});
