import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkTensor,
  countElements,
  type Datatype,
  datatypes,
  elementBytes,
  encodeStrings,
  type Tensor,
} from '../../shared/tensors/tensors.js';
import { shapeKey, stack } from '../../worker/batch/inputs/stack.js';
import { split } from '../../worker/batch/outputs/split.js';
import { errorOf } from './sample-model.js';

const innerShape = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 });

function tensorOf(datatype: Datatype, shape: number[]): fc.Arbitrary<Tensor> {
  const elements = countElements(shape);
  const size = elementBytes[datatype];
  const data: fc.Arbitrary<Uint8Array> =
    size === undefined
      ? fc
          .array(fc.string({ unit: 'grapheme' }), { minLength: elements, maxLength: elements })
          .map(encodeStrings)
      : fc.uint8Array({ minLength: elements * size, maxLength: elements * size });
  return data.map((bytes) => ({ name: 'input', datatype, shape, data: bytes }));
}

/** Tensors of the same datatype and inner shape, such as the items of one batch have. */
const batches = fc
  .record({
    datatype: fc.constantFrom(...datatypes),
    inner: innerShape,
    rows: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 }),
  })
  .chain(({ datatype, inner, rows }) =>
    fc.tuple(...rows.map((count) => tensorOf(datatype, [count, ...inner]))),
  );

describe('a stack', () => {
  test('is one tensor with all rows, for any datatype and shape', () => {
    fc.assert(
      fc.property(batches, (tensors) => {
        const stacked = stack(tensors);
        checkTensor(stacked);
        const rows = tensors.map(({ shape }) => shape[0] as number);
        expect(stacked.shape[0]).toBe(rows.reduce((a, b) => a + b));
        expect(stacked.shape.slice(1)).toEqual(tensors[0]?.shape.slice(1));
        const all = Buffer.concat(tensors.map(({ data }) => data));
        expect(Buffer.compare(stacked.data, all)).toBe(0);
      }),
    );
  });

  test('splits into the tensors it was made of', () => {
    fc.assert(
      fc.property(batches, (tensors) => {
        const parts = split(
          stack(tensors),
          tensors.map(({ shape }) => shape[0] as number),
        );
        const plain = (tensor: Tensor) => ({ ...tensor, data: [...tensor.data] });
        expect(parts.map(plain)).toEqual(tensors.map(plain));
      }),
    );
  });

  test('shares its memory with nothing, so it can be transferred', () => {
    const data = Buffer.from([1, 2, 3]);
    const stacked = stack([{ name: 'input', datatype: 'UINT8', shape: [1, 3], data }]);
    expect(stacked.data.buffer).not.toBe(data.buffer);
    expect(stacked.data.byteLength).toBe(stacked.data.buffer.byteLength);
    structuredClone(stacked.data.buffer, { transfer: [stacked.data.buffer as ArrayBuffer] });
    expect(data).toEqual(Buffer.from([1, 2, 3]));
  });
});

describe('an output', () => {
  const output = (shape: number[]): Tensor => ({
    name: 'scores',
    datatype: 'UINT8',
    shape,
    data: Uint8Array.from({ length: countElements(shape) }, (_, at) => at),
  });

  test('is cut into the rows of each item, without copying', () => {
    const whole = output([3, 2]);
    const [first, second] = split(whole, [1, 2]) as [Tensor, Tensor];
    expect(first).toMatchObject({ shape: [1, 2], data: Uint8Array.of(0, 1) });
    expect(second).toMatchObject({ shape: [2, 2], data: Uint8Array.of(2, 3, 4, 5) });
    expect(second.data.buffer).toBe(whole.data.buffer);
  });

  test.each([
    [[2, 2], '2'],
    [[4, 2], '4'],
    [[0, 2], '0'],
    [[], 'a tensor without rows'],
  ])('of shape %j is refused for three rows', (shape, came) => {
    const error = errorOf(() => split(output(shape), [1, 2]));
    expect(error.code).toBe('model_output_mismatch');
    expect(error.message).toContain(
      `Expected 3 rows in the output "scores", one for each row of the inputs; got ${came}.`,
    );
  });
});

describe('inputs can share a run', () => {
  const tensor = (changes: Partial<Tensor> = {}): Tensor => ({
    name: 'a',
    datatype: 'FP32',
    shape: [1, 2, 3],
    data: new Uint8Array(24),
    ...changes,
  });
  const key = shapeKey([tensor()]);

  test('with any number of rows', () => {
    expect(shapeKey([tensor({ shape: [7, 2, 3] })])).toBe(key);
  });

  test.each([
    { name: 'b' },
    { datatype: 'INT32' as const },
    { shape: [1, 3, 2] },
    { shape: [1, 6] },
    { shape: [1, 2, 3, 1] },
    { shape: [] },
  ])('unless they differ in %j', (changes) => {
    expect(shapeKey([tensor(changes)])).not.toBe(key);
  });

  test('in any order of their names', () => {
    const b = tensor({ name: 'b', shape: [1] });
    expect(shapeKey([tensor(), b])).toBe(shapeKey([b, tensor()]));
    expect(shapeKey([tensor(), b])).not.toBe(key);
  });
});
